"""Where two batches differ, and what lies there.

Bytes count from 0 in the log's record (the `state` column), bits from 0, the lowest, in their byte.
"""

from __future__ import annotations

import zlib
from dataclasses import fields
from typing import Any, Final, NamedTuple

from domain.codes import CommandType, EventType
from domain.event_records import decode_event, words_of_event
from domain.wire import (
    COMMAND_HEADER_BYTES,
    COMMAND_MAGIC,
    EVENT_HEADER_BYTES,
    WireError,
    check_batch,
    decode_command,
)

CRC_BEGINS_AT: Final = 8
CRC_POLYNOMIAL: Final = 0xEDB88320  # of zlib.crc32, lowest bit first
CRC_TOP: Final = 1 << 31

EVENT_HEADER: Final = (
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
    (80, "chain"),
)
COMMAND_HEADER: Final = (
    (0, "magic"),
    (4, "checksum"),
    (8, "wire version"),
    (10, "rules version"),
    (12, "command count"),
    (16, "session"),
    (32, "batch number"),
    (40, "audit timestamp"),
)


class Bit(NamedTuple):
    """One bit of a record."""

    byte: int
    bit: int

    def flipped(self, record: bytes) -> bytes:
        """The record with this bit the other way round."""
        changed = record[self.byte] ^ (1 << self.bit)
        return record[: self.byte] + bytes([changed]) + record[self.byte + 1 :]


def first_bit(one: bytes, other: bytes) -> tuple[Bit, int] | None:
    """The first differing bit of what both have, and how many differ; None where none does."""
    length = min(len(one), len(other))
    mixed = int.from_bytes(one[:length], "little") ^ int.from_bytes(other[:length], "little")
    if mixed == 0:
        return None
    index = (mixed & -mixed).bit_length() - 1
    return Bit(index >> 3, index & 7), mixed.bit_count()


# --- events ---------------------------------------------------------------------------------------


def where_in_events(fresh: bytes, found: bytes, byte: int) -> str:
    """What lies at `byte` of an EventBatch record. `found` is the log's, `fresh` the same part as
    it should be.
    """
    if byte < EVENT_HEADER_BYTES:
        return f"the header's {_header_field(EVENT_HEADER, byte)}"
    at, index = EVENT_HEADER_BYTES, 0
    while at < len(fresh):
        words = int(words_of_event(int.from_bytes(fresh[at : at + 8], "little", signed=True)))
        assert words > 0, "a fresh batch is whole"
        if byte < at + words * 8:
            kind = _camel(EventType(fresh[at]).name)
            here, there = fresh[at : at + words * 8], found[at : at + words * 8]
            return f"event {index} of the record, {kind}{_event_fields(here, there, byte - at)}"
        at += words * 8
        index += 1
    return "behind the last event"


def _event_fields(fresh: bytes, found: bytes, byte: int) -> str:
    if len(found) < len(fresh) or found[:2] != fresh[:2]:
        return ", its type or length" if byte < 2 else ""
    head = int.from_bytes(found[:8], "little", signed=True)
    if int(words_of_event(head)) * 8 != len(fresh):
        return ", its client order id's length"
    return _changed(decode_event(fresh, 0), decode_event(found, 0)) or ", its padding"


# --- commands -------------------------------------------------------------------------------------


def damaged_bit(batch: bytes) -> Bit | None:
    """The one bit that makes a CommandBatch unsound; None where no single one does.

    The checksum tells which: with one bit flipped, the sum is off by the polynomial's remainder of
    that bit alone, and those of different bits differ (batches are shorter than its period)."""
    for bit in _suspects(batch):
        try:
            check_batch(bit.flipped(batch))
        except WireError:
            continue
        return bit
    return None


def _suspects(batch: bytes) -> list[Bit]:
    if len(batch) < COMMAND_HEADER_BYTES:
        return []
    if batch[:4] != COMMAND_MAGIC:
        found = first_bit(batch[:4], COMMAND_MAGIC)
        return [found[0]] if found is not None and found[1] == 1 else []
    off = checksum_of(batch) ^ int.from_bytes(batch[4:8], "little")
    if off == 0:
        return []
    if off.bit_count() == 1:
        index = off.bit_length() - 1
        return [Bit(4 + (index >> 3), index & 7)]
    return _unwound(off, (len(batch) - CRC_BEGINS_AT) * 8)


def _unwound(remainder: int, bits: int) -> list[Bit]:
    """Go back from the end, bit by bit, until the remainder is that of a single flipped bit."""
    for index in range(bits - 1, -1, -1):
        if remainder & CRC_TOP:
            remainder = ((remainder ^ CRC_POLYNOMIAL) << 1) | 1
        else:
            remainder <<= 1
        if remainder == 1:
            return [Bit(CRC_BEGINS_AT + (index >> 3), index & 7)]
    return []


def checksum_of(batch: bytes) -> int:
    """The checksum that a CommandBatch of these bytes should carry."""
    return zlib.crc32(memoryview(batch)[CRC_BEGINS_AT:])


def is_intact(batch: bytes) -> bool:
    """Whether a CommandBatch carries its own checksum."""
    if len(batch) < COMMAND_HEADER_BYTES or batch[:4] != COMMAND_MAGIC:
        return False
    return checksum_of(batch) == int.from_bytes(batch[4:8], "little")


def where_in_commands(sound: bytes, found: bytes, byte: int) -> str:
    """What lies at `byte` of a CommandBatch that was `sound` and is now `found`."""
    if byte < COMMAND_HEADER_BYTES:
        return f"the header's {_header_field(COMMAND_HEADER, byte)}"
    at, index = COMMAND_HEADER_BYTES, 0
    while byte >= at + sound[at + 1] * 8:
        at += sound[at + 1] * 8
        index += 1
    end = at + sound[at + 1] * 8
    kind = _camel(CommandType(sound[at]).name)
    said = ""
    if found[at : at + 3] == sound[at : at + 3]:
        here, there = decode_command(sound[at:end], 0), decode_command(found[at:end], 0)
        said = _changed(here, there)
    return f"command {index}, {kind}{said}"


# --- words ----------------------------------------------------------------------------------------


def _header_field(names: tuple[tuple[int, str], ...], byte: int) -> str:
    return next(name for begins, name in reversed(names) if byte >= begins)


def _camel(name: str) -> str:
    return name.title().replace("_", "")


def _changed(right: Any, wrong: Any) -> str:
    """The first field that differs, with both values."""
    for field in fields(right):
        here, there = getattr(right, field.name), getattr(wrong, field.name)
        if here != there:
            return f": {field.name} is {there!r}, not {here!r}"
    return ""
