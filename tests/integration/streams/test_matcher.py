"""The matcher over real SQLite logs: what it answers does not depend on how often it was
interrupted.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from eventsourcing.persistence import IntegrityError

from domain.batch import ForkError, Position
from domain.commands import MassCancel, SubmitOrder
from domain.snapshot import state_hash
from domain.wire import chain_of, decode_event_header
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from tests.integration.streams.helpers import (
    at_once,
    batch_of,
    fill,
    matcher_of,
    records_of,
    run_out,
)


def copy_log(source: Path, target: Path, name: str) -> None:
    """Copy a log file with its write-ahead file."""
    target.mkdir()
    for path in source.glob(f"{name}-0.sqlite*"):
        shutil.copy(path, target)


class MemorySnapshots:
    """The newest snapshots, as chunks."""

    def __init__(self) -> None:
        self.kept: list[tuple[Position, list[bytes]]] = []

    def save(self, shard: int, at: Position, chunks: list[bytes]) -> None:
        self.kept.append((at, chunks))

    def newest_sound(
        self, shard: int, at_most_position: int | None = None
    ) -> tuple[Position, list[bytes]] | None:
        sound = [each for each in self.kept if each[0].position <= (at_most_position or 0)]
        return sound[-1] if sound else None


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Path, list[bytes], bytes]:
    """A folder with 40 batches matched in one go, its event records and the final state hash."""
    folder = tmp_path / "whole"
    fill(SQLiteCommandLog(folder, 0), 40)
    matcher = matcher_of(folder)
    run_out(matcher)
    return folder, records_of(folder), state_hash(matcher.exchange)


def test_answers_every_position_once_and_chains_them(
    whole: tuple[Path, list[bytes], bytes],
) -> None:
    _, records, _ = whole
    chain = bytes(32)
    for position, record in enumerate(records, start=1):
        header = decode_event_header(record)
        chain = chain_of(chain, record)
        assert (header.position, header.chain) == (position, chain)
    assert len(records) == 40


@pytest.mark.parametrize("cut", [0, 1, 2, 17, 39])
def test_a_new_matcher_goes_on_with_the_same_bytes(
    whole: tuple[Path, list[bytes], bytes], tmp_path: Path, cut: int
) -> None:
    source, records, final = whole
    folder = tmp_path / "cut"
    copy_log(source, folder, "commands")
    events = SQLiteEventLog(folder, 0)
    events.append([(place + 1, [records[place]]) for place in range(cut)])
    matcher = matcher_of(folder)
    assert matcher.exchange.position == cut
    run_out(matcher)
    assert records_of(folder) == records
    assert state_hash(matcher.exchange) == final


def test_large_batches_are_cut_into_parts_and_joined_again(tmp_path: Path) -> None:
    log = SQLiteCommandLog(tmp_path, 0)
    fill(log, 2)
    orders = [SubmitOrder(1, 1, 0, 0, 1, 100 * (each + 1), 5) for each in range(2_000)]
    log.append(bytes(8) + b"another.", 1, batch_of(1, *orders, session=bytes(8) + b"another."))
    fill(log, 1, first=3)
    log.append(SESSION_TWO, 1, batch_of(1, MassCancel(1, 0, 2), session=SESSION_TWO))
    run_out(matcher_of(tmp_path, record_bytes_max=4_096))
    cut = records_of(tmp_path)
    again = tmp_path / "again"
    copy_log(tmp_path, again, "commands")
    run_out(matcher_of(again))
    assert cut == records_of(again)
    assert matcher_of(tmp_path, record_bytes_max=4_096).exchange.position == 5


SESSION_TWO = bytes(8) + b"mass can"


def test_the_second_of_two_matchers_on_one_log_stops(tmp_path: Path) -> None:
    log = SQLiteCommandLog(tmp_path, 0)
    fill(log, 5)
    first, second = matcher_of(tmp_path), matcher_of(tmp_path)
    first.step()
    with pytest.raises(IntegrityError):
        second.step()
    run_out(first)
    assert len(records_of(tmp_path)) == 5


def test_restores_a_snapshot_and_replays_only_the_tail(tmp_path: Path) -> None:
    log = SQLiteCommandLog(tmp_path, 0)
    fill(log, 20)
    snapshots = MemorySnapshots()
    matcher = matcher_of(tmp_path, snapshots=snapshots)
    run_out(matcher)
    matcher.save_snapshot(wait=True)
    fill(log, 10, first=21)
    run_out(matcher)
    again = matcher_of(tmp_path, snapshots=snapshots)
    assert again.dirty_commands == 100  # the ten batches after the snapshot, ten commands each
    assert state_hash(again.exchange) == state_hash(matcher.exchange)


def test_a_young_log_has_a_snapshot_whenever_it_has_doubled(tmp_path: Path) -> None:
    log = SQLiteCommandLog(tmp_path, 0)
    snapshots = MemorySnapshots()
    matcher = matcher_of(tmp_path, snapshots=snapshots, aside=at_once)
    fill(log, 1_000)  # of ten commands each
    run_out(matcher)
    positions = [at.position for at, _ in snapshots.kept]
    assert [position // 100 for position in positions] == [1, 2, 4, 8]


def test_a_damaged_or_foreign_snapshot_falls_back_to_the_log(tmp_path: Path) -> None:
    fill(SQLiteCommandLog(tmp_path, 0), 20)
    snapshots = MemorySnapshots()
    matcher = matcher_of(tmp_path, snapshots=snapshots)
    run_out(matcher)
    matcher.save_snapshot(wait=True)
    at, chunks = snapshots.kept[0]
    damaged = bytes([*chunks[0][:200], chunks[0][200] ^ 1, *chunks[0][201:]])
    snapshots.kept = [(Position(at.position, bytes(32)), chunks), (at, [damaged, *chunks[1:]])]
    again = matcher_of(tmp_path, snapshots=snapshots)
    assert again.dirty_commands > 100
    assert state_hash(again.exchange) == state_hash(matcher.exchange)


def test_an_event_log_of_another_history_stops_the_matcher(
    whole: tuple[Path, list[bytes], bytes], tmp_path: Path
) -> None:
    source, records, _ = whole
    folder = tmp_path / "other"
    copy_log(source, folder, "events")
    fill(SQLiteCommandLog(folder, 0), 12)
    with pytest.raises(ForkError, match="not the one that made them"):
        matcher_of(folder)
    log = SQLiteCommandLog(folder, 0)
    for number in range(13, 41):
        log.append(bytes(8) + b"stranger", number, batch_of(number, session=bytes(8) + b"stranger"))
    with pytest.raises(ForkError, match="another history"):
        matcher_of(folder)
    assert len(records) == 40


def test_an_undecodable_batch_is_answered_and_the_shard_goes_on(tmp_path: Path) -> None:
    log = SQLiteCommandLog(tmp_path, 0)
    fill(log, 2)
    log.append(bytes(8) + b"garbage!", 1, b"not a batch at all")
    fill(log, 2, first=3)
    run_out(matcher_of(tmp_path))
    statuses = [decode_event_header(record).status for record in records_of(tmp_path)]
    assert statuses == [0, 0, 2, 0, 0]
