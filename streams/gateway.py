"""The gateway of one API process: writes through sequencers, learns outcomes from the event log.
`LogGateway` is all of it but files, sockets and threads, which `EmbeddedGateway` and
`streams.kafka.gateway.KafkaGateway` add.

Guarantees: an outcome is told only from the event log; the memory of recent outcomes, the waiters
and the lag are bounded; a session that the engine has forgotten is replaced by a new one and its
last batch reported as not written."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from eventsourcing.persistence import PersistenceError

from commands.protocols import BehindError, CommandLog, NotWrittenError, Receipt
from commands.sequencer import Limits, Sequencer, SequencerCore
from domain.batch import EventBatch
from domain.codes import APPLIED
from domain.outcomes import Outcome, outcomes_of
from domain.wire import encode_batch
from streams.follower import EventSource
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from streams.wake import WakeReceiver, WakeSender

log = logging.getLogger(__name__)
POLL_S = 0.25
WAITERS_SWEPT_MIN = 64
SESSIONS_KEPT = 64


class ShardLog(CommandLog, Protocol):
    """A command log that tells where it ends."""

    def head(self) -> int:
        """The last position, 0 where the log is empty."""
        ...


@dataclass(frozen=True)
class GatewayLimits:
    """Bounds of one gateway. A write that the log has not answered after `write_wait_s` is told so;
    None waits for as long as the log does.
    """

    lag_batches_max: int = 2_000
    write_wait_s: float | None = None
    outcomes_kept: int = 128
    read_batches_max: int = 32


Waiter: TypeAlias = tuple[int, int, asyncio.Future[bool]]


class ProgressBoard:
    """How far the matcher and each sink got, and who waits for it."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, int], int] = {}
        self._waiting: dict[tuple[str, int], list[Waiter]] = {}
        self._swept: dict[tuple[str, int], int] = {}
        self._serial = itertools.count()

    def at(self, sink: str, shard: int) -> int:
        """The last position heard of, 0 where nothing was heard."""
        return self._at.get((sink, shard), 0)

    def advance(self, sink: str, shard: int, position: int) -> None:
        """A sink has applied `position`."""
        key = (sink, shard)
        if position <= self._at.get(key, 0):
            return
        self._at[key] = position
        waiting = self._waiting.get(key)
        while waiting and waiting[0][0] <= position:
            _, _, future = heapq.heappop(waiting)
            if not future.done():
                future.set_result(True)

    async def reached(self, sink: str, shard: int, position: int, wait_s: float) -> bool:
        """Wait until `sink` has applied `position`; False where it did not within `wait_s`
        seconds.
        """
        key = (sink, shard)
        if self._at.get(key, 0) >= position:
            return True
        if wait_s <= 0:
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._enter(key, (position, next(self._serial), future))
        try:
            async with asyncio.timeout(wait_s):
                return await future
        except TimeoutError:
            return self._at.get(key, 0) >= position

    def _enter(self, key: tuple[str, int], waiter: Waiter) -> None:
        """Those who gave up leave when there are twice as many as there were without them: a sink
        that stands still for hours must not gather them.
        """
        waiting = self._waiting.setdefault(key, [])
        heapq.heappush(waiting, waiter)
        if len(waiting) >= 2 * self._swept.get(key, WAITERS_SWEPT_MIN):
            waiting[:] = [each for each in waiting if not each[2].done()]
            heapq.heapify(waiting)
            self._swept[key] = max(WAITERS_SWEPT_MIN, len(waiting))


class GatewayShard:
    """One shard as a gateway sees it."""

    def __init__(
        self,
        commands: ShardLog,
        sequencer: SequencerCore,
        events: EventSource,
        ends: tuple[int, int] | None = None,
    ) -> None:
        """`ends` are the last positions of the two logs, where they are known; else they are asked
        for, which blocks.
        """
        self.head, self.matched = ends or (commands.head(), events.tail().position)
        self.commands = commands
        self.sequencer = sequencer
        self.events = events
        self.sessions = {sequencer.session: None}
        self.moved_at = time.monotonic()
        self.results: OrderedDict[int, EventBatch] = OrderedDict()
        sequencer.last_position = self.head

    def note_session(self) -> None:
        """The next writes may be of a new session. Of the old ones only the newest are kept: a log
        that fails for hours makes many.
        """
        session = self.sequencer.session
        if session not in self.sessions:
            self.sessions[session] = None
            if len(self.sessions) > SESSIONS_KEPT:
                del self.sessions[next(iter(self.sessions))]


class LogGateway:
    """The `Gateway` of commands.protocols over the logs of each shard, whatever they are;
    `progress` is its `Progress`. `tell(shard, position)` wakes the matcher. Made in a running loop.

    Whoever has it runs `poll`, and passes on what the wakes say to `hear`.
    """

    def __init__(
        self,
        shards: Sequence[GatewayShard],
        *,
        limits: GatewayLimits,
        tell: Callable[[int, int], None],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.progress = ProgressBoard()
        self._shards = shards
        self._limits = limits
        self._tell = tell
        self._clock_ns = clock_ns
        self._loop = asyncio.get_running_loop()

    # --- writing ----------------------------------------------------------------------------------

    async def write(self, shard: int, records: Sequence[bytes]) -> Receipt:
        """See `commands.protocols.Gateway.write`."""
        own, wait_s = self._shards[shard], self._limits.write_wait_s
        if self.lag(shard) > self._limits.lag_batches_max:
            raise BehindError(f"the matcher of shard {shard} is {self.lag(shard)} batches behind")
        if wait_s is not None and own.sequencer.stuck_s() > wait_s:
            # Another would only wait behind the one that the log does not answer.
            raise NotWrittenError("the log does not answer")
        own.note_session()
        return await own.sequencer.write(records, wait_s)

    def write_system(
        self, shard: int, session: bytes, batch_number: int, records: list[bytes]
    ) -> int:
        """Append one batch of a permanent session (directory, clock) and return its position.
        Blocks.

        Raises IntegrityError where the log has it already, PersistenceError where the log failed.
        """
        own = self._shards[shard]
        batch = encode_batch(session, batch_number, self._clock_ns(), records)
        position = own.commands.append(session, batch_number, batch)
        own.sequencer.last_position = max(own.sequencer.last_position, position)
        self._tell(shard, position)
        return position

    async def outcomes(self, receipt: Receipt, wait_s: float) -> list[Outcome] | None:
        """See `commands.protocols.Gateway.outcomes`. Raises NotWrittenError where the engine took
        it for a repeat.
        """
        if not await self.progress.reached("matcher", receipt.shard, receipt.position, wait_s):
            return None
        own = self._shards[receipt.shard]
        batch = own.results.get(receipt.position)
        if batch is None:
            try:
                batch = await asyncio.to_thread(own.events.at, receipt.position)
            except PersistenceError as error:
                log.warning("the event log cannot be read: %r", error)
        if batch is None:
            return None
        if batch.header.status != APPLIED:
            raise NotWrittenError("the engine took the batch for a repeat of a forgotten session")
        return outcomes_of(batch.record, receipt.first_index, receipt.count)

    def events(self, shard: int) -> EventSource:
        """Where to read a shard's event batches; any thread may."""
        return self._shards[shard].events

    def matched(self, shard: int) -> int:
        """The last position known to be matched."""
        return self._shards[shard].matched

    def written(self, shard: int) -> int:
        """The last position known to be in the command log, whoever wrote it."""
        own = self._shards[shard]
        return max(own.sequencer.last_position, own.matched, own.head)

    def stalled_s(self, shard: int) -> float:
        """See `commands.protocols.Gateway.stalled_s`."""
        return time.monotonic() - self._shards[shard].moved_at if self.lag(shard) else 0.0

    async def chain_at(self, shard: int, position: int) -> bytes | None:
        """See `commands.protocols.Gateway.chain_at`."""
        own = self._shards[shard]
        batch = own.results.get(position)
        if batch is None:
            batch = await asyncio.to_thread(own.events.at, position)
        return batch.header.chain if batch is not None else None

    def lag(self, shard: int) -> int:
        """Batches written and not matched."""
        return max(0, self.written(shard) - self.matched(shard))

    # --- learning ---------------------------------------------------------------------------------

    def hear(self, wakes: Iterable[tuple[str, int, int]]) -> None:
        """Take in what wakes say, each (topic, shard, position): what the matcher did is read from
        the event log, how far a sink got is believed.
        """
        shards = set()
        for topic, shard, position in wakes:
            if topic == "events":
                shards.add(shard)
            else:
                self.progress.advance(topic, shard, position)
        for shard in shards:
            if shard < len(self._shards):
                self._read(shard)

    def _read(self, shard: int) -> None:
        """Take in new event batches: a bounded slice, the rest in a later turn of the loop."""
        own = self._shards[shard]
        batches = own.events.read(own.matched, self._limits.read_batches_max)
        self._take(shard, batches)
        if len(batches) == self._limits.read_batches_max:
            self._loop.call_soon(self._read, shard)

    def _take(self, shard: int, batches: Sequence[EventBatch]) -> None:
        """Take in the batches that follow the last one known."""
        own = self._shards[shard]
        for batch in batches:
            own.matched = batch.position
            if batch.header.session in own.sessions:
                self._keep(own, batch)
        if batches:
            self.progress.advance("matcher", shard, own.matched)
        if batches or not self.lag(shard):
            own.moved_at = time.monotonic()

    def _keep(self, own: GatewayShard, batch: EventBatch) -> None:
        own.results[batch.position] = batch
        if len(own.results) > self._limits.outcomes_kept:
            own.results.popitem(last=False)
        if batch.header.status != APPLIED and batch.header.session == own.sequencer.session:
            log.error("the engine has forgotten session %s: a new one begins", batch.header.session)
            own.sequencer.renew_session()

    async def poll(self) -> None:
        """Wakes are hints: look now and then without one. Runs until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                self.look()
            except PersistenceError as error:
                log.warning("the event log cannot be read: %r", error)

    def look(self) -> None:
        """Take in what is new, told or not. Raises PersistenceError."""
        for shard in range(len(self._shards)):
            self._read(shard)


class EmbeddedGateway(LogGateway):
    """A gateway on SQLite logs: its sequencers' threads, its mailbox, its poller."""

    def __init__(
        self, log_dir: Path, run_dir: Path, shards: int, *, limits: GatewayLimits, batching: Limits
    ) -> None:
        self._wake = WakeReceiver(run_dir, "api")
        self._sender = WakeSender(run_dir)
        self.command_logs = [SQLiteCommandLog(log_dir, shard) for shard in range(shards)]
        self._event_logs = [SQLiteEventLog(log_dir, shard) for shard in range(shards)]
        self._sequencers = [self._sequencer(commands, batching) for commands in self.command_logs]
        opened = zip(self.command_logs, self._sequencers, self._event_logs, strict=True)
        own = [GatewayShard(*each) for each in opened]
        super().__init__(own, limits=limits, tell=self._wake_matcher)
        self._loop.add_reader(self._wake.fileno(), self._on_wake)
        self.poller = self._loop.create_task(self.poll(), name="gateway")

    def _sequencer(self, commands: SQLiteCommandLog, batching: Limits) -> Sequencer:
        def on_written(position: int) -> None:
            self._wake_matcher(commands.shard, position)

        return Sequencer(commands, limits=batching, on_written=on_written)

    def _wake_matcher(self, shard: int, position: int) -> None:
        self._sender.send("matching", "commands", shard, position)

    def look(self) -> None:
        """See `LogGateway.look`; a wake that was missed is taken in as well."""
        super().look()
        self._on_wake()

    def _on_wake(self) -> None:
        self.hear(self._wake.drain())

    async def close(self) -> None:
        """Write what waits, then release everything."""
        self.poller.cancel()
        for sequencer in self._sequencers:
            await sequencer.close()
        for events in self._event_logs:
            events.close()
        for commands in self.command_logs:
            commands.close()
        self._loop.remove_reader(self._wake.fileno())
        self._wake.close()
        self._sender.close()
