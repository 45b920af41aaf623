"""Any position and any trading time, from the command log alone; logs are only read."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from cli.replay import ReplayOptions, replay
from cli.replay_look import UsageError
from domain.batch import Position
from domain.commands import ClockTick
from streams.logs import SQLiteCommandLog
from streams.replay_logs import CommandLogFile, LogUnreadableError
from tests.integration.replay.written import (
    BATCHES,
    OPENING_NS,
    SECOND,
    SESSION,
    Written,
    alter,
    drop,
    encoded,
    flip,
    write,
)


def test_every_position_has_the_state_the_matcher_had(written: Written) -> None:
    for position in range(written.end + 1):
        result = replay(written.folder, ReplayOptions(to_position=position))
        assert result.position == position
        assert result.state_hash.hex() == written.state_hashes[position]
        assert result.chain.hex() == written.chains[position]
        assert result.trading_time_ns == written.times_ns[position]
        assert (result.agrees_at, result.agrees) == (position, True)


def test_goes_to_the_end_when_no_target_is_named(written: Written) -> None:
    result = replay(written.folder, ReplayOptions())
    assert (result.position, result.log_end, result.equal) == (written.end, written.end, True)
    assert result.tally.commands == sum(len(batch) for batch in BATCHES)


@pytest.mark.parametrize(
    ("time_ns", "position"),
    [
        (0, 0),
        (OPENING_NS - 1, 0),
        (OPENING_NS, 2),
        (OPENING_NS + SECOND - 1, 2),
        (OPENING_NS + SECOND, 4),
        (OPENING_NS + 2 * SECOND, 7),
        (OPENING_NS + 9 * SECOND, 10),
        (OPENING_NS + 10 * SECOND, 11),
        (2**63 - 1, 11),
    ],
)
def test_a_time_is_what_stood_until_trading_time_passed_it(
    written: Written, time_ns: int, position: int
) -> None:
    result = replay(written.folder, ReplayOptions(to_time_ns=time_ns))
    assert result.position == position
    assert result.state_hash.hex() == written.state_hashes[position]


def test_a_tick_that_is_refused_does_not_end_the_time(tmp_path: Path) -> None:
    repeated = encoded(1, [ClockTick(OPENING_NS + 100 * SECOND)])
    made = write(tmp_path, raw=[repeated, encoded(99, [ClockTick(OPENING_NS + 11 * SECOND)])])
    assert made.times_ns[-2] == made.times_ns[-3]  # a repeat: its tick never came
    result = replay(tmp_path, ReplayOptions(to_time_ns=OPENING_NS + 11 * SECOND))
    assert result.position == made.end
    before = replay(tmp_path, ReplayOptions(to_time_ns=OPENING_NS + 10 * SECOND))
    assert before.position == made.end - 1


def test_the_book_as_it_stood(written: Written) -> None:
    book = replay(written.folder, ReplayOptions(to_position=3, book="aapl", depth=1)).book
    assert book is not None
    assert (book.bids, book.bid_count) == ([(9_900, 100, 1)], 2)
    assert (book.asks, book.ask_count) == ([(10_100, 70, 1)], 1)
    assert (book.symbol, book.state) == ("AAPL", "open")
    later = replay(written.folder, ReplayOptions(book="MSFT")).book
    assert later is not None
    assert (later.state, later.bids, later.asks) == ("closed", [], [])


def test_a_book_is_not_there_before_its_listing(written: Written) -> None:
    with pytest.raises(UsageError, match="no instrument AAPL at position 0; listed: none"):
        replay(written.folder, ReplayOptions(to_position=0, book="AAPL"))


def test_a_position_past_the_end_is_refused(written: Written) -> None:
    with pytest.raises(UsageError, match="past the log's end, 11"):
        replay(written.folder, ReplayOptions(to_position=12))


def test_another_shard_has_its_own_logs(tmp_path: Path) -> None:
    made = write(tmp_path, shard=3)
    result = replay(tmp_path, ReplayOptions(shard=3, verify=True))
    assert result.equal
    assert result.state_hash.hex() == made.state_hashes[-1]
    with pytest.raises(LogUnreadableError, match="commands-0"):
        replay(tmp_path, ReplayOptions())


def test_without_an_event_log_there_is_nothing_to_compare_with(
    copy: Path, written: Written
) -> None:
    (copy / "events-0.sqlite").unlink()
    result = replay(copy, ReplayOptions())
    assert result.agrees_at is None
    assert result.state_hash.hex() == written.state_hashes[-1]


def test_a_command_that_changed_shows_in_the_chain(copy: Path) -> None:
    flip(copy, "commands", 4, 60, 1)
    result = replay(copy, ReplayOptions())
    assert (result.equal, result.tally.undecodable) == (False, 1)
    assert replay(copy, ReplayOptions(to_position=3)).equal


def test_a_missing_position_ends_the_log(copy: Path) -> None:
    drop(copy, "commands", 5)
    with pytest.raises(LogUnreadableError, match="position 5 is missing in the command log"):
        replay(copy, ReplayOptions())
    assert replay(copy, ReplayOptions(to_position=4)).equal


def test_a_newer_release_is_not_guessed_at(tmp_path: Path) -> None:
    import zlib

    batch = bytearray(encoded(12, [ClockTick(OPENING_NS + 20 * SECOND)]))
    batch[8] = 9
    batch[4:8] = zlib.crc32(batch[8:]).to_bytes(4, "little")
    made = write(tmp_path)
    log = SQLiteCommandLog(tmp_path, 0)
    log.append(SESSION, 12, bytes(batch))
    log.close()
    with pytest.raises(LogUnreadableError, match="position 12 was written by a newer release"):
        replay(tmp_path, ReplayOptions())
    assert replay(tmp_path, ReplayOptions(to_position=made.end)).equal


# --- files ----------------------------------------------------------------------------------------


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_logs_are_only_read(copy: Path) -> None:
    before = digests(copy)
    replay(copy, ReplayOptions(verify=True, book="AAPL"))
    assert digests(copy) == before


def test_reads_beside_a_writer_and_no_further_than_when_it_began(copy: Path) -> None:
    log = SQLiteCommandLog(copy, 0)
    seen: list[int] = []

    def grow(position: int, until: int, _commands: int) -> None:
        seen.append(until)
        log.append(SESSION, 1000 + position, encoded(1000 + position, []))

    for number in range(12, 300):
        log.append(SESSION, number, encoded(number, []))
    end = log.head()
    result = replay(copy, ReplayOptions(), progress=grow)
    assert (result.position, result.log_end) == (end, end)
    assert seen and log.head() > end
    log.close()


def test_notices_an_exchange_that_opens_a_closed_log(copy: Path) -> None:
    with CommandLogFile(copy, 0) as closed:
        assert closed.end() == 11
        log = SQLiteCommandLog(copy, 0)
        log.append(SESSION, 12, encoded(12, []))
        assert closed.end() == 12
        assert [row.position for row in closed.read(10, 12)] == [11, 12]
        log.close()


@pytest.mark.parametrize("log", ["commands", "events"])
def test_what_is_no_log_is_said_to_be_none(copy: Path, log: str) -> None:
    path = copy / f"{log}-0.sqlite"
    other = copy / f"{'events' if log == 'commands' else 'commands'}-0.sqlite"
    verify = ReplayOptions(verify=True)
    shutil.copy(other, path)
    with pytest.raises(LogUnreadableError, match="holds 'crossbook"):
        replay(copy, verify)
    path.write_text("To whom it may concern\n" * 300)
    with pytest.raises(LogUnreadableError, match="is not an SQLite file"):
        replay(copy, verify)
    path.write_bytes(b"")
    with pytest.raises(LogUnreadableError, match="is not an SQLite file"):
        replay(copy, verify)
    path.unlink()
    with pytest.raises(LogUnreadableError, match="there is no"):
        replay(copy, verify)
    path.mkdir()
    with pytest.raises(LogUnreadableError, match="directory"):
        replay(copy, verify)


def test_a_torn_file_is_unreadable(copy: Path) -> None:
    path = copy / "commands-0.sqlite"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(LogUnreadableError, match="malformed"):
        replay(copy, ReplayOptions())


def test_a_database_of_another_kind_is_none_of_ours(copy: Path) -> None:
    alter(copy, "commands", "ALTER TABLE stored_events RENAME TO notes")
    with pytest.raises(LogUnreadableError, match="no such table"):
        replay(copy, ReplayOptions())


def test_an_event_log_that_cannot_be_read_does_not_keep_the_state_back(
    copy: Path, written: Written
) -> None:
    (copy / "events-0.sqlite").write_text("gone")
    result = replay(copy, ReplayOptions())
    assert result.state_hash.hex() == written.state_hashes[-1]
    assert "not an SQLite file" in result.unreadable


# --- snapshots ------------------------------------------------------------------------------------


class Kept:
    """Snapshots in memory."""

    def __init__(self, kept: dict[int, tuple[Position, list[bytes]]]) -> None:
        self.kept = kept

    def newest_sound(
        self, shard: int, at_most_position: int | None = None
    ) -> tuple[Position, list[bytes]] | None:
        sound = [each for each in self.kept if each <= (at_most_position or 0)]
        return self.kept[max(sound)] if sound else None


def test_a_snapshot_gives_the_same_state_sooner(written: Written) -> None:
    snapshots = Kept({each: written.snapshots[each] for each in (2, 6, 9)})
    for position in range(2, written.end + 1):
        result = replay(written.folder, ReplayOptions(to_position=position), snapshots=snapshots)
        assert result.began_at == max(each for each in snapshots.kept if each <= position)
        assert result.state_hash.hex() == written.state_hashes[position]
        assert (result.chain.hex(), result.equal) == (written.chains[position], True)


def test_a_snapshot_past_the_time_is_passed_over(written: Written) -> None:
    options = ReplayOptions(to_time_ns=OPENING_NS + SECOND)
    snapshots = Kept({each: written.snapshots[each] for each in (2, 6)})
    result = replay(written.folder, options, snapshots=snapshots)
    assert (result.began_at, result.position) == (2, 4)
    assert result.state_hash.hex() == written.state_hashes[4]


def test_a_snapshot_of_another_log_is_passed_over(written: Written) -> None:
    at, chunks = written.snapshots[6]
    damaged = [chunks[0][:60] + b"?" + chunks[0][61:], *chunks[1:]]
    snapshots = Kept({5: (Position(5, bytes(32)), chunks), 6: (at, damaged)})
    result = replay(written.folder, ReplayOptions(), snapshots=snapshots)
    assert (result.began_at, result.state_hash.hex()) == (0, written.state_hashes[-1])
    assert len(result.notes) == 3
