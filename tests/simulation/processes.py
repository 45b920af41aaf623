"""The three roles of the exchange as simulated processes: the product's own parts on simulated
stores, driven by timers instead of threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from eventsourcing.persistence import PersistenceError

from cli.roles.projections import STORE_ERRORS, load_books
from commands.protocols import BehindError, NotWrittenError, OutcomeUnknownError
from commands.sequencer import Batch, SequencerCore
from domain.outcomes import Outcome
from streams.clock import tick
from streams.directory_follower import DirectoryFollower
from streams.drivers import MatcherDriver, Pause, SinkDriver
from streams.follower import Follower
from streams.gateway import GatewayShard, LogGateway
from streams.matcher import Matcher
from tests.simulation.directory import DirectoryHandle
from tests.simulation.journal import Attempt
from tests.simulation.logs import CommandHandle, EventHandle, SnapshotHandle
from tests.simulation.scheduler import Process, Timer
from tests.simulation.sinks import SimulatedSink

if TYPE_CHECKING:
    from tests.simulation.world import World

CLOCK_INTERVAL_MS = 200


class Role(Process):
    """A process that others wake and that the supervisor starts again."""

    role = ""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world.scheduler, name)
        self.world = world
        self.weather = world.weather

    def boot(self) -> None:
        """Begin, from nothing but the stores."""
        raise NotImplementedError

    def hear(self, topic: str, shard: int, position: int) -> None:
        """A wake has come."""
        raise NotImplementedError

    def send(self, name: str, topic: str, shard: int, position: int) -> bool:
        """Wake another, as `streams.wake.WakeSender` does."""
        if not self.alive:
            raise self.killed("it is dead")
        return self.world.wake(self, name, topic, shard, position)

    def ended(self) -> None:
        """See `Process`."""
        self.world.ended(self)

    def failed(self, error: Exception) -> None:
        """A log that fails ends the process; anything else is a bug."""
        if isinstance(error, PersistenceError):
            self.die(repr(error))
        else:
            super().failed(error)


class SimulatedSequencer(SequencerCore):
    """A sequencer whose thread is a chain of timers: others run between any two of its steps."""

    def __init__(self, process: ApiProcess, shard: int) -> None:
        world = process.world
        super().__init__(
            CommandHandle(world.commands[shard], process),
            limits=world.limits.batching,
            on_written=lambda position: process.tell(shard, position),
            clock_ns=world.wall_clock_ns,
            new_session=lambda: b"\x01" + process.random.randbytes(15),
        )
        self._process = process
        self._busy = False

    def _arrived(self) -> None:
        if not self._busy:
            self._busy = True
            self._later(self._take_next)

    def _later(self, work: Callable[..., None], *arguments: object) -> None:
        self._process.after(self._process.weather.latency_s(0.001), work, *arguments)

    def _take_next(self) -> None:
        batch = self.take()
        if batch is None:
            self._busy = False
        else:
            self._later(self._write, batch)

    def _write(self, batch: Batch) -> None:
        self._later(self._settle, batch, self.write_out(batch))

    def _settle(self, batch: Batch, result: int | Exception) -> None:
        self.settle(batch, result)
        self._later(self._take_next)


class ApiProcess(Role):
    """The api role without HTTP: a gateway, its sequencers, the directory's follower, the clock."""

    role = "api"
    ready = False

    def boot(self) -> None:
        """See `Role`."""
        world = self.world
        shards = []
        for shard in range(world.shards):
            sequencer = SimulatedSequencer(self, shard)
            commands = CommandHandle(world.commands[shard], self)
            shards.append(GatewayShard(commands, sequencer, EventHandle(world.events[shard], self)))
        self.gateway = LogGateway(
            shards, limits=world.limits.gateway, tell=self.tell, clock_ns=world.wall_clock_ns
        )
        self.follower = DirectoryFollower(
            DirectoryHandle(world.directory, self),
            self.gateway,
            [CommandHandle(store, self) for store in world.commands],
        )
        for never_ends in (self.gateway.poll(), self.follower.run()):
            self.start(never_ends).add_done_callback(self._task_ended)
        self._keep_ticking()
        self.ready = True

    def tell(self, shard: int, position: int) -> None:
        """Wake the matcher."""
        self.send("matching", "commands", shard, position)

    def hear(self, topic: str, shard: int, position: int) -> None:
        """See `Role`."""
        if self.ready:
            self.gateway.hear([(topic, shard, position)])

    def failed(self, error: Exception) -> None:
        """An event loop goes on after a callback that met a log's error; booting does not."""
        if self.ready and isinstance(error, PersistenceError):
            self.note(f"a callback failed: {error!r}")
        else:
            super().failed(error)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self.scheduler.problem(f"{self.name}: a task ended: {task.exception()!r}")

    def _keep_ticking(self) -> None:
        self.tick()
        self.after(CLOCK_INTERVAL_MS / 1000, self._keep_ticking)

    def tick(self) -> None:
        """The clock, which stands still at rest: nothing may need the next tick to get on."""
        if not self.world.is_calm:
            tick(self.gateway, self.world.shards, CLOCK_INTERVAL_MS, self.world.wall_clock_ns)

    async def serve(self, attempt: Attempt, reply: Callable[[], None]) -> None:
        """Answer one request, as `api.rest.writing` does; what is claimed is claimed even where the
        reply is lost.
        """
        try:
            attempt.answered(*await self._answer(attempt))
        except Exception as error:  # noqa: BLE001 - nothing else may come of a request
            self.scheduler.problem(f"{self.name}: a request failed: {error!r}")
        self.note(f"answers {attempt}")
        reply()

    async def _answer(self, attempt: Attempt) -> tuple[str, list[Outcome]]:
        request = attempt.request
        try:
            receipt = await self.gateway.write(request.shard, request.records)
            attempt.receipt = receipt
            outcomes = await self.gateway.outcomes(receipt, attempt.wait_s)
        except NotWrittenError:
            return "not_written", []
        except OutcomeUnknownError:
            return "outcome_unknown", []
        except BehindError:
            return "behind", []
        if attempt.reads:
            await self._read(receipt.shard, receipt.position)
        return ("pending", []) if outcomes is None else ("done", outcomes)

    async def _read(self, shard: int, position: int) -> None:
        """A read with `min_position`: what is said to be there is there."""
        for store in self.world.sinks:
            if await self.gateway.progress.reached(store.name, shard, position, 0.5):
                at = store.at(shard).position
                if at < position:
                    text = f"{store.name} is said to be at {position}: it is at {at}"
                    self.scheduler.problem(text)


class Beside:
    """What a matcher does aside, as a timer."""

    def __init__(self, process: Process, work: Callable[[], None], delay_s: float) -> None:
        self._work: Callable[[], None] | None = work
        process.after(delay_s, self.join)

    def is_alive(self) -> bool:
        """Whether it is still to be done."""
        return self._work is not None

    def join(self) -> None:
        """Do it, if it is not done."""
        work, self._work = self._work, None
        if work is not None:
            work()


class MatchingProcess(Role):
    """The matching role."""

    role = "matching"
    following = False
    _next: Timer | None = None

    def boot(self) -> None:
        """See `Role`."""
        world = self.world
        self._matchers = [
            Matcher(
                CommandHandle(world.commands[shard], self),
                EventHandle(world.events[shard], self),
                snapshots=SnapshotHandle(world.snapshots, self),
                limits=world.limits.matcher(self.random),
                aside=lambda work: Beside(self, work, self.weather.latency_s(0.05)),
            )
            for shard in range(world.shards)
        ]
        for matcher in self._matchers:
            matcher.recover()
        self._driver = MatcherDriver(self._matchers, self)
        self.following = True
        self._turn()

    def _turn(self) -> None:
        pause = self._driver.turn()
        self._next = self.after(pause.seconds + self.weather.latency_s(0.001), self._turn)

    def hear(self, topic: str, shard: int, position: int) -> None:
        """See `Role`."""
        if self._next is not None:
            self._next.cancel()
            self._next = self.after(self.weather.latency_s(0.001), self._turn)

    def stop(self) -> None:
        """An orderly end."""
        for matcher in self._matchers:
            if matcher.dirty_commands:
                matcher.save_snapshot(wait=True)
        self.die("stopped")


class Chain:
    """One follower's thread, as a chain of timers."""

    def __init__(self, process: Role, driver: SinkDriver) -> None:
        self._process = process
        self._driver = driver
        self._next = process.after(0.0, self._turn)
        self._pause = Pause(0.0)

    def _turn(self) -> None:
        self._pause = self._driver.turn()
        delay_s = self._pause.seconds + self._process.weather.latency_s(0.001)
        self._next = self._process.after(delay_s, self._turn)

    def news(self) -> None:
        """Look at once, unless an error is being waited out."""
        if self._pause.until_news:
            self._next.cancel()
            self._next = self._process.after(self._process.weather.latency_s(0.001), self._turn)


class ProjectionsProcess(Role):
    """The projections role."""

    role = "projections"
    _chains: tuple[Chain, ...] = ()

    def boot(self) -> None:
        """See `Role`."""
        world = self.world
        snapshots = SnapshotHandle(world.snapshots, self)

        def prepare(follower: Follower) -> None:
            if follower.sink.name == "redis":
                load_books(follower.sink, snapshots, follower)

        for store in world.sinks:
            sink = SimulatedSink(store, self)
            for shard in range(world.shards):
                source = EventHandle(world.events[shard], self)
                follower = Follower(source, sink, limits=world.limits.follower(self.random))
                driver = SinkDriver(follower, self, transient=STORE_ERRORS, prepare=prepare)
                self._chains = (*self._chains, Chain(self, driver))

    def hear(self, topic: str, shard: int, position: int) -> None:
        """See `Role`."""
        for chain in self._chains:
            chain.news()
