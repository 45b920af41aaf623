"""A whole exchange, its clients and its bad luck, made from one seed.

Guarantees: `run` is a function of the seed (and of the code); it ends with everything at rest and
every client answered, or with a problem.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from commands.sequencer import Limits
from streams.follower import FollowerLimits
from streams.gateway import GatewayLimits
from streams.matcher import MatcherLimits
from tests.simulation.clients import Client, Outside
from tests.simulation.directory import SimulatedDirectory, open_shards
from tests.simulation.disasters import Disasters
from tests.simulation.logs import CommandStore, EventStore, SnapshotShelf
from tests.simulation.processes import ApiProcess, MatchingProcess, ProjectionsProcess, Role
from tests.simulation.scheduler import Scheduler
from tests.simulation.sinks import books_store, history_store
from tests.simulation.weather import Chances, Weather, drawn

EPOCH_NS = 1_780_000_000_000_000_000
CHAOS_S = 8.0
REST_S = 120.0
RESTART_S = 0.3
CLIENTS = 3
ROLES = (ApiProcess, MatchingProcess, ProjectionsProcess)


@dataclass
class WorldLimits:
    """Bounds so narrow that every one is met."""

    random: Random
    batching: Limits = field(init=False)
    gateway: GatewayLimits = field(init=False)

    def __post_init__(self) -> None:
        draw = self.random.randint
        self.batching = Limits(draw(12, 24), 4_000, draw(15, 60))
        self.gateway = GatewayLimits(draw(3, 60), draw(1, 8), draw(1, 5))

    def matcher(self, random: Random) -> MatcherLimits:
        """Another for each process: neither changes what is written."""
        return MatcherLimits(
            record_bytes_max=random.choice((1_024, 1_300, 900_000)),
            read_batches_max=random.randint(1, 6),
            snapshot_commands=random.choice((5, 20, 60)),
        )

    def follower(self, random: Random) -> FollowerLimits:
        """Another for each process."""
        return FollowerLimits(random.randint(1, 6), random.choice((1, 2_000, 4_000_000)))


class Bell(logging.Handler):
    """What the product calls critical is a problem here."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(logging.CRITICAL)
        self._scheduler = scheduler

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`. Other tests' threads may still be about."""
        if record.thread == threading.get_ident():
            self._scheduler.problem(f"critical: {record.getMessage()}")


class World:
    """One simulation. `chances` None: as the seed draws them."""

    def __init__(self, seed: int, chances: Chances | None = None) -> None:
        self.seed = seed
        self.scheduler = Scheduler(seed)
        random = self.scheduler.random
        self.weather = Weather(self.scheduler)
        self.shards = random.choice((1, 1, 1, 2))
        self.limits = WorldLimits(random)
        self.clock_ahead_ns = 0
        self.is_calm = self.is_deaf = False
        self.commands = [CommandStore(self.weather, shard) for shard in range(self.shards)]
        self.events = [EventStore(self.weather, shard) for shard in range(self.shards)]
        self.directory = SimulatedDirectory(self.weather, self.shards, CLIENTS)
        self.snapshots = SnapshotShelf(self.weather)
        self.sinks = [books_store(self.weather), history_store(self.weather)]
        self.stores = [
            *(self.directory, self.snapshots),
            *self.commands,
            *self.events,
            *self.sinks,
        ]
        self.outside = Outside(self.scheduler, "outside")
        self.roles: list[Role] = []
        self.supervised: list[Role] = []
        self._names = 0
        self.clients = [Client(self, number + 1) for number in range(CLIENTS)]
        self.disasters = Disasters(self)
        open_shards(self.directory, self.commands, self.outside)
        self.weather.begin(drawn(random) if chances is None else chances)

    def wall_clock_ns(self) -> int:
        """The machine's clock."""
        return EPOCH_NS + int(self.scheduler.now_s * 1e9) + self.clock_ahead_ns

    # --- the run ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Chaos until the clients are done or time is up; then rest."""
        bell = Bell(self.scheduler)
        logging.getLogger().addHandler(bell)
        before = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            self._run()
        finally:
            logging.disable(before)
            logging.getLogger().removeHandler(bell)

    def _run(self) -> None:
        random = self.scheduler.random
        for role in (*ROLES, *([ApiProcess] if random.random() < 0.3 else [])):
            self.spawn(role, supervised=True)
        lanes = [
            self.outside.start(client.trade(random.randint(3, 7)))
            for client in self.clients
            for _ in range(random.randint(1, 2))
        ]
        self.disasters.begin()
        if not self.scheduler.run(lambda: all(lane.done() for lane in lanes), CHAOS_S):
            self.scheduler.note("world", "time is up")
        self._calm()
        self._rest(lanes)
        for process in random.sample(self.roles, len(self.roles)):
            if random.random() < 0.5:
                process.die("once more, at rest")
        self._rest(lanes)

    def _rest(self, lanes: Sequence) -> None:
        if not self.scheduler.run(lambda: self._rests(lanes), REST_S):
            self.scheduler.problem(f"it does not come to rest: {self._unrest(lanes)}")

    def _calm(self) -> None:
        self.scheduler.note("world", "calm")
        self.is_calm = True
        # Whoever follows a log also looks by itself: half of the worlds find rest without wakes.
        self.is_deaf = self.scheduler.random.random() < 0.5
        self.weather.calm()
        self.disasters.end()
        for store in self.stores:
            store.come_back()
        for role in [role for role in self.roles if role not in self.supervised]:
            role.die("no longer wanted")

    def _rests(self, lanes: Sequence) -> bool:
        if not all(lane.done() for lane in lanes):
            return False
        heads = [len(store.rows) for store in self.commands]
        behind = [store.tail() for store in self.events] != heads
        behind |= any(
            store.at(shard).position != head
            for store in self.sinks
            for shard, head in enumerate(heads)
        )
        apis = [role for role in self.supervised if isinstance(role, ApiProcess)]
        up = {role.role for role in self.supervised} == {role.role for role in ROLES}
        return up and not behind and all(api.ready and self._knows(api, heads) for api in apis)

    def _knows(self, api: ApiProcess, heads: list[int]) -> bool:
        """Whether a gateway has heard of everything."""
        return api.follower.notification_id == self.directory.last() and all(
            api.gateway.matched(shard) == head
            and all(api.gateway.progress.at(sink.name, shard) == head for sink in self.sinks)
            for shard, head in enumerate(heads)
        )

    def _unrest(self, lanes: Sequence) -> str:
        ends = [(len(store.rows), self.events[store.shard].tail()) for store in self.commands]
        sinks = [(store.name, sorted(store.rows.items())) for store in self.sinks]
        at = [(name, [(shard, row[0].position) for shard, row in rows]) for name, rows in sinks]
        waiting = sum(not lane.done() for lane in lanes)
        return f"log ends {ends}, sinks {at}, {waiting} lanes wait"

    # --- processes --------------------------------------------------------------------------------

    def spawn(self, role: type[Role], *, supervised: bool) -> Role:
        """Start a process; a supervised one is started again whenever it ends."""
        self._names += 1
        process = role(self, f"{role.role}-{self._names}")
        self.roles.append(process)
        if supervised:
            self.supervised.append(process)
        process.note("starts")
        process.after(0.0, process.boot)
        return process

    def ended(self, process: Role) -> None:
        """The supervisor sees that a process ended."""
        self.roles.remove(process)
        if process in self.supervised:
            self.supervised.remove(process)
            delay_s = self.scheduler.random.random() * RESTART_S
            self.outside.after(delay_s, lambda: self.spawn(type(process), supervised=True))

    def any_api(self) -> ApiProcess | None:
        """A gateway that takes requests."""
        ready = [role for role in self.roles if isinstance(role, ApiProcess) and role.ready]
        return self.scheduler.random.choice(ready) if ready else None

    def wake(self, sender: Role, name: str, topic: str, shard: int, position: int) -> bool:
        """Send a wake: it may be refused, lost, doubled, late, and overtaken by others."""
        chances, happens = self.weather.chances, self.weather.happens
        if happens(chances.wake_refused):
            return False
        if self.is_deaf and topic in ("commands", "events"):
            return True
        copies = 0 if happens(chances.wake_lost) else 2 if happens(chances.wake_doubled) else 1
        for _ in range(copies):
            for listener in self.roles:
                if listener.role == name:
                    delay_s = self.weather.latency_s(0.003)
                    listener.after(delay_s, listener.hear, topic, shard, position)
        return True
