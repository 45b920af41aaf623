"""The publisher of one process, put together: the sink, the lines, and the services around them.

Guarantees: `start` returns once every socket is open, or raises OSError; the services run in one
thread, beside those of the sink, and what fails of a request is that request's alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from projections.multicast import metrics
from projections.multicast.board import FeedBoard, Published
from projections.multicast.books import OpenLog, Restore, SnapshotMaker
from projections.multicast.glimpse import SnapshotService
from projections.multicast.lines import LinePlan, Lines
from projections.multicast.recovery import CatchUp, RerequestServer
from projections.multicast.register import FeedEnrolment, LineEntry, PlaceEntry, ShardEntry
from projections.multicast.sink import MulticastSink, TailOf

log = logging.getLogger(__name__)

RENEW_S: Final = 1.0
START_WAIT_S: Final = 30.0
STOP_LOOK_S: Final = 0.1


@dataclass(frozen=True)
class FeedPlan:
    """What a publisher is made with. `host` is where the services listen, `advertised_host` what
    listeners are told; a port of 0 is any free one.
    """

    folder: Path
    lines: LinePlan
    host: str
    advertised_host: str
    redis_url: str
    rerequest_port: int = 0
    snapshot_port: int = 0
    http_port: int = 0
    rerequest_bytes_per_s_max: int = 10_000_000
    snapshot_connections_max: int = 8
    messages_kept: int = 0


@dataclass(frozen=True)
class _Ports:
    """Where the services listen."""

    rerequest: int
    snapshot: int
    http: int


class Feed:
    """One process's publisher; shards come with a sink's first step for them."""

    def __init__(
        self,
        plan: FeedPlan,
        *,
        tail_of: TailOf,
        open_log: OpenLog,
        restore: Restore,
        on_failure: Callable[[], None],
    ) -> None:
        """`on_failure` is called where the services end by themselves; `failure` says why."""
        self.plan = plan
        self._on_failure = on_failure
        self.board = FeedBoard()
        self.lines = Lines(plan.lines)
        self._tail_of = tail_of
        self._open_log = open_log
        self._restore = restore
        self._makers: dict[int, SnapshotMaker] = {}
        self._stop = threading.Event()
        self._started = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="feed-services", daemon=True)
        self._watch = threading.Thread(target=self._renew, name="feed-register", daemon=True)
        self._ports = _Ports(0, 0, 0)

    def make_sink(self) -> MulticastSink:
        """A sink that publishes here; whoever takes it closes it."""
        return MulticastSink(
            self.plan.folder,
            board=self.board,
            lines=self.lines,
            tail_of=self._tail_of,
            messages_kept=self.plan.messages_kept,
        )

    def start(self) -> None:
        """Open the services and begin heartbeats. Raises OSError where a port is taken."""
        self.lines.start()
        self._thread.start()
        if not self._started.wait(START_WAIT_S):
            raise OSError("the feed's services did not start")
        if self.failure is not None:
            raise OSError(f"the feed's services cannot listen: {self.failure}") from self.failure
        self._watch.start()
        log.info("feed services on %s: %s", self.plan.host, self._ports)

    def close(self) -> None:
        """Stop everything, in order."""
        self._stop.set()
        for maker in list(self._makers.values()):
            maker.close()
        for thread in (self._thread, self._watch):
            if thread.ident is not None:
                thread.join()
        self.lines.close()

    def entries(self) -> list[ShardEntry]:
        """What the register is told."""
        return [self._entry(feed) for feed in self.board.all()]

    def _entry(self, feed: Published) -> ShardEntry:
        host = self.plan.advertised_host
        return ShardEntry(
            shard=feed.shard,
            session=feed.session.decode("ascii"),
            position=feed.position,
            first_sequence=feed.first_sequence,
            next_sequence=feed.next_sequence,
            lines=[
                LineEntry(line.name, *line.address(feed.shard)) for line in self.plan.lines.lines
            ],
            rerequest=PlaceEntry(host, self._ports.rerequest),
            snapshot=PlaceEntry(host, self._ports.snapshot),
            catch_up=f"http://{host}:{self._ports.http}/messages",
        )

    # --- the register -----------------------------------------------------------------------------

    def _renew(self) -> None:
        enrolment = FeedEnrolment(self.plan.redis_url)
        while True:
            for feed in self.board.all():
                self._measure_lag(feed)
            enrolment.renew(self.entries())
            if self._stop.wait(RENEW_S):
                break
        enrolment.close()

    def _measure_lag(self, feed: Published) -> None:
        try:
            behind = max(0, self._tail_of(feed.shard) - feed.position)
            metrics.LAG.labels(str(feed.shard)).set(behind)
        except Exception as error:  # noqa: BLE001 - whatever log it is; the next look may succeed
            log.debug("shard %d: the event log's end is not known: %r", feed.shard, error)

    # --- the services' thread ---------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self.failure = error
            if self._started.is_set():
                log.critical("the feed's services ended", exc_info=error)
                self._on_failure()
            self._started.set()

    async def _serve(self) -> None:
        plan, loop = self.plan, asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: RerequestServer(
                plan.folder, self.board, bytes_per_s_max=plan.rerequest_bytes_per_s_max
            ),
            local_addr=(plan.host, plan.rerequest_port),
        )
        service = SnapshotService(
            self.board, self._maker_of, connections_max=plan.snapshot_connections_max
        )
        snapshots = await asyncio.start_server(service.serve, plan.host, plan.snapshot_port)
        listening = socket.create_server((plan.host, plan.http_port))
        http = _HttpServer(
            uvicorn.Config(
                CatchUp(plan.folder, self.board),
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        serving = asyncio.create_task(http.serve(sockets=[listening]))
        self._ports = _Ports(
            transport.get_extra_info("sockname")[1],
            snapshots.sockets[0].getsockname()[1],
            listening.getsockname()[1],
        )
        self._started.set()
        while not self._stop.is_set() and not serving.done():  # noqa: ASYNC110 - other threads' flag
            await asyncio.sleep(STOP_LOOK_S)
        snapshots.close()
        transport.close()
        http.should_exit = True
        await serving

    def _maker_of(self, shard: int) -> SnapshotMaker:
        maker = self._makers.get(shard)
        if maker is None:
            maker = self._makers[shard] = SnapshotMaker(
                shard, self.plan.folder, self.board, self._open_log, self._restore
            )
        return maker


class _HttpServer(uvicorn.Server):
    """uvicorn without its own signal handling: the role decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
