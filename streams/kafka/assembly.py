"""From the records of an event partition to whole EventBatches, one a position, in order.

Guarantees: a batch written several times counts once; parts of an interrupted write are passed
over; parts of two writers are never mixed; two different batches of one position are a fork
(`ForkError`), compared for the last positions that were delivered."""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from domain.batch import EventBatch, ForkError
from domain.wire import EVENT_HEADER_BYTES, TruncatedError, join_events

COMPARED_POSITIONS_MAX: Final = 4_096
WRITERS_MAX: Final = 64
_POSITION: Final = struct.Struct("<q")
_PART: Final = struct.Struct("<?H")  # last, part: bytes 21 to 24 of a record


@dataclass
class _Group:
    """The parts of one batch so far, of one writer."""

    position: int
    offset: int  # of its first part
    records: list[bytes]


class Assembler:
    """Takes records in the order of the log; gives the batches after `done`. Not thread-safe."""

    def __init__(self, done: int = 0) -> None:
        self.done = done  # the last position delivered
        self._parts: OrderedDict[bytes, _Group] = OrderedDict()  # by writer
        self._delivered: OrderedDict[int, int] = OrderedDict()

    def add(self, record: bytes, writer: bytes, offset: int) -> EventBatch | None:
        """The next position's batch, where this record is its last part; else None.

        Raises ForkError where the log holds two histories, WireError for what is no event record.
        """
        whole = self._whole(record, writer, offset)
        if whole is None:
            return None
        position = _POSITION.unpack_from(whole, 8)[0]
        if position != self.done + 1:
            before = self._delivered.get(position)
            if before is not None and before != hash(whole):
                raise ForkError(f"the event log holds two different batches of position {position}")
            return None  # written again, or after a gap that its writer will have to fill
        batch = EventBatch(whole)
        self.done = position
        self._delivered[position] = hash(whole)
        if len(self._delivered) > COMPARED_POSITIONS_MAX:
            self._delivered.popitem(last=False)
        return batch

    def _whole(self, record: bytes, writer: bytes, offset: int) -> bytes | None:
        if len(record) < EVENT_HEADER_BYTES:
            raise TruncatedError(f"{len(record)} bytes are no EventBatch")
        position = _POSITION.unpack_from(record, 8)[0]
        last, part = _PART.unpack_from(record, 21)
        if last and part == 0:
            self._parts.pop(writer, None)
            return join_events([record])
        if part == 0:
            self._parts[writer] = _Group(position, offset, [record])
            if len(self._parts) > WRITERS_MAX:
                self._parts.popitem(last=False)
            return None
        group = self._parts.get(writer)
        if group is None or group.position != position or part != len(group.records):
            self._parts.pop(writer, None)  # its beginning is not here
            return None
        group.records.append(record)
        if not last:
            return None
        del self._parts[writer]
        return join_events(group.records)

    def settled_before(self, offset: int) -> int:
        """How far before `offset` no batch past `done` had begun: an unfinished one may go on."""
        begun = [each.offset for each in self._parts.values() if each.position > self.done]
        return min(begun, default=offset)
