"""The sequencer: turns what many requests write at once into one durable batch after another (group
commit).

Whatever arrived while the previous write was in flight goes into the next batch; an idle sequencer
adds no delay, and a busy one waits a moment, so that all who follow the log have fewer and larger
batches to handle. Guarantees: `write` returns only once the commands are durable; a failed write is
either known not to be in the log (`NotWrittenError`) or said to be unknown (`OutcomeUnknownError`);
a request's commands stay together, in order; what was said to be durable does not turn out to be a
batch of a session that the engine has long forgotten."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from eventsourcing.persistence import IntegrityError, PersistenceError

from commands.metrics import SequencerMetrics
from commands.protocols import CommandLog, NotWrittenError, OutcomeUnknownError, Receipt
from domain.codes import SESSION_MEMORY_NS
from domain.wire import COMMAND_HEADER_BYTES, encode_batch

log = logging.getLogger(__name__)

# From so many commands a second on, over about RATE_OVER_S, a sequencer gathers.
GATHER_RATE: Final = 20_000
RATE_OVER_S: Final = 1.0
# It waits so many times as long as the last write took.
GATHER_WRITES: Final = 3.0
# A session that wrote nothing for so long is given up, well before the engine forgets it.
SESSION_SILENCE_NS_MAX: Final = SESSION_MEMORY_NS // 2


@dataclass(frozen=True)
class Limits:
    """Bounds of one sequencer; a request that does not fit is refused, never queued without
    bound. `gather_s`: for how long a busy sequencer waits at most for a batch to fill.
    """

    batch_commands_max: int = 4_096
    batch_bytes_max: int = 900_000
    pending_commands_max: int = 100_000
    gather_s: float = 0.04


@dataclass(eq=False)
class _Request:
    records: Sequence[bytes]
    size: int
    future: asyncio.Future[Receipt]
    arrived: float  # perf_counter, for the metrics alone
    taken: bool = False
    withdrawn: bool = False


@dataclass
class Batch:
    """What is written together, and as what: `number` is `session`'s next, and its last was taken
    at `last_ns`.
    """

    session: bytes
    number: int
    last_ns: int
    taken_ns: int
    requests: list[_Request] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    waited_s: float = 0.0


def random_session() -> bytes:
    """A session that nobody else has."""
    return uuid4().bytes


class SequencerCore:
    """One shard's writer in one gateway process, a session of its own, without a thread.

    Whoever drives it calls `take`, `write_out` and `settle` in turn, one batch at a time;
    `on_written(position)` is called in `settle`, after each durable batch (to wake the matcher).
    """

    def __init__(
        self,
        log_: CommandLog,
        *,
        limits: Limits,
        on_written: Callable[[int], None],
        clock_ns: Callable[[], int] = time.time_ns,
        new_session: Callable[[], bytes] = random_session,
    ) -> None:
        self.shard = log_.shard
        self._log = log_
        self._limits = limits
        self._on_written = on_written
        self._clock_ns = clock_ns
        self._new_session = new_session
        self.session = new_session()
        self._refused = 0  # writes in a row, so that an outage is told twice and not each time
        self._batch_number = 0
        self._last_ns = 0
        self._pending: deque[_Request] = deque()
        self._pending_commands = 0
        self._lock = threading.Lock()
        self._closing = False
        self._writing_since: float | None = None
        self._loop = asyncio.get_running_loop()
        self.last_position = 0
        self._metrics = SequencerMetrics(self.shard)
        self._metrics.watch_pending(self._count_pending)

    # --- any thread of the gateway ----------------------------------------------------------------

    async def write(self, records: Sequence[bytes], wait_s: float | None = None) -> Receipt:
        """Append command records and return once they are durable.

        Raises NotWrittenError (safe to send again), OutcomeUnknownError, or ValueError for more
        than one batch holds. Where the log has not answered within `wait_s`, what still waits is
        withdrawn and said to be not written; what is on its way is said to be unknown.
        """
        size = sum(map(len, records))
        room = self._limits.batch_bytes_max - COMMAND_HEADER_BYTES
        if not records or len(records) > self._limits.batch_commands_max or size > room:
            raise ValueError(f"{len(records)} commands of {size} bytes do not fit one batch")
        future: asyncio.Future[Receipt] = self._loop.create_future()
        with self._lock:
            if self._closing:
                raise NotWrittenError("the gateway is shutting down")
            if self._pending_commands + len(records) > self._limits.pending_commands_max:
                raise NotWrittenError("too many commands wait to be written")
            request = _Request(records, size, future, time.perf_counter())
            self._pending.append(request)
            self._pending_commands += len(records)
            self._arrived()
        if wait_s is None:
            return await future
        try:
            async with asyncio.timeout(wait_s):
                return await future
        except TimeoutError:
            if future.done() and not future.cancelled():
                return future.result()
            raise self._given_up(request, wait_s) from None

    def _given_up(self, request: _Request, wait_s: float) -> NotWrittenError | OutcomeUnknownError:
        """What to tell the writer of a request that the log did not answer in time."""
        with self._lock:
            if request.taken:
                return OutcomeUnknownError(f"the log did not answer within {wait_s} s")
            request.withdrawn = True
            self._pending_commands -= len(request.records)
            self._drop_withdrawn()
        return NotWrittenError(f"the log did not take it within {wait_s} s")

    def _drop_withdrawn(self) -> None:
        while self._pending and self._pending[0].withdrawn:
            self._pending.popleft()

    def stuck_s(self) -> float:
        """For how long the write that is under way has been so; 0 where none is."""
        since = self._writing_since
        return 0.0 if since is None else time.perf_counter() - since

    def renew_session(self) -> None:
        """Begin a new session: the engine no longer knows this one."""
        with self._lock:
            self._renew()

    def _count_pending(self) -> int:
        return self._pending_commands

    def _renew(self) -> None:
        self.session = self._new_session()
        self._batch_number = 0

    def _arrived(self) -> None:
        """There is something to take. Called under the lock."""

    # --- the driver -------------------------------------------------------------------------------

    def take(self) -> Batch | None:
        """The next batch: all that waits, up to the limits; None where nothing does."""
        with self._lock:
            return self._gather() if self._pending else None

    def _gather(self) -> Batch:
        now_ns = self._clock_ns()
        if self._batch_number and now_ns - self._last_ns > SESSION_SILENCE_NS_MAX:
            self._renew()
        batch = Batch(self.session, self._batch_number + 1, self._last_ns, now_ns)
        size = COMMAND_HEADER_BYTES
        while self._pending:
            request = self._pending[0]
            count = len(batch.records) + len(request.records)
            if batch.requests and (
                count > self._limits.batch_commands_max
                or size + request.size > self._limits.batch_bytes_max
            ):
                break
            self._pending.popleft()
            self._pending_commands -= len(request.records)
            request.taken = True
            batch.requests.append(request)
            batch.records.extend(request.records)
            size += request.size
            self._drop_withdrawn()
        batch.waited_s = time.perf_counter() - batch.requests[0].arrived
        return batch

    def write_out(self, batch: Batch) -> int | Exception:
        """Append the batch: its position, or what its writers are to be told. Blocks."""
        began = self._writing_since = time.perf_counter()
        try:
            encoded = encode_batch(batch.session, batch.number, self._clock_ns(), batch.records)
            position = self._append(batch, encoded)
            self._check_not_late(batch)
        except NotWrittenError as error:
            self._metrics.failed("not_written")
            return error
        except OutcomeUnknownError as error:
            self._metrics.failed("outcome_unknown")
            return error
        except Exception as error:
            log.exception("batch %d of session %s", batch.number, batch.session.hex())
            self._metrics.failed("outcome_unknown")
            return OutcomeUnknownError(f"the log failed: {error!r}")
        finally:
            self._writing_since = None
        append_s = time.perf_counter() - began
        self._metrics.written(len(batch.records), batch.waited_s, append_s)
        return position

    def _append(self, batch: Batch, encoded: bytes) -> int:
        """Append one batch; after a failure, ask the log itself whether it took it."""
        try:
            position = self._log.append(batch.session, batch.number, encoded)
        except (PersistenceError, IntegrityError) as error:
            failure = error
        else:
            if self._refused:
                log.warning("the log takes writes again, after %d refused", self._refused)
                self._refused = 0
            return position
        self._refused += 1
        if self._refused == 1:
            log.error("batch %d of session %s: %r", batch.number, batch.session.hex(), failure)
        try:
            found = self._log.position_of(batch.session, batch.number)
        except PersistenceError as error:
            raise OutcomeUnknownError("the log does not answer") from error
        if found is None:
            raise NotWrittenError(f"the log refused the write: {failure}") from failure
        return found

    def _check_not_late(self, batch: Batch) -> None:
        """A machine that slept may have written the batch long after its session was last heard of;
        the engine takes no batch but the first of a session that it does not know.
        """
        if batch.number > 1 and self._clock_ns() - batch.last_ns > SESSION_SILENCE_NS_MAX:
            raise OutcomeUnknownError("the engine may have forgotten the session")

    def settle(self, batch: Batch, result: int | Exception) -> None:
        """Go on from a batch, and answer all who wait for it.

        Its number is free again where the log is known not to have it; where nobody knows, the
        session ends.
        """
        with self._lock:
            if self.session == batch.session:
                if isinstance(result, int):
                    self._batch_number, self._last_ns = batch.number, batch.taken_ns
                elif isinstance(result, OutcomeUnknownError):
                    self._renew()
        if isinstance(result, int):
            self.last_position = max(self.last_position, result)
            self._on_written(result)
        try:
            self._loop.call_soon_threadsafe(self._resolve, batch, result)
        except RuntimeError:
            log.warning("the event loop closed before %d answers", len(batch.requests))

    def _resolve(self, batch: Batch, result: int | Exception) -> None:
        first = 0
        for request in batch.requests:
            count = len(request.records)
            if not request.future.done():
                if isinstance(result, int):
                    request.future.set_result(Receipt(self.shard, result, first, count))
                else:
                    request.future.set_exception(result)
            first += count


class Pace:
    """How long a sequencer waits for its next batch to fill: not at all below GATHER_RATE, else
    some times as long as its last write took, `gather_s` at most. All times are of one clock.
    """

    def __init__(self, gather_s: float) -> None:
        self._gather_s = gather_s
        self._recent = 0.0  # commands, fading over RATE_OVER_S
        self._ended = 0.0
        self._next_at = 0.0

    def wait_s(self, now: float) -> float:
        """For how long to wait from now."""
        return max(0.0, self._next_at - now)

    def wrote(self, commands: int, began: float, ended: float) -> None:
        """A batch was written."""
        self._recent *= math.exp((self._ended - ended) / RATE_OVER_S)
        self._recent += commands
        self._ended = ended
        if self._recent >= GATHER_RATE * RATE_OVER_S:
            self._next_at = ended + min(self._gather_s, GATHER_WRITES * (ended - began))


class Sequencer(SequencerCore):
    """A sequencer that writes in a thread of its own."""

    def __init__(
        self, log_: CommandLog, *, limits: Limits, on_written: Callable[[int], None]
    ) -> None:
        super().__init__(log_, limits=limits, on_written=on_written)
        self._news = threading.Condition(self._lock)
        self._thread = threading.Thread(
            target=self._run, name=f"sequencer-{self.shard}", daemon=True
        )
        self._thread.start()

    def _arrived(self) -> None:
        self._news.notify()

    async def close(self) -> None:
        """Write what waits, then stop."""
        with self._lock:
            self._closing = True
            self._news.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        pace = Pace(self._limits.gather_s)
        while True:
            with self._lock:
                while not self._pending and not self._closing:
                    self._news.wait()
                if not self._pending:
                    return
                self._news.wait_for(self._is_due, pace.wait_s(time.monotonic()))
            batch = self.take()
            if batch is not None:
                began = time.monotonic()
                self.settle(batch, self.write_out(batch))
                pace.wrote(len(batch.records), began, time.monotonic())

    def _is_due(self) -> bool:
        """There is no point in waiting for more."""
        limits = self._limits
        enough = min(limits.batch_commands_max, limits.pending_commands_max // 2)
        return self._closing or self._pending_commands >= enough
