"""Whatever is changed in either log is found, and named: the position, the byte, the bit."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from cli.replay import ReplayOptions, replay
from domain.commands import Command, MassCancel
from domain.wire import decode_event_header
from streams.replay_logs import LogUnreadableError
from tests.integration.replay.written import (
    BATCHES,
    BUY,
    Written,
    alter,
    drop,
    encoded,
    first_of,
    flip,
    limit,
    put_record,
    record_at,
    row_of,
    verify,
    write,
)


def test_sound_logs_are_equal(written: Written) -> None:
    result = verify(written.folder)
    assert result.verified is not None
    assert (result.equal, result.unreadable) == (True, "")
    assert (result.verified.compared, result.verified.unmatched) == (written.end, 0)
    assert result.state_hash.hex() == written.state_hashes[-1]


def test_a_range_is_verified_alone(copy: Path) -> None:
    flip(copy, "events", 9, 130, 2)
    assert verify(copy, to_position=8).equal
    assert not verify(copy, to_position=9).equal


# --- one bit of an event batch --------------------------------------------------------------------

HEADER = [
    (0, "magic"),
    (4, "wire version"),
    (6, "rules version"),
    (8, "position"),
    (16, "shard"),
    (20, "status"),
    (21, "last-part flag"),
    (22, "part number"),
    (24, "session"),
    (40, "batch number"),
    (48, "audit timestamp"),
    (56, "trading time"),
    (64, "command count"),
    (68, "event count"),
    (72, "body length"),
    (80, "chain: it does not follow from the batches before, though the events are the same"),
    (111, "chain"),
]


@pytest.mark.parametrize(("byte", "name"), HEADER)
@pytest.mark.parametrize("bit", [0, 7])
def test_a_bit_of_an_event_header_is_named(copy: Path, byte: int, name: str, bit: int) -> None:
    flip(copy, "events", 4, byte, bit)
    result = verify(copy)
    assert result.verified is not None
    first = result.verified.first
    assert first is not None
    assert (first.kind, first.log, first.position) == ("bytes", "events", 4)
    assert (first.part, first.byte, first.bit, first.bits) == (0, byte, bit, 1)
    assert first.what.startswith(f"the header's {name}")
    assert result.verified.differing == 1


EVENTS = [
    # position, event, byte in its record, bit, what is said
    (1, 0, 8, 0, "event 0 of the record, AccountUpdated: account is 0, not 1"),
    (1, 2, 32, 1, "event 2 of the record, InstrumentListed: symbol is b'CAPL', not b'AAPL'"),
    (1, 4, 8, 3, "event 4 of the record, ClockTicked: time_ns is"),
    (2, 0, 28, 3, "event 0 of the record, OrderAccepted: quantity is 108, not 100"),
    (
        2,
        0,
        40,
        0,
        "event 0 of the record, OrderAccepted: client_order_id is b'cid-1', not b'bid-1'",
    ),
    (2, 0, 47, 0, "event 0 of the record, OrderAccepted, its padding"),
    (2, 1, 0, 0, "event 1 of the record, LevelChanged, its type or length"),
    (2, 1, 1, 4, "event 1 of the record, LevelChanged, its type or length"),
    (2, 0, 7, 3, "event 0 of the record, OrderAccepted, its client order id's length"),
    (4, 1, 44, 1, "event 1 of the record, OrderExecuted: quantity is 28, not 30"),
    (6, 0, 24, 2, "event 0 of the record, OrderReplaced: price_ticks is 9696, not 9700"),
    (11, 0, 8, 0, "event 0 of the record, ClockTicked: time_ns is"),
]


def event_at(record: bytes, index: int) -> int:
    at = 112
    for _ in range(index):
        at += record[at + 1] * 8
    return at


@pytest.mark.parametrize(("position", "index", "byte", "bit", "what"), EVENTS)
def test_a_bit_of_an_event_is_named_with_its_field(
    copy: Path, position: int, index: int, byte: int, bit: int, what: str
) -> None:
    at = event_at(record_at(copy, "events", position), index) + byte
    flip(copy, "events", position, at, bit)
    first = first_of(copy)
    assert (first.position, first.byte, first.bit) == (position, at, bit)
    assert first.what.startswith(what)


def test_any_bit_of_the_event_log_is_found_where_it_is(copy: Path, written: Written) -> None:
    choose = random.Random(4)
    for _ in range(60):
        position = choose.randint(1, written.end)
        record = record_at(copy, "events", position)
        byte, bit = choose.randrange(len(record)), choose.randrange(8)
        flip(copy, "events", position, byte, bit)
        first = first_of(copy)
        assert (first.log, first.position) == ("events", position)
        assert (first.byte, first.bit, first.bits) == (byte, bit, 1)
        put_record(copy, "events", position, record)
    assert verify(copy).equal


def test_the_first_of_several_is_named_and_all_are_counted(copy: Path) -> None:
    for position in (9, 3, 7):
        flip(copy, "events", position, 120, 5)
    flip(copy, "events", 3, 90, 5)
    result = verify(copy)
    assert result.verified is not None and result.verified.first is not None
    first = result.verified.first
    assert (first.position, first.byte, first.bits) == (3, 90, 2)
    assert result.verified.differing == 3


def test_a_record_that_is_too_short_or_too_long_is_told(copy: Path) -> None:
    record = record_at(copy, "events", 4)
    put_record(copy, "events", 4, record[:-8])
    first = first_of(copy)
    assert (first.kind, first.position, first.byte) == ("length", 4, len(record) - 8)
    put_record(copy, "events", 4, record + bytes(8))
    assert first_of(copy).byte == len(record)
    put_record(copy, "events", 4, b"")
    assert (first_of(copy).kind, first_of(copy).byte) == ("length", 0)


# --- one bit of a command batch -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("byte", "bit", "what"),
    [
        (0, 1, "the header's magic"),
        (5, 3, "the header's checksum"),
        (8, 0, "the header's wire version"),
        (8, 3, "the header's wire version"),
        (12, 0, "the header's command count"),
        (20, 4, "the header's session"),
        (32, 2, "the header's batch number"),
        (40, 6, "the header's audit timestamp"),
        (48, 1, "command 0, SubmitOrder"),
        (56, 1, "command 0, SubmitOrder: account is 0, not 2"),
        (68, 0, "command 0, SubmitOrder: quantity is 31, not 30"),
    ],
)
def test_a_bit_of_a_command_batch_is_named(copy: Path, byte: int, bit: int, what: str) -> None:
    flip(copy, "commands", 4, byte, bit)
    result = verify(copy)
    assert result.verified is not None
    first = result.verified.first
    assert first is not None
    assert (first.kind, first.log, first.position) == ("damaged", "commands", 4)
    assert (first.byte, first.bit) == (byte, bit)
    assert first.what.startswith(what)
    # With the bit flipped back, nothing else differs.
    assert (result.verified.differing, result.verified.mended) == (1, [4])


def test_any_bit_of_the_command_log_is_found_where_it_is(copy: Path, written: Written) -> None:
    choose = random.Random(5)
    for _ in range(60):
        position = choose.randint(1, written.end)
        record = record_at(copy, "commands", position)
        byte, bit = choose.randrange(len(record)), choose.randrange(8)
        flip(copy, "commands", position, byte, bit)
        first = first_of(copy)
        assert (first.log, first.position, first.byte, first.bit) == (
            "commands",
            position,
            byte,
            bit,
        )
        put_record(copy, "commands", position, record)
    assert verify(copy).equal


def test_two_bits_of_a_command_batch_are_damage_without_a_place(copy: Path) -> None:
    flip(copy, "commands", 4, 60, 1)
    flip(copy, "commands", 4, 66, 1)
    first = first_of(copy)
    assert (first.kind, first.log, first.position, first.byte) == ("damaged", "commands", 4, None)
    assert "the checksum does not match" in first.what


def test_a_batch_that_never_could_be_decoded_is_no_difference(tmp_path: Path) -> None:
    whole = encoded(12, [limit(BUY, 9_900, 1)])
    write(tmp_path, raw=[whole[:-1] + b"?", b"", b"XBC1", bytes(300)])
    result = verify(tmp_path)
    assert (result.equal, result.tally.undecodable) == (True, 4)


def test_a_command_that_was_written_anew_is_another_history(copy: Path) -> None:
    put_record(copy, "commands", 2, encoded(2, [limit(BUY, 9_900, 101, "bid-1")]))
    result = verify(copy)
    assert result.verified is not None and result.verified.first is not None
    first = result.verified.first
    assert (first.log, first.position) == ("events", 2)
    assert "command count" in first.what
    assert result.verified.differing == 10


# --- missing and extra batches --------------------------------------------------------------------


def test_a_dropped_event_batch_is_missing(copy: Path) -> None:
    drop(copy, "events", 5)
    result = verify(copy)
    assert result.verified is not None and result.verified.first is not None
    assert (result.verified.first.kind, result.verified.first.position) == ("missing", 5)
    assert result.verified.first.log == "events"
    assert result.verified.differing == 1


def test_event_batches_at_the_end_may_be_still_to_come(copy: Path, written: Written) -> None:
    for position in (10, 11):
        drop(copy, "events", position)
    result = verify(copy)
    assert result.verified is not None
    assert (result.equal, result.verified.unmatched) == (True, 2)
    assert result.state_hash.hex() == written.state_hashes[-1]
    first = first_of(copy, to_position=11)
    assert (first.kind, first.position) == ("missing", 10)


def test_an_event_log_with_nothing_in_it_is_unmatched(copy: Path) -> None:
    alter(copy, "events", "DELETE FROM stored_events")
    result = verify(copy)
    assert result.verified is not None
    assert (result.equal, result.verified.compared, result.verified.unmatched) == (True, 0, 11)


def test_a_dropped_command_batch_is_missing(copy: Path) -> None:
    drop(copy, "commands", 5)
    first = first_of(copy)
    assert (first.kind, first.log, first.position) == ("missing", "commands", 5)


def test_a_command_log_that_ends_too_soon_leaves_extra_events(copy: Path) -> None:
    drop(copy, "commands", 11)
    drop(copy, "commands", 10)
    result = verify(copy)
    assert result.verified is not None and result.verified.first is not None
    first = result.verified.first
    assert (first.kind, first.log, first.position) == ("extra", "events", 10)
    assert "goes on to 11, the command log ends at 9" in first.what
    assert result.verified.differing == 2


def test_the_log_of_another_exchange_is_told_from_damage(copy: Path, tmp_path: Path) -> None:
    other: list[list[Command]] = [BATCHES[0], *(list(batch) for batch in BATCHES[1:])]
    other[2] = [limit(BUY, 9_000, 1), *other[2]]
    write(tmp_path / "other", other)
    shutil.copy(tmp_path / "other" / "events-0.sqlite", copy)
    result = verify(copy)
    assert result.verified is not None and result.verified.first is not None
    assert result.verified.first.position == 3
    assert result.verified.differing == 9
    plain = replay(copy, ReplayOptions())
    assert (plain.equal, plain.agrees_at) == (False, 11)


def test_a_changed_history_with_its_own_chain_is_found(copy: Path, tmp_path: Path) -> None:
    """Same length, same header: the events differ, and the chain was made to fit them."""
    other = [list(batch) for batch in BATCHES]
    other[1] = [limit(BUY, 9_900, 99, "bid-1"), *other[1][1:]]
    write(tmp_path / "other", other)
    shutil.copy(tmp_path / "other" / "events-0.sqlite", copy)
    first = first_of(copy)
    assert (first.position, first.byte) == (2, 80)
    assert "OrderAccepted: quantity is 99, not 100: another history from here on" in first.what


# --- batches in several parts ---------------------------------------------------------------------


@pytest.fixture
def in_parts(tmp_path: Path) -> Path:
    """Position 12 has 40 orders and position 13 cancels them: several parts each."""
    orders = [limit(BUY, 9_000 + 100 * (each % 9), 1 + each) for each in range(40)]
    write(tmp_path, [*BATCHES, [*orders], [MassCancel(1, 0, 2)]], record_bytes_max=1024)
    assert decode_event_header(record_at(tmp_path, "events", 12, 3)).part == 3
    assert verify(tmp_path).equal
    return tmp_path


def test_a_bit_of_a_later_part_is_named(in_parts: Path) -> None:
    flip(in_parts, "events", 12, 300, 6, part=2)
    first = first_of(in_parts)
    assert (first.position, first.part, first.byte, first.bit) == (12, 2, 300, 6)
    assert "of the record, " in first.what


def test_a_missing_part_is_named(in_parts: Path) -> None:
    drop(in_parts, "events", 12, part=1)
    first = first_of(in_parts)
    assert (first.kind, first.position, first.part) == ("part", 12, 1)


def test_a_missing_last_part_is_named(in_parts: Path) -> None:
    parts = 0
    with sqlite3.connect(in_parts / "events-0.sqlite") as connection:
        parts = connection.execute(
            "SELECT count(*) FROM stored_events WHERE originator_version >> 16 = 13"
        ).fetchone()[0]
    connection.close()
    drop(in_parts, "events", 13, part=parts - 1)
    first = first_of(in_parts)
    assert (first.kind, first.position, first.part) == ("part", 13, parts - 1)


# --- rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", ["commands", "events"])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("topic", "crossbook.CommandBatch?"),
        ("originator_id", "0" * 31 + "7"),
        ("originator_version", (1 << 20) + 4),
    ],
)
def test_a_row_under_another_key_is_found(copy: Path, log: str, column: str, value: object) -> None:
    where, key = row_of(log, 4)
    alter(copy, log, f"UPDATE stored_events SET {column} = ? WHERE {where}", value, key)
    first = first_of(copy)
    assert (first.log, first.position) == (log, 4)
    assert first.kind in ("key", "missing")


def test_a_row_of_another_shard_does_not_belong(copy: Path) -> None:
    alter(
        copy,
        "events",
        "INSERT INTO stored_events VALUES ('ab', 65536, 'crossbook.EventBatch', x'00')",
    )
    first = first_of(copy)
    assert (first.kind, first.log, first.position) == ("key", "events", 1)
    assert "1 rows are filed under another shard" in first.what


def test_a_row_that_is_no_bytes_at_all_is_found(copy: Path) -> None:
    alter(
        copy, "events", "UPDATE stored_events SET state = 17 WHERE originator_version = ?", 4 << 16
    )
    assert (first_of(copy).kind, first_of(copy).position) == ("length", 4)


def test_an_event_log_of_a_newer_release_is_unreadable(copy: Path) -> None:
    record = bytearray(record_at(copy, "events", 4))
    record[4] = 2
    record[80:112] = bytes(32)
    put_record(copy, "events", 4, bytes(record))
    with pytest.raises(LogUnreadableError, match="position 4 was written by a newer release"):
        verify(copy)
