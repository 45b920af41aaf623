"""One StoredEvent as one Kafka record: the state is the value, the rest is in headers, so that a
record can be judged without decoding it.

| header | holds |
|---|---|
| `o` | originator id, the 16 bytes of the UUID |
| `v` | originator version, i64 little-endian |
| `t` | topic of the event, ASCII |
| `w` | event logs only: the writer's `Stamp` |
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

from confluent_kafka import Message
from eventsourcing.persistence import Notification, OperationalError, ProgrammingError, StoredEvent

Headers: TypeAlias = list[tuple[str, bytes]]
Record: TypeAlias = tuple[bytes, Headers]
Key: TypeAlias = tuple[bytes, int]
if TYPE_CHECKING:
    KafkaMessage: TypeAlias = Message[Any, Any]
else:
    KafkaMessage = Message  # generic in the stubs only

HEADERS_BYTES_MAX: Final = 1_024
_VERSION: Final = struct.Struct("<q")
_STAMP: Final = struct.Struct("<8sqq")


@dataclass(frozen=True)
class Stamp:
    """What the writer of an event record knew: every record before `known_offset` is of a position
    up to `known_position`, and that one is whole there.
    """

    writer: bytes
    known_offset: int
    known_position: int


UNSTAMPED: Final = Stamp(bytes(8), 0, 0)


def key_of(event: StoredEvent) -> Key:
    """(originator id, version) of an event. Raises ProgrammingError for an originator that is no
    UUID, or a version past 63 bits.
    """
    if not isinstance(event.originator_id, UUID):
        raise ProgrammingError(f"originator {event.originator_id!r} is no UUID")
    if not -(1 << 63) <= event.originator_version < 1 << 63:
        raise ProgrammingError(f"version {event.originator_version} does not fit 64 bits")
    return event.originator_id.bytes, event.originator_version


def encode(event: StoredEvent, stamp: Stamp | None = None) -> Record:
    """The value and headers of an event's record. Raises as `key_of`."""
    originator, version = key_of(event)
    headers: Headers = [
        ("o", originator),
        ("v", _VERSION.pack(version)),
        ("t", event.topic.encode()),
    ]
    if stamp is not None:
        packed = _STAMP.pack(stamp.writer, stamp.known_offset, stamp.known_position)
        headers.append(("w", packed))
    return event.state, headers


def offset_of(message: KafkaMessage) -> int:
    """The record's offset."""
    offset = message.offset()
    assert offset is not None and offset >= 0
    return offset


def value_of(message: KafkaMessage) -> bytes:
    """The record's value."""
    value = message.value()
    return value if isinstance(value, bytes) else b""


def header_of(message: KafkaMessage, name: str) -> bytes | None:
    """One header's value, None where the record has no such header."""
    found: Any = message.headers() or ()
    for each, value in found:
        if each == name:
            return value if isinstance(value, bytes) else None
    return None


def decode_key(message: KafkaMessage) -> Key:
    """(originator id, version) of a record. Raises OperationalError for a record that no log of
    ours wrote.
    """
    originator, version = header_of(message, "o"), header_of(message, "v")
    if originator is None or version is None or len(originator) != 16 or len(version) != 8:
        raise OperationalError(
            f"{message.topic()}[{message.partition()}] at {message.offset()}: not a record of ours"
        )
    return originator, _VERSION.unpack(version)[0]


def decode(message: KafkaMessage) -> Notification:
    """A record as the library's Notification, id = offset + 1. Raises as `decode_key`."""
    originator, version = decode_key(message)
    topic = (header_of(message, "t") or b"").decode()
    return Notification(
        id=offset_of(message) + 1,
        originator_id=UUID(bytes=originator),
        originator_version=version,
        topic=topic,
        state=value_of(message),
    )


def decode_stamp(message: KafkaMessage) -> Stamp:
    """The stamp of an event record; one that knows nothing where there is none."""
    packed = header_of(message, "w")
    if packed is None or len(packed) != _STAMP.size:
        return UNSTAMPED
    return Stamp(*_STAMP.unpack(packed))
