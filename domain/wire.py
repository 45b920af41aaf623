"""The binary schema of both logs: one place that says where every byte lies.

Little-endian, in the manner of FIX Simple Binary Encoding: a fixed header, then records of whole
8-byte words whose first word is `type u8 | length in words u8 | u16 | four u8`. Every released
version stays readable for ever (tests/unit/test_wire.py holds golden bytes of each).

CommandBatch, 48 bytes, then records:
     0 magic "XBC1"         4 crc32 of all that follows u32
     8 version u16         10 rules version u16       12 command count u32
    16 session, 16 bytes
    32 batch number i64    40 audit timestamp i64, ns since 1970

EventBatch, 112 bytes, then records:
     0 magic "XBE1"         4 version u16              6 rules version u16
     8 position i64        16 shard u32               20 status u8    21 last u8    22 part u16
    24 session, 16 bytes
    40 batch number i64    48 audit timestamp i64     56 trading time i64
    64 command count u32   68 event count u32         72 length of the whole body i64
    80 chain, 32 bytes

The chain is SHA-256 of the previous chain and this batch, header to byte 80 and whole body, as one
part. The records of each type are drawn beside the functions that write them, here and in
`domain.event_records`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from domain.checksum import crc32
from domain.codes import COMMANDS_PER_BATCH_MAX
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

WIRE_VERSION: Final = 1
RULES_VERSION: Final = 1
COMMAND_MAGIC: Final = b"XBC1"
EVENT_MAGIC: Final = b"XBE1"
COMMAND_HEADER_BYTES: Final = 48
EVENT_HEADER_BYTES: Final = 112
COMMAND_BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
EVENT_CHAIN_AT: Final = 80
LOW: Final = 0xFFFFFFFF

SUBMIT_ORDER: Final = 1
CANCEL_ORDER: Final = 2
REPLACE_ORDER: Final = 3
MASS_CANCEL: Final = 4
SET_TRADING_STATE: Final = 5
CLOCK_TICK: Final = 6
LIST_INSTRUMENT: Final = 7
SET_ACCOUNT: Final = 8


class WireError(ValueError):
    """Bytes that are no batch of this schema. The log keeps them; the matcher answers
    `undecodable`.
    """


class TruncatedError(WireError):
    """The bytes end inside a header or a record."""


class OversizedError(WireError):
    """A batch or record is longer than the schema allows."""


class UnknownRecordError(WireError):
    """A record's type, or the batch's magic, is none of ours."""


class ChecksumError(WireError):
    """The bytes are not those that were written."""


class NewerVersionError(Exception):
    """The batch was written by a newer release. The worker must stop and be upgraded; the batch is
    sound.
    """


@dataclass
class CommandHeader:
    """The header of a CommandBatch; `session` is 16 bytes, `audit_timestamp_ns` is since 1970 and
    decides nothing.
    """

    session: bytes
    batch_number: i64
    audit_timestamp_ns: i64
    command_count: i64
    version: i64 = 1
    rules_version: i64 = 1


# --- command records ------------------------------------------------------------------------------
# all    word 0: type | words | client id length u8, flags u8 | a u8 | b u8 | c u8 | 0
# then   word 1: account u32 | instrument u32
# submit a side, b order type, c time in force; word 2: price u32 | quantity u32; then the client
# order id
# cancel word 2: order id; then the client order id
# replace flags; word 2: order id; word 3: price u32 | quantity u32; then the client order id
# mass cancel a side;   trading state a state;   clock tick word 1: time ns
# list   a state; word 2: tick u32 | lot u32; word 3: collar u32; word 4: symbol, 8 bytes padded
# with NUL
# account flags (1 killed); word 2: open orders max u32


def pack_client_order_id(client_order_id: bytes) -> bytes:
    """Pad with NUL to whole words."""
    rest = len(client_order_id) & 7
    return client_order_id if rest == 0 else client_order_id + bytes(8 - rest)


def _write_head(
    out: BytesWriter, kind: i64, words: i64, client_order_id: bytes, flags: i64, params: i64
) -> None:
    length: i64 = len(client_order_id)
    words += (length + 7) >> 3
    write_i64_le(out, kind | (words << 8) | (length << 16) | (flags << 24) | (params << 32))


def write_submit(out: BytesWriter, command: SubmitOrder) -> None:
    """Append a SubmitOrder record."""
    params = command.side | (command.order_type << 8) | (command.time_in_force << 16)
    _write_head(out, SUBMIT_ORDER, 3, command.client_order_id, 0, params)
    _write_pair(out, command.account, command.instrument)
    _write_pair(out, command.price_ticks, command.quantity)
    out.write(pack_client_order_id(command.client_order_id))


def _write_pair(out: BytesWriter, low: i64, high: i64) -> None:
    """Write two u32 as one word; a `high` of 2**31 or more becomes a negative word, as in two's
    complement.
    """
    if high > 0x7FFFFFFF:
        high -= 0x100000000
    write_i64_le(out, low | (high << 32))


def write_cancel(out: BytesWriter, command: CancelOrder) -> None:
    """Append a CancelOrder record."""
    _write_head(out, CANCEL_ORDER, 3, command.client_order_id, 0, 0)
    _write_pair(out, command.account, command.instrument)
    write_i64_le(out, command.order_id)
    out.write(pack_client_order_id(command.client_order_id))


def write_replace(out: BytesWriter, command: ReplaceOrder) -> None:
    """Append a ReplaceOrder record."""
    _write_head(out, REPLACE_ORDER, 4, command.client_order_id, command.flags, 0)
    _write_pair(out, command.account, command.instrument)
    write_i64_le(out, command.order_id)
    _write_pair(out, command.price_ticks, command.quantity)
    out.write(pack_client_order_id(command.client_order_id))


def write_command(out: BytesWriter, command: Command) -> None:
    """Append one command record. Every field must already be in its wire range."""
    if isinstance(command, SubmitOrder):
        write_submit(out, command)
    elif isinstance(command, CancelOrder):
        write_cancel(out, command)
    elif isinstance(command, ReplaceOrder):
        write_replace(out, command)
    elif isinstance(command, MassCancel):
        _write_head(out, MASS_CANCEL, 2, b"", 0, command.side)
        _write_pair(out, command.account, command.instrument)
    elif isinstance(command, SetTradingState):
        _write_head(out, SET_TRADING_STATE, 2, b"", 0, command.state)
        _write_pair(out, 0, command.instrument)
    elif isinstance(command, ClockTick):
        _write_head(out, CLOCK_TICK, 2, b"", 0, 0)
        write_i64_le(out, command.time_ns)
    elif isinstance(command, ListInstrument):
        _write_head(out, LIST_INSTRUMENT, 5, b"", 0, command.state)
        _write_pair(out, 0, command.instrument)
        _write_pair(out, command.tick_size, command.lot_size)
        write_i64_le(out, command.price_collar)
        out.write(command.symbol + bytes(8 - len(command.symbol)))
    else:
        _write_head(out, SET_ACCOUNT, 3, b"", 1 if command.killed else 0, 0)
        write_i64_le(out, command.account)
        write_i64_le(out, command.open_orders_max)


def encode_command(command: Command) -> bytes:
    """One command as the bytes of its record."""
    out = BytesWriter()
    write_command(out, command)
    return out.getvalue()


def encode_batch(
    session: bytes, batch_number: int, audit_timestamp_ns: int, records: list[bytes]
) -> bytes:
    """Seal command records, each one whole, into a CommandBatch of this release's version.

    Raises OversizedError past COMMAND_BATCH_BYTES_MAX or COMMANDS_PER_BATCH_MAX, ValueError where
    `session` is not 16 bytes."""
    if len(session) != 16:
        raise ValueError("a session is 16 bytes")
    if len(records) > COMMANDS_PER_BATCH_MAX:
        raise OversizedError(f"{len(records)} commands; at most {COMMANDS_PER_BATCH_MAX}")
    tail = BytesWriter()
    write_i64_le(tail, WIRE_VERSION | (RULES_VERSION << 16) | (len(records) << 32))
    tail.write(session)
    write_i64_le(tail, batch_number)
    write_i64_le(tail, audit_timestamp_ns)
    for record in records:
        tail.write(record)
    if len(tail) + 8 > COMMAND_BATCH_BYTES_MAX:
        raise OversizedError(f"a batch of {len(tail) + 8} bytes: at most {COMMAND_BATCH_BYTES_MAX}")
    sealed = tail.getvalue()
    return COMMAND_MAGIC + crc32(sealed).to_bytes(4, "little") + sealed


def words_min(kind: i64) -> i64:
    """Length in words of a command record without a client order id; 0 for an unknown type."""
    if kind == SUBMIT_ORDER or kind == CANCEL_ORDER or kind == SET_ACCOUNT:
        return 3
    if kind == REPLACE_ORDER:
        return 4
    if kind == MASS_CANCEL or kind == SET_TRADING_STATE or kind == CLOCK_TICK:
        return 2
    return 5 if kind == LIST_INSTRUMENT else 0


def check_batch(batch: bytes) -> CommandHeader:
    """Read a CommandBatch's header and prove that every record is whole. Raises WireError or
    NewerVersionError.

    It looks at structure alone: values out of range are the engine's to refuse, one by one.
    """
    size: i64 = len(batch)
    if size < COMMAND_HEADER_BYTES:
        raise TruncatedError(f"{size} bytes are no CommandBatch header")
    if batch[:4] != COMMAND_MAGIC:
        raise UnknownRecordError("not a CommandBatch")
    if size > COMMAND_BATCH_BYTES_MAX:
        raise OversizedError(f"{size} bytes; at most {COMMAND_BATCH_BYTES_MAX}")
    first = read_i64_le(batch, 0)
    if crc32(memoryview(batch)[8:]) != (first >> 32) & LOW:
        raise ChecksumError("the checksum does not match")
    word = read_i64_le(batch, 8)
    version = word & 0xFFFF
    rules = (word >> 16) & 0xFFFF
    if version > WIRE_VERSION or rules > RULES_VERSION:
        raise NewerVersionError(
            f"wire {version}, rules {rules}: this release knows {WIRE_VERSION}, {RULES_VERSION}"
        )
    if version == 0 or rules == 0:
        raise UnknownRecordError("version 0")
    count = (word >> 32) & LOW
    found = count_records(batch)
    if found != count:
        raise TruncatedError(f"{found} records where the header says {count}")
    if count > COMMANDS_PER_BATCH_MAX:
        raise OversizedError(f"{count} commands; at most {COMMANDS_PER_BATCH_MAX}")
    number = read_i64_le(batch, 32)
    return CommandHeader(batch[16:32], number, read_i64_le(batch, 40), count, version, rules)


def count_records(batch: bytes) -> i64:
    """Count whole command records after the header. Raises WireError on the first unsound one."""
    size: i64 = len(batch)
    at: i64 = COMMAND_HEADER_BYTES
    count: i64 = 0
    while at < size:
        if size - at < 8:
            raise TruncatedError(f"{size - at} bytes at {at} are no record")
        word = read_i64_le(batch, at)
        kind = word & 0xFF
        least = words_min(kind)
        if least == 0:
            raise UnknownRecordError(f"record type {kind} at {at}")
        length = (word >> 16) & 0xFF
        if length > 36 or (length > 0 and (kind > REPLACE_ORDER)):
            raise OversizedError(f"a client order id of {length} bytes at {at}")
        if (word >> 8) & 0xFF != least + ((length + 7) >> 3):
            raise TruncatedError(f"record of type {kind} at {at} has the wrong length")
        at += (least + ((length + 7) >> 3)) << 3
        count += 1
    if at != size:
        raise TruncatedError("the last record is cut off")
    return count


def decode_batch(batch: bytes) -> tuple[CommandHeader, list[Command]]:
    """Read a whole CommandBatch into commands. Raises WireError or NewerVersionError."""
    header = check_batch(batch)
    at: i64 = COMMAND_HEADER_BYTES
    commands: list[Command] = []
    while at < len(batch):
        commands.append(decode_command(batch, at))
        at += (batch[at + 1]) << 3
    return header, commands


def decode_command(data: bytes, at: i64) -> Command:
    """Read the whole command record at `at`, which `check_batch` has proved sound."""
    word = read_i64_le(data, at)
    kind = word & 0xFF
    length = (word >> 16) & 0xFF
    flags = (word >> 24) & 0xFF
    a = (word >> 32) & 0xFF
    pair = read_i64_le(data, at + 8)
    account, instrument = pair & LOW, (pair >> 32) & LOW
    start = at + (words_min(kind) << 3)
    client = data[start : start + length]
    if kind == MASS_CANCEL:
        return MassCancel(account, instrument, a)
    if kind == SET_TRADING_STATE:
        return SetTradingState(instrument, a)
    if kind == CLOCK_TICK:
        return ClockTick(pair)
    third = read_i64_le(data, at + 16)
    if kind == SUBMIT_ORDER:
        order_type, tif = (word >> 40) & 0xFF, (word >> 48) & 0xFF
        return SubmitOrder(
            account, instrument, a, order_type, tif, third & LOW, (third >> 32) & LOW, client
        )
    if kind == CANCEL_ORDER:
        return CancelOrder(account, instrument, third, client)
    if kind == SET_ACCOUNT:
        return SetAccount(account, third & LOW, flags & 1 != 0)
    fourth = read_i64_le(data, at + 24)
    if kind == REPLACE_ORDER:
        return ReplaceOrder(
            account, instrument, third, fourth & LOW, (fourth >> 32) & LOW, flags, client
        )
    symbol = data[at + 32 : at + 40].rstrip(b"\x00")
    return ListInstrument(instrument, symbol, third & LOW, (third >> 32) & LOW, fourth & LOW, a)


# --- event batches --------------------------------------------------------------------------------


@dataclass
class EventHeader:
    """The header of one part of an EventBatch. `chain` is the running hash after the whole
    batch.
    """

    position: i64
    shard: i64
    status: i64
    last: bool
    part: i64
    session: bytes
    batch_number: i64
    audit_timestamp_ns: i64
    trading_time_ns: i64
    command_count: i64
    event_count: i64
    body_length: i64
    chain: bytes


def decode_event_header(record: bytes) -> EventHeader:
    """Read the header of an EventBatch part. Raises WireError or NewerVersionError."""
    if len(record) < EVENT_HEADER_BYTES:
        raise TruncatedError(f"{len(record)} bytes are no EventBatch")
    word = read_i64_le(record, 0)
    if record[:4] != EVENT_MAGIC:
        raise UnknownRecordError("not an EventBatch")
    if (word >> 32) & 0xFFFF > WIRE_VERSION or (word >> 48) & 0xFFFF > RULES_VERSION:
        raise NewerVersionError("an EventBatch of a newer release")
    where = read_i64_le(record, 16)
    counts = read_i64_le(record, 64)
    return EventHeader(
        read_i64_le(record, 8),
        where & LOW,
        (where >> 32) & 0xFF,
        (where >> 40) & 0xFF != 0,
        (where >> 48) & 0xFFFF,
        record[24:40],
        read_i64_le(record, 40),
        read_i64_le(record, 48),
        read_i64_le(record, 56),
        counts & LOW,
        (counts >> 32) & LOW,
        read_i64_le(record, 72),
        record[EVENT_CHAIN_AT:EVENT_HEADER_BYTES],
    )


def chain_of(previous: bytes, image: bytes) -> bytes:
    """The running hash after `image`, a whole EventBatch in one part."""
    digest = hashlib.sha256(previous)
    view = memoryview(image)
    digest.update(view[:EVENT_CHAIN_AT])
    digest.update(view[EVENT_HEADER_BYTES:])
    return digest.digest()


def seal_events(image: bytes, previous: bytes, record_bytes_max: int) -> tuple[list[bytes], bytes]:
    """Put the running hash into a fresh EventBatch and cut it into log records.

    `image` is what the engine returned, `previous` the 32-byte chain before it. Each record is at
    most `record_bytes_max` bytes (at least 1 KiB) and holds whole event records. Returns (records,
    chain)."""
    if record_bytes_max < 1024:
        raise ValueError("record_bytes_max is at least 1024")
    chain = chain_of(previous, image)
    if len(image) <= record_bytes_max:
        return [image[:EVENT_CHAIN_AT] + chain + image[EVENT_HEADER_BYTES:]], chain
    room = record_bytes_max - EVENT_HEADER_BYTES
    cuts = [EVENT_HEADER_BYTES]
    at: i64 = EVENT_HEADER_BYTES
    while at < len(image):
        words: i64 = image[at + 1]
        if at + words * 8 - cuts[-1] > room:
            cuts.append(at)
        at += words * 8
    cuts.append(len(image))
    records: list[bytes] = []
    for part in range(len(cuts) - 1):
        last = 1 if part == len(cuts) - 2 else 0
        head = image[:21] + bytes([last]) + part.to_bytes(2, "little") + image[24:EVENT_CHAIN_AT]
        records.append(head + chain + image[cuts[part] : cuts[part + 1]])
    return records, chain


def join_events(records: list[bytes]) -> bytes:
    """Put the parts of one EventBatch, in order, together again as one record. Raises WireError if
    one is missing.
    """
    if len(records) == 0:
        raise TruncatedError("no part at all")
    first = decode_event_header(records[0])
    if len(records) == 1 and first.last and first.part == 0:
        if len(records[0]) - EVENT_HEADER_BYTES != first.body_length:
            raise TruncatedError(
                f"position {first.position}: not {first.body_length} bytes of body"
            )
        return records[0]
    body = BytesWriter()
    for part in range(len(records)):
        header = decode_event_header(records[part])
        if header.part != part or header.position != first.position or header.chain != first.chain:
            raise TruncatedError(f"position {first.position}: part {part} is missing")
        body.write(records[part][EVENT_HEADER_BYTES:])
    if len(body) != first.body_length:
        raise TruncatedError(f"position {first.position}: {len(body)} of {first.body_length} bytes")
    head = records[0][:21] + b"\x01\x00\x00" + records[0][24:EVENT_HEADER_BYTES]
    return head + body.getvalue()
