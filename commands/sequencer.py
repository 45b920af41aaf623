"""The sequencer: turns what many requests write at once into one durable batch after another (group
commit).

Whatever arrived while the previous write was in flight goes into the next batch; an idle sequencer
adds no delay. Guarantees: `write` returns only once the commands are durable; a failed write is
either known not to be in the log (`NotWrittenError`) or said to be unknown (`OutcomeUnknownError`);
a request's commands stay together, in order."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from eventsourcing.persistence import IntegrityError, PersistenceError

from commands.protocols import CommandLog, NotWrittenError, OutcomeUnknownError, Receipt
from domain.wire import COMMAND_HEADER_BYTES, encode_batch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Bounds of one sequencer; a request that does not fit is refused, never queued without
    bound.
    """

    batch_commands_max: int = 4_096
    batch_bytes_max: int = 900_000
    pending_commands_max: int = 100_000


@dataclass
class _Request:
    records: Sequence[bytes]
    size: int
    future: asyncio.Future[Receipt]


@dataclass
class _Batch:
    requests: list[_Request] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)


class Sequencer:
    """One shard's writer in one gateway process: a session of its own.

    `on_written(position)` is called from the writer thread after each durable batch (to wake the
    matcher)."""

    def __init__(
        self, log_: CommandLog, *, limits: Limits, on_written: Callable[[int], None]
    ) -> None:
        self.shard = log_.shard
        self._log = log_
        self._limits = limits
        self._on_written = on_written
        self.session = uuid4().bytes
        self._batch_number = 0
        self._pending: deque[_Request] = deque()
        self._pending_commands = 0
        self._condition = threading.Condition()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self.last_position = 0
        self._thread = threading.Thread(
            target=self._run, name=f"sequencer-{self.shard}", daemon=True
        )
        self._thread.start()

    async def write(self, records: Sequence[bytes]) -> Receipt:
        """Append command records and return once they are durable.

        Raises NotWrittenError (safe to send again), OutcomeUnknownError, or ValueError for more
        than one batch holds."""
        size = sum(map(len, records))
        room = self._limits.batch_bytes_max - COMMAND_HEADER_BYTES
        if not records or len(records) > self._limits.batch_commands_max or size > room:
            raise ValueError(f"{len(records)} commands of {size} bytes do not fit one batch")
        future: asyncio.Future[Receipt] = self._loop.create_future()
        with self._condition:
            if self._closing:
                raise NotWrittenError("the gateway is shutting down")
            if self._pending_commands + len(records) > self._limits.pending_commands_max:
                raise NotWrittenError("too many commands wait to be written")
            self._pending.append(_Request(records, size, future))
            self._pending_commands += len(records)
            self._condition.notify()
        return await future

    def renew_session(self) -> None:
        """Begin a new session: the engine no longer knows this one."""
        with self._condition:
            self._new_session()

    def _new_session(self) -> None:
        self.session = uuid4().bytes
        self._batch_number = 0

    async def close(self) -> None:
        """Write what waits, then stop."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        await asyncio.to_thread(self._thread.join)

    # --- the writer thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._pending and not self._closing:
                    self._condition.wait()
                if not self._pending:
                    return
                batch = self._gather()
                session = self.session
                number = self._batch_number + 1
            self._write(batch, session, number)

    def _gather(self) -> _Batch:
        batch = _Batch()
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
            batch.requests.append(request)
            batch.records.extend(request.records)
            size += request.size
        return batch

    def _write(self, batch: _Batch, session: bytes, number: int) -> None:
        try:
            encoded = encode_batch(session, number, time.time_ns(), batch.records)
            position = self._append(session, number, encoded)
        except (NotWrittenError, OutcomeUnknownError) as error:
            self._answer(batch, None, error)
            return
        with self._condition:
            if self.session == session:
                self._batch_number = number
        self.last_position = max(self.last_position, position)
        self._on_written(position)
        self._answer(batch, position, None)

    def _append(self, session: bytes, number: int, encoded: bytes) -> int:
        """Append one batch; after a failure, ask the log itself whether it took it."""
        try:
            return self._log.append(session, number, encoded)
        except (PersistenceError, IntegrityError) as error:
            failure = error
        log.error("batch %d of session %s: %r", number, session.hex(), failure)
        try:
            position = self._log.position_of(session, number)
        except PersistenceError as error:
            with self._condition:
                self._new_session()
            raise OutcomeUnknownError("the log does not answer") from error
        if position is None:
            raise NotWrittenError(f"the log refused the write: {failure}") from failure
        return position

    def _answer(self, batch: _Batch, position: int | None, error: Exception | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._resolve, batch, position, error)
        except RuntimeError:
            log.warning("the event loop closed before %d answers", len(batch.requests))

    def _resolve(self, batch: _Batch, position: int | None, error: Exception | None) -> None:
        first = 0
        for request in batch.requests:
            count = len(request.records)
            if not request.future.done():
                if position is not None:
                    request.future.set_result(Receipt(self.shard, position, first, count))
                elif error is not None:
                    request.future.set_exception(error)
            first += count
