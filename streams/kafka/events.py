"""The event log of one shard on Kafka: one record is one part of an EventBatch.

Guarantees: `tail` is the highest complete position, whatever was written twice, late or in part;
`read` and `at` find a position without reading the log from its beginning. Every record carries a
stamp (`records.Stamp`) of what its writer knew of the log; stamps are what makes the searches exact
and short. Several matchers may write at once, for what they write is the same."""

from __future__ import annotations

import secrets
import threading
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Sequence
from typing import Final

from eventsourcing.persistence import IntegrityError, OperationalError, StoredEvent

from domain.batch import START, EventBatch, Position
from streams.kafka.assembly import Assembler
from streams.kafka.connection import KafkaConnection
from streams.kafka.reader import PartitionReader
from streams.kafka.records import Stamp, decode_stamp, encode, offset_of, value_of
from streams.kafka.writer import PartitionWriter
from streams.logs import EVENT_TOPIC, PARTS_BITS, shard_id

NEAR_RECORDS: Final = 64  # so close to each other, two offsets are not worth another probe
TAIL_RECORDS: Final = 8
MARKS_MAX: Final = 4_096
MARKS_APART: Final = 256


class _Marks:
    """A bounded, sparse index: at `offset`, the log was complete up to `position`."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, int]] = [(0, 0)]  # (position, offset), both ascending
        self._apart = MARKS_APART

    def add(self, stamp: Stamp) -> None:
        """Keep a stamp that lies far enough from the others."""
        mark = (stamp.known_position, stamp.known_offset)
        at = bisect_right(self._marks, mark)
        if mark[1] - self._marks[at - 1][1] < self._apart:
            return
        if at < len(self._marks) and self._marks[at][1] - mark[1] < self._apart:
            return
        insort(self._marks, mark)
        if len(self._marks) > MARKS_MAX:
            self._marks = self._marks[::2]
            self._apart *= 2

    def around(self, position: int) -> tuple[int, int | None]:
        """An offset before the first record of `position`, and one after it where known."""
        at = bisect_right(self._marks, (position - 1, 1 << 62))
        after = self._marks[at][1] if at < len(self._marks) else None
        return self._marks[at - 1][1], after


class KafkaEventLog:
    """One matcher appends; threads may share it, each `read` going on where the last one ended is
    the cheap case.
    """

    def __init__(self, connection: KafkaConnection, shard: int) -> None:
        self.shard = shard
        topic = connection.events_topic
        self._originator = shard_id(shard)
        self._nonce = secrets.token_bytes(8)
        self._writer = PartitionWriter(connection, topic, shard, atomic=False, patient=True)
        self._probe = PartitionReader(connection, topic, shard)
        self._follower = PartitionReader(connection, topic, shard, asking=self._probe)
        self._marks = _Marks()
        self._known: Stamp | None = None  # for writing
        self._writing = threading.Lock()
        self._reading = threading.RLock()  # all below
        self._offset = 0
        self._assembler = Assembler()
        self._recent: deque[EventBatch] = deque()

    def __str__(self) -> str:
        return str(self._probe)

    # --- writing ----------------------------------------------------------------------------------

    def append(self, batches: Sequence[tuple[int, Sequence[bytes]]]) -> None:
        """Write whole batches, each as (position, records); returns when they are delivered.

        Raises PersistenceError where Kafka did not take them, or not all: the caller then begins
        again from `tail`. IntegrityError where they would leave a gap, or the log lost records."""
        if not batches:
            return
        with self._writing:
            known = self._known or self._tail()[1]
            self._known = None  # until this is known to have worked
            if batches[0][0] > known.known_position + 1:
                raise IntegrityError(
                    f"{self} ends at {known.known_position}: {batches[0][0]} would leave a gap"
                )
            records = [
                encode(
                    StoredEvent(
                        self._originator, position << PARTS_BITS | part, EVENT_TOPIC, state
                    ),
                    known,
                )
                for position, states in batches
                for part, state in enumerate(states)
            ]
            offsets = self._writer.send(records)
            self._known = self._advanced(known, offsets, batches[-1][0])

    def _advanced(self, known: Stamp, offsets: Sequence[int], position: int) -> Stamp:
        """What is known once records of ours up to `position` lie at `offsets`."""
        first, end = offsets[0], offsets[-1] + 1
        if first < known.known_offset:
            raise IntegrityError(f"{self} lost records: it ended past {first} before")
        if end - known.known_offset == len(offsets):
            return Stamp(self._nonce, end, max(known.known_position, position))
        assembler = Assembler(known.known_position)  # another matcher writes as well
        for message in self._probe.scan(known.known_offset, end):
            assembler.add(value_of(message), decode_stamp(message).writer, offset_of(message))
        return Stamp(self._nonce, assembler.settled_before(end), assembler.done)

    # --- reading ----------------------------------------------------------------------------------

    def tail(self) -> Position:
        """The highest complete position and the running hash there.

        Raises OperationalError where no broker answers, ForkError where the tail holds two
        histories."""
        return self._tail()[0]

    def tail_and_offset(self) -> tuple[Position, int]:
        """As `tail`, and an offset before which nothing of a higher position lies."""
        at, known = self._tail()
        return at, known.known_offset

    def _tail(self) -> tuple[Position, Stamp]:
        head = self._probe.head()
        known = self._stamp_before(head)
        assembler = Assembler(known.known_position)
        last: EventBatch | None = None
        for message in self._probe.scan(known.known_offset, head):
            last = (
                assembler.add(value_of(message), decode_stamp(message).writer, offset_of(message))
                or last
            )
        if last is None and known.known_position:
            last = self.at(known.known_position)
            if last is None:
                raise OperationalError(f"{self}: position {known.known_position} is not there")
        at = last.at if last is not None else START
        return at, Stamp(self._nonce, assembler.settled_before(head), at.position)

    def _stamp_before(self, head: int) -> Stamp:
        """The most that any of the last records before `head` knew."""
        last = self._probe.scan(max(0, head - TAIL_RECORDS), head)
        stamps = [decode_stamp(message) for message in last]
        known = max(stamps, key=lambda stamp: stamp.known_offset, default=None)
        return known if known is not None else Stamp(self._nonce, 0, 0)

    def read(self, after: int, limit: int) -> list[EventBatch]:
        """Whole batches after a position, in order, from up to `limit` records (and at least one
        batch, if any).

        Raises OperationalError where no broker answers, ForkError where the log holds two
        histories."""
        with self._reading:
            known = [batch for batch in self._recent if batch.position > after]
            if known and known[0].position == after + 1:
                return known[:limit]
            if after != self._assembler.done:
                self._offset, _ = self._locate(after + 1)
                self._assembler = Assembler(after)
            self._recent.clear()
            while not self._recent:
                messages = self._follower.read(self._offset, limit)
                if not messages:
                    break
                for message in messages:
                    stamp = decode_stamp(message)
                    self._marks.add(stamp)
                    batch = self._assembler.add(value_of(message), stamp.writer, offset_of(message))
                    if batch is not None:
                        self._recent.append(batch)
                self._offset += len(messages)
            return list(self._recent)

    def rest(self) -> None:
        """Fetch nothing until the next read, which then takes a moment longer."""
        with self._reading:
            self._follower.rest()

    def at(self, position: int) -> EventBatch | None:
        """The batch of one position, None where the log does not hold it. Raises as `read`."""
        if position < 1:
            return None
        with self._reading:
            for batch in self._recent:
                if batch.position == position:
                    return batch
            start, stop = self._locate(position)
            assembler = Assembler(position - 1)
            for message in self._probe.scan(start, stop):
                found = assembler.add(
                    value_of(message), decode_stamp(message).writer, offset_of(message)
                )
                if found is not None:
                    return found
            return None

    def _locate(self, position: int) -> tuple[int, int]:
        """Offsets (start, stop): the first complete batch of `position`, where there is one, lies
        between them.
        """
        start, known_stop = self._marks.around(position)
        stop = self._probe.head() if known_stop is None else known_stop
        while stop - start > NEAR_RECORDS:
            middle = (start + stop) // 2
            stamp = self._stamp_at(middle)
            self._marks.add(stamp)
            if stamp.known_position >= position:
                stop = stamp.known_offset
            elif stamp.known_offset > start:
                start = stamp.known_offset
            else:
                break  # its writer had not looked for long: read on from `start`
        return start, stop

    def _stamp_at(self, offset: int) -> Stamp:
        for message in self._probe.scan(offset, offset + 1):
            assert offset_of(message) == offset
            return decode_stamp(message)
        raise OperationalError(f"{self}: no record {offset}")

    def close(self) -> None:
        """Let go of the connections."""
        self._writer.close()
        self._probe.close()
        self._follower.close()
