"""Whether the exchange behind this process is caught up, and what is behind where it is not.

Guarantees: the read models' own stores are asked, since what their sinks told may be lost, or older
than their loss; ready means that the directory is read, and that of every shard the matcher and
each read model have come to where the log ended when this process began (or, for a read model that
was lost, where it ended then), are within the lag that the settings allow, have not stood still
behind what there is to do, and have the very history of the event log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from eventsourcing.persistence import PersistenceError
from msgspec import Struct

from api import metrics
from domain.batch import Position
from projections.read_books import BooksUnavailableError
from projections.read_history import HistoryUnavailableError

STALLED_S_MAX: Final = 3.0
LOOK_S: Final = 1.0
REPORTS_KEPT: Final = 6
LOOKED_LATELY_S: Final = 2 * LOOK_S
SINKS: Final = ("redis", "postgres")

log = logging.getLogger("crossbook.readiness")


class ShardHealth(Struct):
    """How far one shard's log, matcher and read models are, as positions; null: no answer."""

    shard: int
    written: int
    matched: int
    redis: int | None
    postgres: int | None


class Logs(Protocol):
    """What is asked of the gateway."""

    def matched(self, shard: int) -> int:
        """The last position known to be matched."""
        ...

    def written(self, shard: int) -> int:
        """The last position known to be in the command log."""
        ...

    def stalled_s(self, shard: int) -> float:
        """For how long something has waited to be matched and nothing was."""
        ...

    async def chain_at(self, shard: int, position: int) -> bytes | None:
        """The running hash after a position of the event log, None where there is none yet."""
        ...


class Store(Protocol):
    """A read model that tells where it stands."""

    async def stands_at(self, shard: int) -> Position:
        """The last batch applied and the running hash after it."""
        ...


class DirectoryState(Protocol):
    """Whether the directory is read."""

    @property
    def stale(self) -> bool:
        """Whether it has not been read for some seconds."""
        ...

    @property
    def notification_id(self) -> int:
        """The last change read."""
        ...


class DirectoryWrites(Protocol):
    """Whether what the directory says is in the logs."""

    @property
    def notification_id(self) -> int:
        """The last change whose commands are in every shard's log."""
        ...


@dataclass
class _Sink:
    """One read model along one shard, as seen by looking."""

    must_reach: int
    position: int = -1
    moved_at: float = 0.0
    looked_at: float = float("-inf")
    sound: Position | None = None  # compared with the log, and found to be its history
    sound_at_ns: int = 0


@dataclass(frozen=True)
class Report:
    """What one look found; ready where nothing is `behind`. `at` is of `time.monotonic()`."""

    behind: list[str]
    shards: list[ShardHealth]
    directory: int
    at: float = field(default_factory=time.monotonic)
    at_ns: int = field(default_factory=time.time_ns)


class Readiness:
    """Looks at every shard's matcher and read models. `run` keeps looking, so that one that stands
    still is known for it when somebody asks.
    """

    def __init__(
        self,
        gateway: Logs,
        stores: dict[str, Store],
        directory: DirectoryState,
        directory_writes: DirectoryWrites,
        *,
        shards: int,
        lag_batches_max: int,
    ) -> None:
        """`stores` by the names of `SINKS`."""
        self._gateway = gateway
        self._stores = stores
        self._directory = directory
        self._directory_writes = directory_writes
        self._lag_max = lag_batches_max
        self._begun_at = [gateway.written(shard) for shard in range(shards)]
        self._sinks = {
            (name, shard): _Sink(begun_at)
            for name in SINKS
            for shard, begun_at in enumerate(self._begun_at)
        }
        self._said: list[str] = []
        # What was found lately, oldest first: how fast things go.
        self.reports: deque[Report] = deque(maxlen=REPORTS_KEPT)

    async def run(self) -> None:
        """Look every second until cancelled, keep the gauges, and log what changes."""
        while True:
            report = await self.look()
            self._say(report.behind)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> Report:
        """Ask everybody now. Bounded by the stores' own time limits."""
        behind: list[str] = []
        directory = self._directory
        if directory.stale:
            behind.append("directory")
        elif self._directory_writes.notification_id < directory.notification_id:
            # An order for an instrument that a shard has not heard of yet would be refused.
            behind.append("the shards' word of the directory")
        found = await asyncio.gather(*map(self._shard, range(len(self._begun_at))))
        for _, troubles in found:
            behind += troubles
        metrics.READY.set(not behind)
        report = Report(behind, [health for health, _ in found], directory.notification_id)
        self.reports.append(report)
        return report

    def verified(self, name: str, shard: int) -> tuple[Position, int] | None:
        """Where a read model's running hash was last compared with the log's and agreed, and when
        (ns since 1970); None where it was not yet."""
        sink = self._sinks[name, shard]
        return None if sink.sound is None else (sink.sound, sink.sound_at_ns)

    async def _shard(self, shard: int) -> tuple[ShardHealth, list[str]]:
        stands = await asyncio.gather(*(self._ask(name, shard) for name in SINKS))
        gateway = self._gateway
        # Asked after the stores, so that a read model does not seem ahead.
        health = ShardHealth(shard, gateway.written(shard), gateway.matched(shard), None, None)
        troubles: list[str] = []
        if why := self._matcher_trouble(health):
            troubles.append(f"matcher of shard {shard}: {why}")
        for name, at in zip(SINKS, stands, strict=True):
            if at is None:
                why = "its store does not answer"
                metrics.lagging(name, shard, None)
            else:
                setattr(health, name, at.position)
                metrics.lagging(name, shard, max(0, health.matched - at.position))
                why = await self._sink_trouble(name, health, at)
            if why:
                troubles.append(f"{name} of shard {shard}: {why}")
        return health, troubles

    async def _ask(self, name: str, shard: int) -> Position | None:
        try:
            return await self._stores[name].stands_at(shard)
        except (BooksUnavailableError, HistoryUnavailableError) as error:
            log.debug("%s, shard %d: %s", name, shard, error)
            return None

    def _matcher_trouble(self, health: ShardHealth) -> str:
        lag = health.written - health.matched
        metrics.lagging("matcher", health.shard, lag)
        if lag > self._lag_max or health.matched < self._begun_at[health.shard]:
            return f"{lag} batches behind"
        stalled_s = self._gateway.stalled_s(health.shard)
        if stalled_s > STALLED_S_MAX:
            return f"{lag} batches behind, and stands still"
        return ""

    async def _sink_trouble(self, name: str, health: ShardHealth, at: Position) -> str:
        sink, now = self._sinks[name, health.shard], time.monotonic()
        lag = health.matched - at.position
        if at.position < sink.position:
            sink.must_reach = health.matched  # it was lost, or is made anew
        seen = now - sink.looked_at < LOOKED_LATELY_S
        if lag <= 0 or at.position != sink.position or not seen:
            sink.moved_at = now
        sink.position, sink.looked_at = at.position, now
        if why := await self._fork(name, health.shard, at):
            return why
        if lag > self._lag_max or at.position < sink.must_reach:
            return f"{max(lag, sink.must_reach - at.position)} batches behind"
        if now - sink.moved_at > STALLED_S_MAX:
            return f"{lag} batches behind, and stands still"
        return ""

    async def _fork(self, name: str, shard: int, at: Position) -> str:
        sink = self._sinks[name, shard]
        if at.position == 0 or at == sink.sound:
            return ""
        try:
            chain = await self._gateway.chain_at(shard, at.position)
        except PersistenceError as error:
            log.warning("shard %d: the event log cannot be read: %r", shard, error)
            return ""
        if chain is None:
            return f"is at {at.position}, ahead of the event log"
        if chain != at.chain:
            return f"stopped at {at.position}: its history is not the log's"
        sink.sound, sink.sound_at_ns = at, time.time_ns()
        return ""

    def _say(self, behind: list[str]) -> None:
        """Log what is behind when the list of who is changes, not with each new number."""
        who = [each.partition(":")[0] for each in behind]
        if who != self._said:
            if behind:
                log.warning("not ready: %s", "; ".join(behind))
            else:
                log.info("ready")
            self._said = who
