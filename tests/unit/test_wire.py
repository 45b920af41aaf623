"""The bytes of both logs: golden records of version 1, which every later release must still read.

Hex is grouped by words of 8 bytes, as `domain.wire` and `domain.event_records` draw them. What
stands here never changes; a new version gets new goldens beside these.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable

import pytest
from librt.strings import BytesWriter

from domain import event_records, wire
from domain.commands import (
    CancelOrder,
    ClockTick,
    Command,
    ListInstrument,
    MassCancel,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)
from domain.event_records import decode_events
from domain.events import (
    AccountUpdated,
    ClockTicked,
    Event,
    InstrumentListed,
    LevelChanged,
    MassCancelled,
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderExpired,
    OrderRejected,
    OrderRepeated,
    OrderReplaced,
    TradingStateChanged,
)
from tests.reference.records import batch_of, record_of

ORDER = 3 << 55 | 5 << 16 | 1  # shard 3, position 5, command 1
OTHER = 3 << 55 | 4 << 16
PARTIES = 7 | 3 << 32  # account 7, instrument 3
NOON_NS = 1_340_271_000_000_000_000
SESSION = bytes(range(16))

COMMANDS: list[tuple[Command, str]] = [
    (
        SubmitOrder(7, 3, 1, 0, 2, 1_852_300, 400, b"my-order-1"),
        "01050a0001000200 0700000003000000 8c431c0090010000 6d792d6f72646572 2d31000000000000",
    ),
    (
        SubmitOrder(7, 3, 0, 1, 3, 0, 2**32 - 1),
        "0103000000010300 0700000003000000 00000000ffffffff",
    ),
    (
        CancelOrder(7, 3, ORDER),
        "0203000000000000 0700000003000000 0100050000008001",
    ),
    (
        CancelOrder(2**32 - 1, 2**32 - 1, 0, b"12345678"),
        "0204080000000000 ffffffffffffffff 0000000000000000 3132333435363738",
    ),
    (
        ReplaceOrder(7, 3, ORDER, 2**32 - 1, 10**9, 3, b"x"),
        "0305010300000000 0700000003000000 0100050000008001 ffffffff00ca9a3b 7800000000000000",
    ),
    (MassCancel(7, 3, 2), "0402000002000000 0700000003000000"),
    (SetTradingState(3, 2), "0502000002000000 0000000003000000"),
    (ClockTick(NOON_NS), "0602000000000000 00f0c1995f999912"),
    (
        ListInstrument(3, b"BRK/A", 100, 10, 5000, 1),
        "0705000001000000 0000000003000000 640000000a000000 8813000000000000 42524b2f41000000",
    ),
    (
        SetAccount(1_048_575, 250, True),
        "0803000100000000 ffff0f0000000000 fa00000000000000",
    ),
]

EVENTS: list[tuple[Event, Callable[..., None], tuple[int, ...], str]] = [
    (
        OrderAccepted(1, 7, 3, ORDER, 1, 0, 2, 1_852_300, 400, 9, b""),
        event_records.write_accepted,
        (1, PARTIES, ORDER, 1 | 2 << 16, 1_852_300 | 400 << 32, 9),
        "0105010001000200 0700000003000000 0100050000008001 8c431c0090010000 0900000000000000",
    ),
    (
        OrderRejected(1, 1, 17, 7, 3, ORDER, 1, 1, 3, 0, 2**32 - 1, b""),
        event_records.write_rejected,
        (1, 1 | 17 << 8 | (1 + 4 + 48) << 16, PARTIES, ORDER, -1 << 32),
        "0204010001113500 0700000003000000 0100050000008001 00000000ffffffff",
    ),
    (
        OrderExecuted(65_534, 3, 1, ORDER, 7, 300, OTHER, 8, 0, 1_852_300, 100, 77, 10),
        event_records.write_executed,
        (65_534 | 1 << 16, ORDER, 7 | 300 << 32, OTHER, 8, 1_852_300 | 100 << 32, 77, 10, 3),
        "0309feff01000000 070000002c010000 0100050000008001 0800000000000000 0000040000008001"
        " 8c431c0064000000 4d00000000000000 0a00000000000000 0300000000000000",
    ),
    (
        OrderCancelled(1, 7, 3, ORDER, 1, 67, 1_852_300, 300, 11),
        event_records.write_cancelled,
        (4, 1, 1 | 67 << 8, PARTIES, ORDER, 1_852_300 | 300 << 32, 11),
        "0405010001430000 0700000003000000 0100050000008001 8c431c002c010000 0b00000000000000",
    ),
    (
        OrderReplaced(1, 7, 3, ORDER, 1, True, 1_852_300, 200, 1_852_300, 300, 100, 12),
        event_records.write_replaced,
        (
            1 | 1 << 16 | 1 << 24,
            PARTIES,
            ORDER,
            1_852_300 | 200 << 32,
            1_852_300 | 300 << 32,
            100,
            12,
        ),
        "0507010001010000 0700000003000000 0100050000008001 8c431c00c8000000 8c431c002c010000"
        " 6400000000000000 0c00000000000000",
    ),
    (
        OrderExpired(1, 7, 3, ORDER, 0, 71, 1_852_300, 300, 13),
        event_records.write_cancelled,
        (6, 1, 71 << 8, PARTIES, ORDER, 1_852_300 | 300 << 32, 13),
        "0605010000470000 0700000003000000 0100050000008001 8c431c002c010000 0d00000000000000",
    ),
    (
        LevelChanged(1, 3, 1, 2**32 - 1, 2**62 - 1, 2, 14),
        event_records.write_level,
        (1 | 1 << 16, 2 | 3 << 32, 2**32 - 1, 2**62 - 1, 14),
        "0705010001000000 0200000003000000 ffffffff00000000 ffffffffffffff3f 0e00000000000000",
    ),
    (
        TradingStateChanged(1, 3, 3, 2, 15),
        event_records.write_state_changed,
        (1, 3 | 2 << 8, 3, 15),
        "0803010003020000 0000000003000000 0f00000000000000",
    ),
    (
        InstrumentListed(1, 3, b"BRK/A", 100, 10, 5000, 1, 1),
        event_records.write_listed,
        (1 | 1 << 16, 3, 100 | 10 << 32, 5000, int.from_bytes(b"BRK/A", "little"), 1),
        "0906010001000000 0000000003000000 640000000a000000 8813000000000000 42524b2f41000000"
        " 0100000000000000",
    ),
    (
        AccountUpdated(1, 7, 250, True),
        event_records.write_simple,
        (10, 1, 1, 7, 250),
        "0a03010001000000 0700000000000000 fa00000000000000",
    ),
    (
        ClockTicked(1, NOON_NS),
        event_records.write_simple,
        (11, 1, 0, NOON_NS, 0),
        "0b03010000000000 00f0c1995f999912 0000000000000000",
    ),
    (
        OrderRepeated(1, 7, 3, OTHER),
        event_records.write_simple,
        (12, 1, 0, PARTIES, OTHER),
        "0c03010000000000 0700000003000000 0000040000008001",
    ),
    (
        MassCancelled(1, 7, 3, 2, 40_000),
        event_records.write_simple,
        (13, 1, 2, PARTIES, 40_000),
        "0d03010002000000 0700000003000000 409c000000000000",
    ),
]

COMMAND_BATCH = (
    "584243314569b9e3 0100010001000000 0001020304050607 08090a0b0c0d0e0f 0500000000000000"
    " 01f0c1995f999912 0402000002000000 0700000003000000"
)
EVENT_HEADER = (
    "5842453101000100 0500000000000000 0300000000010000 0001020304050607 08090a0b0c0d0e0f"
    " 0700000000000000 01f0c1995f999912 00f0c1995f999912 0200000001000000 1800000000000000"
    " 0000000000000000 0000000000000000 0000000000000000 0000000000000000"
)


def name_of(case: tuple[object, ...]) -> str:
    return type(case[0]).__name__


# --- commands ------------------------------------------------------------------


@pytest.mark.parametrize("case", COMMANDS, ids=name_of)
def test_every_command_record_has_its_bytes(case: tuple[Command, str]) -> None:
    command, golden = case
    record = bytes.fromhex(golden)
    assert wire.encode_command(command).hex(" ", -8) == record.hex(" ", -8)
    assert record_of(command) == record
    assert wire.decode_command(record, 0) == command


def test_a_command_batch_has_its_bytes() -> None:
    golden = bytes.fromhex(COMMAND_BATCH)
    records = [record_of(MassCancel(7, 3, 2))]
    assert wire.encode_batch(SESSION, 5, NOON_NS + 1, records) == golden
    header, commands = wire.decode_batch(golden)
    assert header == wire.CommandHeader(SESSION, 5, NOON_NS + 1, 1, 1, 1)
    assert commands == [MassCancel(7, 3, 2)]


def test_a_batch_may_be_empty_and_its_number_negative() -> None:
    header, commands = wire.decode_batch(wire.encode_batch(SESSION, -5, -1, []))
    assert (header.batch_number, header.audit_timestamp_ns, commands) == (-5, -1, [])


def test_all_commands_in_one_batch_come_back_in_order() -> None:
    commands = [command for command, _ in COMMANDS]
    batch = wire.encode_batch(SESSION, 1, 0, [wire.encode_command(c) for c in commands])
    header, decoded = wire.decode_batch(batch)
    assert decoded == commands
    assert header.command_count == len(commands)


@pytest.mark.parametrize("value", [2**31 - 1, 2**31, 2**32 - 1])
def test_numbers_of_32_bits_come_back_with_their_highest_bit(value: int) -> None:
    command = ReplaceOrder(value, value, value << 31, value, value, 0)
    assert wire.encode_command(command) == record_of(command)
    assert wire.decode_command(record_of(command), 0) == command


@pytest.mark.parametrize("length", range(37))
def test_a_client_order_id_of_any_length_comes_back(length: int) -> None:
    command = CancelOrder(1, 2, 0, b"0123456789abcdefghijklmnopqrstuvwxyz"[:length])
    record = wire.encode_command(command)
    assert len(record) == 24 + (length + 7) // 8 * 8
    assert wire.decode_command(record, 0) == command


def test_a_session_is_16_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        wire.encode_batch(bytes(15), 1, 0, [])


# --- unsound command batches ------------------------------------------------------------------


def sealed(tail: bytes) -> bytes:
    """Magic and a right checksum before whatever follows."""
    return b"XBC1" + zlib.crc32(tail).to_bytes(4, "little") + tail


def test_every_cut_of_a_batch_is_refused() -> None:
    batch = wire.encode_batch(SESSION, 1, 0, [record_of(command) for command, _ in COMMANDS])
    for size in range(len(batch)):
        with pytest.raises((wire.TruncatedError, wire.ChecksumError)):
            wire.decode_batch(batch[:size])


def test_every_cut_of_a_batch_is_truncated_even_with_a_right_checksum() -> None:
    batch = wire.encode_batch(SESSION, 1, 0, [record_of(command) for command, _ in COMMANDS])
    for size in range(8, len(batch)):
        with pytest.raises(wire.TruncatedError):
            wire.decode_batch(sealed(batch[8:size]))


def test_every_turned_bit_of_a_batch_is_refused() -> None:
    batch = bytes.fromhex(COMMAND_BATCH)
    for bit in range(len(batch) * 8):
        damaged = bytearray(batch)
        damaged[bit // 8] ^= 1 << bit % 8
        error = wire.UnknownRecordError if bit < 32 else wire.ChecksumError
        with pytest.raises(error):
            wire.decode_batch(bytes(damaged))


@pytest.mark.parametrize("kind", [0, 9, 127, 255])
def test_an_unknown_record_type_is_refused(kind: int) -> None:
    record = bytes([kind, 2]) + bytes(14)
    with pytest.raises(wire.UnknownRecordError, match=f"type {kind}"):
        wire.decode_batch(batch_of([record], session=SESSION, batch_number=1))


@pytest.mark.parametrize("words", [0, 1, 2, 4, 255])
def test_a_record_of_the_wrong_length_is_refused(words: int) -> None:
    record = bytes([2, words]) + bytes(22)
    with pytest.raises(wire.TruncatedError, match="wrong length"):
        wire.decode_batch(batch_of([record], session=SESSION, batch_number=1))


def test_a_client_order_id_longer_than_36_bytes_is_refused() -> None:
    record = bytes([2, 3 + 5, 37]) + bytes(21 + 40)
    with pytest.raises(wire.OversizedError, match="37 bytes"):
        wire.decode_batch(batch_of([record], session=SESSION, batch_number=1))


def test_a_client_order_id_where_none_belongs_is_refused() -> None:
    record = bytes([4, 3, 8]) + bytes(21)
    with pytest.raises(wire.OversizedError):
        wire.decode_batch(batch_of([record], session=SESSION, batch_number=1))


@pytest.mark.parametrize("count", [0, 2, 2**32 - 1])
def test_a_wrong_command_count_is_refused(count: int) -> None:
    tail = bytes.fromhex(COMMAND_BATCH)[8:]
    with pytest.raises(wire.TruncatedError, match="header says"):
        wire.decode_batch(sealed(tail[:4] + count.to_bytes(4, "little") + tail[8:]))


@pytest.mark.parametrize(("version", "rules"), [(0, 1), (1, 0)])
def test_version_0_never_was(version: int, rules: int) -> None:
    batch = batch_of([], session=SESSION, batch_number=1, version=version, rules_version=rules)
    with pytest.raises(wire.UnknownRecordError, match="version 0"):
        wire.decode_batch(batch)


@pytest.mark.parametrize(("version", "rules"), [(2, 1), (1, 2)])
def test_a_newer_batch_is_no_wire_error(version: int, rules: int) -> None:
    batch = batch_of([b"?"], session=SESSION, batch_number=1, version=version, rules_version=rules)
    with pytest.raises(wire.NewerVersionError):
        wire.decode_batch(batch)
    assert not issubclass(wire.NewerVersionError, wire.WireError)


def test_a_damaged_newer_batch_is_only_damaged() -> None:
    batch = batch_of([], session=SESSION, batch_number=1, version=2)
    with pytest.raises(wire.ChecksumError):
        wire.decode_batch(batch[:-1] + b"\x01")


def test_a_batch_holds_no_more_commands_than_an_index_can_name() -> None:
    record = record_of(SetTradingState(1, 0))
    most = wire.COMMANDS_PER_BATCH_MAX
    assert most == 65_535
    assert wire.check_batch(wire.encode_batch(SESSION, 1, 0, [record] * most)).command_count == most
    with pytest.raises(wire.OversizedError):
        wire.encode_batch(SESSION, 1, 0, [record] * (most + 1))
    with pytest.raises(wire.OversizedError):
        wire.check_batch(batch_of([record] * (most + 1), session=SESSION, batch_number=1))


def test_a_batch_is_no_longer_than_8_mib() -> None:
    record = bytes([1, 3 + 5, 36]) + bytes(21) + bytes(40)
    count = wire.COMMAND_BATCH_BYTES_MAX // len(record) + 1
    with pytest.raises(wire.OversizedError):
        wire.encode_batch(SESSION, 1, 0, [record * count])
    with pytest.raises(wire.OversizedError):
        wire.check_batch(sealed(bytes(wire.COMMAND_BATCH_BYTES_MAX - 7)))


# --- events ------------------------------------------------------------------


@pytest.mark.parametrize("case", EVENTS, ids=name_of)
def test_every_event_record_has_its_bytes(
    case: tuple[Event, Callable[..., None], tuple[int, ...], str],
) -> None:
    event, write, values, golden = case
    out = BytesWriter()
    write(out, *values)
    record = bytes.fromhex(golden)
    assert out.getvalue().hex(" ", -8) == record.hex(" ", -8)
    assert decode_events(bytes(112) + record) == [event]


def test_every_event_type_has_a_golden_record() -> None:
    assert {type(event) for event, *_ in EVENTS} == set(Event.__args__)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 36])
def test_accepted_and_rejected_carry_the_client_order_id(length: int) -> None:
    text = b"0123456789abcdefghijklmnopqrstuvwxyz"[:length]
    out = BytesWriter()
    event_records.write_accepted(out, 0, PARTIES, ORDER, length << 24, 5 | 6 << 32, 1)
    out.write(wire.pack_client_order_id(text))
    event_records.write_rejected(out, 1, 2 | 17 << 8 | length << 24, PARTIES, ORDER, 0)
    out.write(wire.pack_client_order_id(text))
    accepted, rejected = decode_events(bytes(112) + out.getvalue())
    assert accepted == OrderAccepted(0, 7, 3, ORDER, 0, 0, 0, 5, 6, 1, text)
    assert rejected == OrderRejected(1, 2, 17, 7, 3, ORDER, 0, 0, 0, 0, 0, text)


def test_event_records_that_are_not_whole_are_refused() -> None:
    for _, _, _, golden in EVENTS:
        record = bytes.fromhex(golden)
        for size in range(1, len(record)):
            with pytest.raises(wire.TruncatedError):
                decode_events(bytes(112) + record[:size])
        with pytest.raises(wire.TruncatedError, match="wrong length"):
            decode_events(bytes(112) + record[:1] + b"\x00" + record[2:])


@pytest.mark.parametrize("kind", [0, 14, 255])
def test_unknown_event_types_are_refused(kind: int) -> None:
    with pytest.raises(wire.UnknownRecordError, match=f"event type {kind}"):
        decode_events(bytes(112) + bytes([kind, 1]) + bytes(6))


# --- event batches ------------------------------------------------------------------


def image_of(events: int) -> bytes:
    """An EventBatch of position 5 in shard 3, as the engine returns it: the chain is still zero."""
    record = bytes.fromhex(EVENTS[10][3])
    head = bytearray(bytes.fromhex(EVENT_HEADER))
    head[68:72] = events.to_bytes(4, "little")
    head[72:80] = (events * len(record)).to_bytes(8, "little")
    return bytes(head) + record * events


def test_an_event_header_has_its_bytes() -> None:
    header = wire.decode_event_header(image_of(1))
    assert image_of(1)[:112] == bytes.fromhex(EVENT_HEADER)
    assert header == wire.EventHeader(
        5, 3, 0, True, 0, SESSION, 7, NOON_NS + 1, NOON_NS, 2, 1, 24, bytes(32)
    )


@pytest.mark.parametrize("size", [0, 3, 80, 111])
def test_a_cut_event_header_is_truncated(size: int) -> None:
    with pytest.raises(wire.TruncatedError):
        wire.decode_event_header(image_of(1)[:size])


def test_an_event_header_of_another_kind_or_a_newer_release_is_refused() -> None:
    image = image_of(1)
    with pytest.raises(wire.UnknownRecordError):
        wire.decode_event_header(b"XBC1" + image[4:])
    for at in (4, 6):
        with pytest.raises(wire.NewerVersionError):
            wire.decode_event_header(image[:at] + b"\x02" + image[at + 1 :])


def test_the_chain_covers_the_header_the_body_and_all_that_came_before() -> None:
    image = image_of(3)
    wanted = hashlib.sha256(b"p" * 32 + image[:80] + image[112:]).digest()
    records, chain = wire.seal_events(image, b"p" * 32, 1024)
    assert chain == wanted == wire.chain_of(b"p" * 32, image)
    assert records == [image[:80] + wanted + image[112:]]
    assert wire.chain_of(b"q" * 32, image) != wanted
    for at in (8, 20, 64, 115):
        other = image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]
        assert wire.chain_of(b"p" * 32, other) != wanted


@pytest.mark.parametrize("events", [0, 1, 38, 39, 400])
def test_parts_are_small_hold_whole_records_and_join_again(events: int) -> None:
    image = image_of(events)
    records, chain = wire.seal_events(image, bytes(32), 1024)
    assert all(len(record) <= 1024 for record in records)
    assert len(records) == max(1, -(-events // 38))  # 38 records of 24 bytes fit beside a header
    for part, record in enumerate(records):
        header = wire.decode_event_header(record)
        assert (header.part, header.last) == (part, part == len(records) - 1)
        assert header.chain == chain
        assert header.event_count == events
        assert (len(record) - 112) % 24 == 0
        decode_events(record)
    whole = wire.join_events(records)
    assert whole == image[:80] + chain + image[112:]
    assert wire.chain_of(bytes(32), whole) == chain


def test_parts_that_are_missing_or_out_of_order_are_refused() -> None:
    records, _ = wire.seal_events(image_of(100), bytes(32), 1024)
    others, _ = wire.seal_events(image_of(100), b"other" + bytes(27), 1024)
    assert len(records) == 3
    for parts in (
        [],
        records[:1],
        records[:2],
        records[1:],
        records[2:],
        [records[0], records[2]],
        [records[1], records[0], records[2]],
        [records[0], others[1], records[2]],
        [*records, records[2]],
    ):
        with pytest.raises(wire.TruncatedError):
            wire.join_events(parts)


def test_a_single_part_whose_body_is_cut_is_refused() -> None:
    with pytest.raises(wire.TruncatedError):
        wire.join_events([image_of(2)[:-24]])


def test_parts_have_room_for_a_record() -> None:
    with pytest.raises(ValueError, match="at least 1024"):
        wire.seal_events(image_of(1), bytes(32), 1023)
