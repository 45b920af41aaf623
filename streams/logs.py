"""The two logs of a shard on disk: SQLite files behind the `eventsourcing` library's Application
and recorder.

Command log: one StoredEvent is one CommandBatch; originator = the writer's session, version = its
batch number, and the notification id is the batch's position. Event log: one StoredEvent is one
part of an EventBatch; originator = the shard, version = position << 16 | part; all parts of a batch
are written in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.persistence import ApplicationRecorder, StoredEvent

from domain.batch import START, EventBatch, Position

COMMAND_TOPIC = "crossbook.CommandBatch"
EVENT_TOPIC = "crossbook.EventBatch"
SHARD_NAMESPACE = UUID("6a3e6a0e-52b4-5b0c-9d0e-0c7c6f3a9b51")
PARTS_BITS = 16


def shard_id(shard: int) -> UUID:
    """The originator id of a shard's event log."""
    return uuid5(SHARD_NAMESPACE, f"shard {shard}")


def _recorder(path: Path, name: str, factory: str) -> tuple[Application[UUID], ApplicationRecorder]:
    path.parent.mkdir(parents=True, exist_ok=True)

    class ShardLog(Application[UUID]):
        """One shard's log. One file each, so that nothing else takes its notification ids."""

    ShardLog.name = name
    env: dict[str, str] = {"PERSISTENCE_MODULE": factory, "SQLITE_DBNAME": str(path)}
    app = ShardLog(env=env)
    return app, app.recorder


class SQLiteCommandLog:
    """The command log of one shard; several threads and processes may append."""

    def __init__(self, folder: Path, shard: int) -> None:
        self.shard = shard
        self.path = folder / f"commands-{shard}.sqlite"
        self._app, self._recorder = _recorder(self.path, "commands", "eventsourcing.sqlite")
        self._lock = threading.Lock()

    def append(self, session: bytes, batch_number: int, batch: bytes) -> int:
        """Make a CommandBatch durable; returns its position.

        Raises IntegrityError where the session's number is there already, PersistenceError where
        the disk refuses."""
        event = StoredEvent(UUID(bytes=session), batch_number, COMMAND_TOPIC, batch)
        with self._lock:
            ids = self._recorder.insert_events([event])
        assert ids is not None
        return ids[0]

    def position_of(self, session: bytes, batch_number: int) -> int | None:
        """Where a session's batch lies, None where it is not in the log."""
        found = self._recorder.select_events(
            UUID(bytes=session), gt=batch_number - 1, lte=batch_number
        )
        if not found:
            return None
        start = self.head()
        while start > 0:
            for row in reversed(self._recorder.select_notifications(max(1, start - 255), 256)):
                if row.originator_version == batch_number and row.originator_id == UUID(
                    bytes=session
                ):
                    return row.id
            start -= 256
        return None

    def last_batch_number(self, session: bytes) -> int:
        """The session's highest batch number in the log, 0 where it has none."""
        found = self._recorder.select_events(UUID(bytes=session), desc=True, limit=1)
        return found[0].originator_version if found else 0

    def head(self) -> int:
        """The last position, 0 where the log is empty."""
        return self._recorder.max_notification_id() or 0

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` (position, batch) pairs after a position, in order."""
        rows = self._recorder.select_notifications(after, limit, inclusive_of_start=False)
        return [(row.id, row.state) for row in rows]

    def close(self) -> None:
        """Release the file."""
        self._app.close()


class SQLiteEventLog:
    """The event log of one shard; one matcher writes, anyone reads."""

    def __init__(self, folder: Path, shard: int) -> None:
        self.shard = shard
        self.path = folder / f"events-{shard}.sqlite"
        self._originator = shard_id(shard)
        self._app, self._recorder = _recorder(self.path, "events", "streams.sqlite:UnsyncedFactory")

    def __str__(self) -> str:
        return str(self.path)

    def append(self, batches: Sequence[tuple[int, Sequence[bytes]]]) -> None:
        """Write whole batches, each as (position, records), in one transaction.

        Raises IntegrityError where another matcher wrote one of them first.
        """
        rows: list[Any] = []
        for position, records in batches:
            first = position << PARTS_BITS
            rows.extend(
                StoredEvent(self._originator, first | part, EVENT_TOPIC, record)
                for part, record in enumerate(records)
            )
        self._recorder.insert_events(rows)

    def tail(self) -> Position:
        """The highest complete position and the running hash there."""
        found = self._recorder.select_events(self._originator, desc=True, limit=1)
        if not found:
            return START
        last = self._at(found[0].originator_version >> PARTS_BITS)
        return last.at if last is not None else START

    def read(self, after: int, limit: int) -> list[EventBatch]:
        """Whole batches after a position, in order, from up to `limit` records (and at least one
        batch, if any).
        """
        rows = self._recorder.select_events(
            self._originator, gt=(after << PARTS_BITS) | 0xFFFF, limit=limit
        )
        batches: list[EventBatch] = []
        parts: list[bytes] = []
        for row in rows:
            parts.append(row.state)
            if row.state[21] == 1:
                batches.append(EventBatch.of_parts(parts))
                parts = []
        if not batches and parts:
            whole = self._at(rows[0].originator_version >> PARTS_BITS)
            return [whole] if whole is not None else []
        return batches

    def _at(self, position: int) -> EventBatch | None:
        first = position << PARTS_BITS
        rows = self._recorder.select_events(self._originator, gt=first - 1, lte=first | 0xFFFF)
        return EventBatch.of_parts([row.state for row in rows]) if rows else None

    def at(self, position: int) -> EventBatch | None:
        """The batch of one position, None where the log does not hold it."""
        return self._at(position)

    def close(self) -> None:
        """Release the file."""
        self._app.close()
