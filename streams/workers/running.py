"""Runs a worker: Faust, the threads of its shards, and its end.

Guarantees: SIGTERM ends it with exit code 0 within `STOP_S_MAX`, and within `FAUST_STOP_S` of its
shards' end, whatever Faust does; what nobody foresaw ends the whole process, after it is in the
log; nothing listens on any port."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final, NoReturn

import faust
from faust.types import TP

from streams.kafka.connection import KafkaConnection
from streams.metrics import WorkerMetrics
from streams.workers.app import QuietWorker, make_app
from streams.workers.shards import Kind, ShardFollower
from streams.workers.watchdog import Watchdog

log = logging.getLogger(__name__)

EXIT_UNFORESEEN: Final = 70
SHARDS_STOP_S: Final = 5.0
STOP_S_MAX: Final = 8.5
# Faust takes 10 ms to stop, and as long as its requests where the broker does not answer. All that
# it has left to do is to tell the group: what the shards did is in their own stores.
FAUST_STOP_S: Final = 2.5
STOP_POLL_S: Final = 0.05
LOOP_BEAT_S: Final = 1.0
# How long a delivery waits for a follower that is taking; beyond it the log does as well.
ROOM_WAIT_S: Final = 0.05
ROOM_POLL_S: Final = 0.001
# Faust costs 0.14 ms a record, reading the log a few µs: from here on Faust goes on at the end.
JUMP_RECORDS: Final = 1_024


def die(what: str, error: BaseException | None) -> NoReturn:
    """Log and end the process at once: a supervisor starts another, which recovers from the log."""
    log.critical("%s", what, exc_info=error)
    logging.shutdown()
    os._exit(EXIT_UNFORESEEN)


class Shards:
    """The followers of the partitions that the group gave to this worker."""

    def __init__(self, kind: Kind, app: faust.App) -> None:
        self._kind = kind
        self._app = app
        self._jumped: dict[TP, int] = {}
        self._metrics = WorkerMetrics(kind.name)
        self.followers: dict[int, ShardFollower] = {}
        self.loop_beat_at = time.monotonic()

    async def assigned(self, _app: Any, /, *given: Any, **_more: Any) -> None:
        """Begin each shard anew: another worker may have held it since."""
        partitions: set[TP] = given[0]
        for tp in sorted(partitions):
            former = self.followers.get(tp.partition)
            if former is not None:
                former.stop(clean=False)
            follower = ShardFollower(self._kind, tp.partition, former=former, fatal=die)
            self.followers[tp.partition] = follower
            self._jumped.pop(tp, None)
            follower.start()
        self._metrics.assigned(len(self.followers))
        log.info("%s: holds shards %s", self._kind.name, sorted(self.followers))

    async def revoked(self, _app: Any, /, *given: Any, **_more: Any) -> None:
        """Give the shards up at once; what a step under way still writes is harmless."""
        partitions: set[TP] = given[0]
        for tp in partitions:
            follower = self.followers.pop(tp.partition, None)
            if follower is not None:
                follower.stop(clean=False)
        self._metrics.revoked(len(self.followers))

    async def follow(self, stream: faust.StreamT[bytes]) -> None:
        """The agent: hands records over."""
        event: Any
        async for event in stream.events():
            message = event.message
            try:
                await self._deliver(message)
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001 - Faust would skip the record, and go on
                die(f"shard {message.partition}: offset {message.offset} not delivered", error)

    async def _deliver(self, message: Any) -> None:
        follower = self.followers.get(message.partition)
        if follower is None:
            return
        follower.deliver(message.offset, message.value)
        self._metrics.record(message.partition)
        ring = follower.ring
        if not ring.room.is_set() and time.monotonic() - ring.taken_at < ROOM_WAIT_S:
            deadline = time.monotonic() + ROOM_WAIT_S
            while not ring.room.is_set() and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(ROOM_POLL_S)
        await self._jump_if_far_behind(follower, message)

    async def _jump_if_far_behind(self, follower: ShardFollower, message: Any) -> None:
        """Have Faust go on at the log's end; the follower reads what lies between from the log."""
        tp = message.tp
        end = self._app.monitor.tp_end_offsets.get(tp, 0)
        if end - message.offset <= JUMP_RECORDS or message.offset < self._jumped.get(tp, 0):
            return
        self._jumped[tp] = end
        consumer: Any = self._app.consumer
        await consumer.seek(tp, end)
        # Faust commits contiguous offsets only: it would list all that were jumped over, or wait.
        consumer._committed_offset[tp] = end
        follower.ring.look()
        log.debug("%s: Faust goes on at offset %d", follower.name, end)

    async def beat(self) -> None:
        """Show that the event loop is alive."""
        while True:
            self.loop_beat_at = time.monotonic()
            await asyncio.sleep(LOOP_BEAT_S)

    def stop(self, within_s: float) -> bool:
        """Stop every follower in order; whether all were done in time."""
        deadline = time.monotonic() + within_s
        for follower in self.followers.values():
            follower.stop(clean=True)
        for follower in self.followers.values():
            follower.join(max(0.0, deadline - time.monotonic()))
        return not any(follower.is_alive() for follower in self.followers.values())


def use_uvloop() -> None:
    """Have every event loop of this process be uvloop's, where it is installed: Faust makes one for
    its consumer's thread by itself."""
    try:
        import uvloop
    except ImportError:
        return
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def run_worker(
    kind: Kind,
    connection: KafkaConnection,
    *,
    instance: str | None,
    stop: threading.Event,
) -> int:
    """Run until `stop` is set; the exit code. Ends the process itself where it cannot go on."""
    use_uvloop()
    with (
        tempfile.TemporaryDirectory(prefix="crossbook-worker-") as scratch,
        asyncio.Runner() as runner,
    ):
        return runner.run(_run(kind, connection, instance, stop, Path(scratch)))


async def _run(
    kind: Kind,
    connection: KafkaConnection,
    instance: str | None,
    stop: threading.Event,
    scratch: Path,
) -> int:
    app = make_app(connection, kind.name, instance=instance, scratch=scratch)
    shards = Shards(kind, app)
    app.agent(app.topic(kind.topic, key_type=bytes, value_type=bytes), name=kind.name)(
        shards.follow
    )
    app.on_partitions_assigned.connect(shards.assigned)
    app.on_partitions_revoked.connect(shards.revoked)
    worker = QuietWorker(app, asyncio.get_running_loop())
    watchdog = Watchdog(kind, app, shards, die)
    watchdog.start()
    beating = asyncio.create_task(shards.beat())
    running = asyncio.create_task(worker.start())
    while not stop.is_set() and not running.done():  # noqa: ASYNC110 - set by signal handlers
        await asyncio.sleep(STOP_POLL_S)
    watchdog.stop()
    if running.done():
        error = running.exception() or worker.crash_reason
        die(f"{kind.name}: Faust ended", error)
    _end_after(STOP_S_MAX, f"{kind.name}: not done after {STOP_S_MAX} s")
    in_time = await asyncio.to_thread(shards.stop, SHARDS_STOP_S)
    if not in_time:
        log.warning("%s: a step is still under way; it counts whole or not at all", kind.name)
    _end_after(FAUST_STOP_S, f"{kind.name}: stopped; the broker did not answer Faust's farewell")
    await worker.stop()
    beating.cancel()
    running.cancel()
    log.info("%s: stopped", kind.name)
    return 0


def _end_after(seconds: float, why: str) -> None:
    """End the process then, with exit code 0, if it is not gone by itself."""

    def end() -> None:
        log.warning("%s", why)
        logging.shutdown()
        os._exit(0)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
