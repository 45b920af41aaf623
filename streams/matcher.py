"""The matcher: follows one shard's command log, applies it, and writes the event log that answers
it.

Guarantees: its progress is the event log's highest complete position and nothing else; every
position is answered once, in order; after any crash the next matcher writes the very bytes that
this one would have. A second matcher on the same log loses the race for a position and stops."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.batch import START, EventBatch, ForkError, Position
from domain.exchange import Exchange
from domain.snapshot import FrozenState, SnapshotError, restore
from domain.wire import EventHeader, NewerVersionError, decode_event_header, seal_events
from streams.metrics import MatcherMetrics

log = logging.getLogger(__name__)

EARLY_COMMANDS: Final = 1_000  # fewer are not worth a snapshot


class CommandSource(Protocol):
    """What a matcher reads."""

    shard: int

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` (position, batch) pairs after a position."""
        ...


class EventTarget(Protocol):
    """What a matcher writes."""

    def append(self, batches: Sequence[tuple[int, Sequence[bytes]]]) -> None:
        """Write whole batches."""
        ...

    def tail(self) -> Position:
        """The highest complete position."""
        ...

    def at(self, position: int) -> EventBatch | None:
        """The batch of one position."""
        ...


class Snapshots(Protocol):
    """Where engine snapshots are kept."""

    def save(self, shard: int, at: Position, chunks: list[bytes]) -> None:
        """Keep one snapshot, and forget all but the newest few."""
        ...

    def newest_sound(
        self, shard: int, at_most_position: int | None = None
    ) -> tuple[Position, list[bytes]] | None:
        """The newest undamaged snapshot not past a position."""
        ...


class Aside(Protocol):
    """Work that goes on beside the matcher."""

    def is_alive(self) -> bool:
        """Whether it still goes on."""
        ...

    def join(self) -> None:
        """Wait for its end."""
        ...


def in_thread(work: Callable[[], None]) -> Aside:
    """Start `work` in a thread that does not keep the process alive."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@dataclass(frozen=True)
class MatcherLimits:
    """Bounds of one matcher."""

    record_bytes_max: int = 900_000
    read_batches_max: int = 64
    snapshot_commands: int = 1_000_000


class Matcher:
    """One shard's matcher. `snapshots` None means that every start replays the whole log; `aside`
    starts the work of keeping one.
    """

    def __init__(
        self,
        commands: CommandSource,
        events: EventTarget,
        *,
        snapshots: Snapshots | None,
        limits: MatcherLimits,
        aside: Callable[[Callable[[], None]], Aside] = in_thread,
    ) -> None:
        self.shard = commands.shard
        self._commands = commands
        self._events = events
        self._snapshots = snapshots
        self._limits = limits
        self._aside = aside
        self.exchange = Exchange(self.shard)
        self.chain = START.chain
        self._commands_since_snapshot = 0
        self._snapshot_position = 0
        self._saving: Aside | None = None
        self.metrics = MatcherMetrics(self.shard)

    # --- recovery ---------------------------------------------------------------------------------

    def recover(self, progress: Callable[[int], None] | None = None) -> None:
        """Restore the newest sound snapshot and replay, silently, to where the event log ends.

        Raises ForkError where this history and the event log's disagree.
        """
        began = time.perf_counter()
        tail = self._events.tail()
        self.exchange, self.chain = self._restored(tail)
        self._snapshot_position = self.exchange.position
        while self.exchange.position < tail.position:
            rows = self._commands.read(self.exchange.position, self._limits.read_batches_max)
            if not rows:
                raise ForkError(
                    f"shard {self.shard}: events to {tail.position}, commands only to "
                    f"{self.exchange.position}: the command log is not the one that made them"
                )
            for position, batch in rows:
                if position > tail.position:
                    break
                self._apply(position, batch)
            if progress is not None:
                progress(self.exchange.position)
        if self.chain != tail.chain:
            raise ForkError(
                f"shard {self.shard}: replaying the command log to {tail.position} gives another "
                f"history than the event log's; move {self._events} aside to make it again"
            )
        self.metrics.recovered(self.exchange.position, time.perf_counter() - began)
        log.info(
            "shard %d: recovered at position %d",
            self.shard,
            self.exchange.position,
            extra={"shard": self.shard, "position": self.exchange.position},
        )

    def _restored(self, tail: Position) -> tuple[Exchange, bytes]:
        at_most = tail.position
        while (found := self._snapshot_not_past(at_most)) is not None:
            at, chunks = found
            logged = self._events.at(at.position)
            try:
                exchange = restore(chunks)
            except SnapshotError as error:
                log.warning("shard %d: snapshot of %d: %s", self.shard, at.position, error)
            else:
                agrees = logged is not None and logged.header.chain == at.chain
                if agrees and (exchange.shard, exchange.position) == (self.shard, at.position):
                    return exchange, at.chain
                log.warning("shard %d: snapshot of %d is of another log", self.shard, at.position)
            at_most = at.position - 1
        return Exchange(self.shard), START.chain

    def _snapshot_not_past(self, position: int) -> tuple[Position, list[bytes]] | None:
        if self._snapshots is None or position <= 0:
            return None
        try:
            return self._snapshots.newest_sound(self.shard, position)
        except Exception as error:  # noqa: BLE001 - matching does not need that server: see _save
            log.warning("shard %d: no snapshot can be read: %r", self.shard, error)
            return None

    # --- following --------------------------------------------------------------------------------

    def step(self) -> int:
        """Apply what the command log holds past here, up to a bound, and write its events.

        Returns the number of batches; 0 means that the matcher has caught up. Raises IntegrityError
        where another matcher wrote first, NewerVersionError where a newer release wrote the next
        command.
        """
        rows = self._commands.read(self.exchange.position, self._limits.read_batches_max)
        if not rows:
            return 0
        out: list[tuple[int, list[bytes]]] = []
        headers: list[EventHeader] = []
        began = time.perf_counter()
        for position, batch in rows:
            try:
                records, header = self._apply(position, batch)
                out.append((position, records))
                headers.append(header)
            except NewerVersionError:
                if not out:
                    raise
                break  # what came before it is answered first
        applied = time.perf_counter()
        self._events.append(out)
        self.metrics.stepped(
            headers,
            apply_s=applied - began,
            append_s=time.perf_counter() - applied,
            dirty_commands=self._commands_since_snapshot,
        )
        if self._snapshot_is_due():
            self.save_snapshot()
        return len(out)

    def _apply(self, position: int, batch: bytes) -> tuple[list[bytes], EventHeader]:
        image = self.exchange.apply(position, batch)
        records, self.chain = seal_events(image, self.chain, self._limits.record_bytes_max)
        header = decode_event_header(records[0])
        if header.status == 2:
            where = {"shard": self.shard, "position": position}
            log.error("shard %d: position %d is undecodable", self.shard, position, extra=where)
        self._commands_since_snapshot += header.command_count
        return records, header

    def _snapshot_is_due(self) -> bool:
        """Every `snapshot_commands`, and in a young log whenever it is twice as long as at the last
        one: a quiet exchange need not wait hours for its first.
        """
        since = self._commands_since_snapshot
        if since >= self._limits.snapshot_commands:
            return True
        return since >= EARLY_COMMANDS and self.exchange.position >= 2 * self._snapshot_position

    def save_snapshot(self, *, wait: bool = False) -> None:
        """Take a snapshot here and hand it to the store, aside; skip it if one is under way."""
        if self._snapshots is None or (self._saving is not None and self._saving.is_alive()):
            return
        at = Position(self.exchange.position, self.chain)
        frozen = FrozenState(self.exchange)
        self._commands_since_snapshot = 0
        self._snapshot_position = at.position
        self._saving = self._aside(lambda: self._save(at, frozen))
        if wait:
            self._saving.join()

    def _save(self, at: Position, frozen: FrozenState) -> None:
        assert self._snapshots is not None
        try:
            self._snapshots.save(self.shard, at, frozen.chunks())
        except Exception as error:  # noqa: BLE001 - a snapshot only saves time; the log is the truth
            self.metrics.snapshot_failed()
            log.warning("shard %d: snapshot of %d not saved: %r", self.shard, at.position, error)
        else:
            self.metrics.snapshot_saved()

    @property
    def dirty_commands(self) -> int:
        """How many commands a restart would replay."""
        return self._commands_since_snapshot
