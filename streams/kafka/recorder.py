"""The `eventsourcing` library's recorders over one Kafka partition: one StoredEvent is one record,
notification id = offset + 1.

Guarantees: an insert of several events is one record batch, whole or absent; versions of an
originator increase along the log, and one writer never writes (originator, version) twice
(IntegrityError); after a write whose outcome is not known, the log's tail is read for it before
anything else is written. Uniqueness holds per writer: a second process that writes the same
originator is not refused, so every writer needs an originator of its own (docs/kafka.md)."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    DataError,
    IntegrityError,
    Notification,
    OperationalError,
    StoredEvent,
    Subscription,
)

from streams.kafka.connection import KafkaConnection
from streams.kafka.index import INDEX_RECORDS_MAX, RecentIndex
from streams.kafka.reader import PartitionReader
from streams.kafka.records import Key, decode, decode_key, encode, key_of, offset_of
from streams.kafka.writer import InDoubtError, NotSentError, PartitionWriter

ORIGINATORS_MAX: Final = 65_536
FATES_MAX: Final = 1_024
SUBSCRIPTION_RECORDS: Final = 500
SUBSCRIPTION_WAIT_S: Final = 0.1
_NOT_SENT: Final = -1


class KafkaAggregateRecorder(AggregateRecorder):
    """Inserts and selects events of one partition. Threads may share it."""

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        partition: int = 0,
        *,
        index_records_max: int = INDEX_RECORDS_MAX,
    ) -> None:
        self._connection, self._topic, self._partition = connection, topic, partition
        self._reader = PartitionReader(connection, topic, partition)
        self._writer = PartitionWriter(connection, topic, partition, atomic=True)
        self._index = RecentIndex(index_records_max)
        self._reading = threading.Lock()  # the index
        self._writing = threading.Lock()  # all below
        self._last: OrderedDict[bytes, int] = OrderedDict()
        self._fates: OrderedDict[Key, int] = OrderedDict()  # of failed writes: offset or _NOT_SENT
        self._doubts: dict[Key, int] = {}  # key → the offset before which it cannot lie
        self._settled = 0  # what this writer wrote before this offset is known
        self._must_settle = False

    def __str__(self) -> str:
        return str(self._reader)

    def close(self) -> None:
        """Let go of all connections."""
        self._writer.close()
        self._reader.close()

    # --- writing ----------------------------------------------------------------------------------

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Write events, all or none. Raises IntegrityError for a version not above its
        originator's last; DataError where they do not fit one record batch; OperationalError where
        Kafka did not take them, or may not have (then `position_of` tells more).
        """
        self._insert(stored_events)
        return None

    def _insert(self, events: Sequence[StoredEvent]) -> list[int]:
        if not events:
            return []
        records = [encode(event) for event in events]
        keys = [key_of(event) for event in events]
        with self._writing:
            if self._must_settle:
                try:
                    self._settle()
                except OperationalError as error:
                    self._note(keys, _NOT_SENT)
                    raise NotSentError(f"{self}: an earlier write is in doubt") from error
            self._check_new(keys)
            try:
                offsets = self._writer.send(records)
            except (NotSentError, DataError):
                self._note(keys, _NOT_SENT)
                raise
            except InDoubtError:
                self._doubts.update(dict.fromkeys(keys, self._settled))
                self._must_settle = True
                raise
            self._written(keys, offsets)
        return [offset + 1 for offset in offsets]

    def _check_new(self, keys: Sequence[Key]) -> None:
        last: dict[bytes, int] = {}
        for originator, version in keys:
            before = last.get(originator, self._last.get(originator))
            if before is not None and version <= before:
                raise IntegrityError(f"{UUID(bytes=originator)} has version {before} already")
            last[originator] = version

    def _written(self, keys: Sequence[Key], offsets: Sequence[int]) -> None:
        for key in keys:
            self._fates.pop(key, None)
            self._doubts.pop(key, None)
            self._remember(key)
        self._settled = max(self._settled, offsets[-1] + 1)

    def _remember(self, key: Key) -> None:
        originator, version = key
        self._last[originator] = max(version, self._last.get(originator, version))
        self._last.move_to_end(originator)
        if len(self._last) > ORIGINATORS_MAX:
            self._last.popitem(last=False)

    def _note(self, keys: Sequence[Key], fate: int) -> None:
        for key in keys:
            self._fates[key] = fate
            if len(self._fates) > FATES_MAX:
                self._fates.popitem(last=False)

    # --- after a write whose outcome is not known -------------------------------------------------

    def _settle(self) -> None:
        """Read the tail for what is in doubt. What is not there may still come (see `writer`): it
        stays in doubt and does not hinder other originators.
        """
        head = self._reader.head(self._connection.answer_timeout_s)
        for message in self._reader.scan(min(self._doubts.values(), default=head), head):
            key = decode_key(message)
            if self._doubts.pop(key, None) is not None:
                self._note([key], offset_of(message))
                self._remember(key)
        for key in list(self._doubts)[:-FATES_MAX]:
            del self._doubts[key]
        self._doubts = dict.fromkeys(self._doubts, head)
        self._must_settle = False

    def position_of(self, originator_id: UUID, version: int) -> int | None:
        """The notification id of an event, None where it is not in the log.

        After a failed insert, None means that it never will be. Raises OperationalError where
        nobody can know: the write is in doubt, or no broker answers."""
        key = (originator_id.bytes, version)
        with self._writing:
            if key in self._doubts:
                self._settle()
                if key in self._doubts:
                    raise OperationalError(f"{self}: the write may still come")
            fate = self._fates.get(key)
        if fate is not None:
            return None if fate == _NOT_SENT else fate + 1
        found = self._select(originator_id, gt=version - 1, lte=version, desc=True, limit=1)
        return found[0].id if found else None

    # --- reading ----------------------------------------------------------------------------------

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """An originator's events by version. Those that the index no longer holds are looked for
        in the log itself, from its end: slow, but never in memory as a whole.
        """
        found = self._select(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)
        return [
            StoredEvent(each.originator_id, each.originator_version, each.topic, each.state)
            for each in found
        ]

    def _select(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None,
        lte: int | None,
        desc: bool,
        limit: int | None,
    ) -> list[Notification]:
        if not isinstance(originator_id, UUID):
            return []
        originator = originator_id.bytes
        with self._reading:
            self._catch_up()
            offsets = self._index.offsets(originator)
            low = self._index.low
        wanted = {v: at for v, at in offsets.items() if _within(v, gt, lte)}
        if not (
            low == 0
            or (gt is not None and any(version <= gt for version in offsets))
            or (desc and limit is not None and len(wanted) >= limit)
        ):
            self._look_back(originator, low, wanted, gt=gt, lte=lte, desc=desc, limit=limit)
        versions = sorted(wanted, reverse=desc)[:limit]
        found = self._fetch([wanted[version] for version in versions])
        return [found[wanted[version]] for version in versions]

    def _catch_up(self) -> None:
        index, head = self._index, self._reader.head()
        if head - index.high > index.records_max:
            index.restart(head - index.records_max)
        for message in self._reader.scan(index.high, head):
            index.add(decode_key(message))

    def _look_back(
        self,
        originator: bytes,
        stop: int,
        wanted: dict[int, int],
        *,
        gt: int | None,
        lte: int | None,
        desc: bool,
        limit: int | None,
    ) -> None:
        """Add to `wanted` from the records before `stop`, block by block towards the beginning."""
        while stop > 0:
            start = max(0, stop - 4_096)
            block: dict[int, int] = {}
            for message in self._reader.scan(start, stop):
                key = decode_key(message)
                if key[0] == originator:
                    block.setdefault(key[1], offset_of(message))
            wanted.update({v: at for v, at in block.items() if _within(v, gt, lte)})
            if not desc and limit is not None:  # the lowest `limit` are enough
                for version in sorted(wanted)[limit:]:
                    del wanted[version]
            if gt is not None and any(version <= gt for version in block):
                return
            if desc and limit is not None and len(wanted) >= limit:
                return
            stop = start

    def _fetch(self, offsets: Sequence[int]) -> dict[int, Notification]:
        """The records at these offsets; runs that lie near each other are read as one."""
        found: dict[int, Notification] = {}
        wanted = sorted(offsets)
        while wanted:
            run = [wanted[0]]
            for offset in wanted[1:]:
                if offset - run[-1] > 32:
                    break
                run.append(offset)
            for message in self._reader.scan(run[0], run[-1] + 1):
                if offset_of(message) in run:
                    found[offset_of(message)] = decode(message)
            wanted = wanted[len(run) :]
        return found


def _within(version: int, gt: int | None, lte: int | None) -> bool:
    return (gt is None or version > gt) and (lte is None or version <= lte)


class KafkaApplicationRecorder(KafkaAggregateRecorder, ApplicationRecorder):
    """Also numbers the events: the id of a notification is its offset + 1."""

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        partition: int = 0,
        *,
        index_records_max: int = INDEX_RECORDS_MAX,
    ) -> None:
        super().__init__(connection, topic, partition, index_records_max=index_records_max)
        self._follower = PartitionReader(connection, topic, partition, asking=self._reader)

    def close(self) -> None:
        """Let go of all connections."""
        super().close()
        self._follower.close()

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """As `KafkaAggregateRecorder.insert_events`; returns the notification ids."""
        return self._insert(stored_events)

    def read(self, after: int, limit: int) -> list[Notification]:
        """Up to `limit` notifications after an id: what is at hand, at least one where the log
        holds any.
        """
        return [decode(message) for message in self._follower.read(after, limit)]

    def rest(self) -> None:
        """Read nothing ahead until the next read."""
        self._follower.rest()

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Notifications by id, `limit` of them unless the log or `stop` ends before."""
        offset = max(0, (start or 1) - 1 if inclusive_of_start else (start or 0))
        found: list[Notification] = []
        while len(found) < limit and (stop is None or offset < stop):
            room = limit - len(found) if stop is None else min(limit - len(found), stop - offset)
            messages = self._follower.read(offset, room)
            if not messages:
                break
            offset += len(messages)
            rows = map(decode, messages)
            found.extend(row for row in rows if not topics or row.topic in topics)
        return found

    def max_notification_id(self) -> int | None:
        """The last notification id, None where the log is empty."""
        return self._reader.head() or None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Iterate over notifications after an id, waiting for new ones."""
        reader = PartitionReader(
            self._connection, self._topic, self._partition, asking=self._reader
        )
        return KafkaSubscription(self, reader, gt, topics)


class KafkaSubscription(Subscription[ApplicationRecorder]):
    """Notifications as they come. `stop` ends the iteration from any thread."""

    def __init__(
        self,
        recorder: ApplicationRecorder,
        reader: PartitionReader,
        gt: int | None,
        topics: Sequence[str],
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._reader = reader
        self._offset = gt or 0
        self._ready: deque[Notification] = deque()

    def __next__(self) -> Notification:
        """The next notification. Raises StopIteration once stopped, OperationalError where the
        log cannot be read.
        """
        while not self._has_been_stopped:
            if self._ready:
                return self._ready.popleft()
            messages = self._reader.read(
                self._offset, SUBSCRIPTION_RECORDS, wait_s=SUBSCRIPTION_WAIT_S
            )
            self._offset += len(messages)
            rows = map(decode, messages)
            self._ready.extend(row for row in rows if not self._topics or row.topic in self._topics)
        self._reader.close()
        raise StopIteration

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        super().__exit__(*args, **kwargs)
        self._reader.close()
