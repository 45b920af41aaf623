"""The simulated logs and snapshots of one shard, and each process's handle on them.

Guarantees: the command log never loses or changes what it took, and takes each (session, number)
once; the event log takes whole batches, each position once, and a power cut may take its end;
snapshots may be damaged, of another log, or not the newest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import psycopg
from eventsourcing.persistence import IntegrityError, OperationalError

from domain.batch import START, EventBatch, Position
from tests.simulation.scheduler import Process
from tests.simulation.weather import Store, Weather

SNAPSHOTS_KEPT = 3


class CommandStore(Store):
    """What is on the disk of one shard's command log."""

    def __init__(self, weather: Weather, shard: int) -> None:
        super().__init__(weather, f"commands-{shard}", OperationalError)
        self.shard = shard
        self.rows: list[tuple[bytes, int, bytes]] = []
        self.places: dict[tuple[bytes, int], int] = {}

    def put(self, session: bytes, batch_number: int, batch: bytes) -> int:
        """The insert itself."""
        if (session, batch_number) in self.places:
            self.weather.scheduler.count("commands:there-already")
            raise IntegrityError(f"{session.hex()} has a batch {batch_number}")
        self.rows.append((session, batch_number, batch))
        self.places[session, batch_number] = len(self.rows)
        return len(self.rows)


class CommandHandle:
    """One process's connection to a command log: `commands.protocols.CommandLog` and what the
    matcher reads.
    """

    def __init__(self, store: CommandStore, process: Process) -> None:
        self.shard = store.shard
        self._store = store
        self._process = process

    def append(self, session: bytes, batch_number: int, batch: bytes) -> int:
        """See `CommandLog`."""
        what = f"append {session.hex()[-4:]} {batch_number}"
        store = self._store
        return store.write(self._process, what, lambda: store.put(session, batch_number, batch))

    def position_of(self, session: bytes, batch_number: int) -> int | None:
        """See `CommandLog`."""
        what = f"position of {session.hex()[-4:]} {batch_number}"
        key = (session, batch_number)
        return self._store.read(self._process, what, lambda: self._store.places.get(key))

    def last_batch_number(self, session: bytes) -> int:
        """See `CommandLog`."""
        own = [number for each, number in self._store.places if each == session]
        return self._store.read(self._process, "last number", lambda: max(own, default=0))

    def head(self) -> int:
        """The last position."""
        return self._store.read(self._process, "head", lambda: len(self._store.rows))

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` (position, batch) pairs after a position."""
        rows = self._store.read(
            self._process, "read", lambda: self._store.rows[after : after + limit]
        )
        return [(after + 1 + place, row[2]) for place, row in enumerate(rows)]


class EventStore(Store):
    """What is in the file of one shard's event log."""

    def __init__(self, weather: Weather, shard: int) -> None:
        super().__init__(weather, f"events-{shard}", OperationalError)
        self.shard = shard
        self.batches: dict[int, Sequence[bytes]] = {}
        self.synced = 0

    def tail(self) -> int:
        """The highest position in the file, whatever is below it."""
        return max(self.batches, default=0)

    def put(self, batches: Sequence[tuple[int, Sequence[bytes]]]) -> None:
        """The transaction itself."""
        for position, _ in batches:
            if position in self.batches:
                self.weather.scheduler.count("events:there-already")
                raise IntegrityError(f"position {position} is there")
        self.batches.update(batches)
        if self.weather.random.random() < 0.1:
            self.synced = self.tail()

    def lose(self, *, everything: bool) -> None:
        """A power cut takes what was not synced, or some of it; a person takes all."""
        tail = self.tail()
        least = 0 if everything else min(self.synced, tail)
        keep = 0 if everything else self.weather.random.randint(least, tail)
        for position in range(keep + 1, tail + 1):
            self.batches.pop(position, None)
        self.synced = keep
        self.weather.scheduler.note(self.name, f"loses {keep + 1} to {tail}")


class EventHandle:
    """One process's connection to an event log."""

    def __init__(self, store: EventStore, process: Process) -> None:
        self.shard = store.shard
        self._store = store
        self._process = process

    def append(self, batches: Sequence[tuple[int, Sequence[bytes]]]) -> None:
        """See `streams.matcher.EventTarget`."""
        what = f"append {batches[0][0]} to {batches[-1][0]}"
        self._store.write(self._process, what, lambda: self._store.put(batches))

    def tail(self) -> Position:
        """The highest position."""
        found = self._store.read(self._process, "tail", lambda: self._whole(self._store.tail()))
        return START if found is None else found.at

    def at(self, position: int) -> EventBatch | None:
        """The batch of one position."""
        return self._store.read(self._process, f"at {position}", lambda: self._whole(position))

    def read(self, after: int, limit: int) -> list[EventBatch]:
        """Whole batches after a position, in order."""
        if limit < 1:
            raise ValueError("at least one")

        def effect() -> list[EventBatch]:
            later = range(after + 1, self._store.tail() + 1)
            there = (each for each in later if each in self._store.batches)
            return [self._joined(each) for each in islice(there, limit)]

        return self._store.read(self._process, f"read after {after}", effect)

    def _whole(self, position: int) -> EventBatch | None:
        return self._joined(position) if position in self._store.batches else None

    def _joined(self, position: int) -> EventBatch:
        return EventBatch.of_parts(list(self._store.batches[position]))


class SnapshotShelf(Store):
    """Every shard's snapshots, in one server."""

    def __init__(self, weather: Weather) -> None:
        super().__init__(weather, "snapshots", psycopg.OperationalError)
        self.kept: dict[int, dict[int, tuple[Position, list[bytes]]]] = {}


class SnapshotHandle:
    """One process's connection to the snapshots: `streams.matcher.Snapshots`."""

    def __init__(self, store: SnapshotShelf, process: Process) -> None:
        self._store = store
        self._process = process

    def save(self, shard: int, at: Position, chunks: list[bytes]) -> None:
        """Keep one, and forget all but the newest few."""

        def effect() -> None:
            own = self._store.kept.setdefault(shard, {})
            own[at.position] = (at, chunks)
            for old in sorted(own)[:-SNAPSHOTS_KEPT]:
                del own[old]

        self._store.write(self._process, f"save {shard} {at.position}", effect)

    def newest_sound(
        self, shard: int, at_most_position: int | None = None
    ) -> tuple[Position, list[bytes]] | None:
        """The newest not past a position; or an older one, or one whose damage went unnoticed."""
        kept = self._store.kept.get(shard, {})
        bound = max(kept, default=0) if at_most_position is None else at_most_position
        found = self._store.read(
            self._process,
            f"newest of {shard} to {bound}",
            lambda: [kept[each] for each in sorted(kept) if each <= bound],
        )
        if not found:
            return None
        weather = self._store.weather
        older = weather.happens(weather.chances.snapshot_older)
        at, chunks = weather.random.choice(found) if older else found[-1]
        weather.scheduler.count("snapshots:older" if older else "snapshots:newest")
        if weather.happens(weather.chances.snapshot_damaged):
            weather.scheduler.count("snapshots:damaged")
            return self._damaged(at, chunks)
        return at, chunks

    def _damaged(self, at: Position, chunks: list[bytes]) -> tuple[Position, list[bytes]]:
        random = self._store.weather.random
        if random.random() < 0.3:
            return Position(at.position, random.randbytes(32)), chunks
        whole = bytearray(b"".join(chunks))
        if random.random() < 0.3:
            return at, [bytes(whole[: random.randrange(len(whole))])]
        whole[random.randrange(len(whole))] ^= 1 << random.randrange(8)
        return at, [bytes(whole)]
