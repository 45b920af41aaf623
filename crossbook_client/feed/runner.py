"""Sockets, threads and time around `crossbook_client.feed.shard`: what the listener that waits and
the one that awaits have in common.

Guarantees: one thread, its owner's, applies messages; HTTP and snapshots are got by threads that
end by themselves within some seconds, one a shard at a time. What is read in a round is bounded.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from crossbook_client.errors import CrossbookError
from crossbook_client.feed.book import FeedBook
from crossbook_client.feed.books import ShardBooks
from crossbook_client.feed.config import ListenOptions
from crossbook_client.feed.directory import FeedApi, FeedShard
from crossbook_client.feed.mold import PACKET_BYTES_MAX, request
from crossbook_client.feed.recording import Recording
from crossbook_client.feed.shard import ShardFeed
from crossbook_client.feed.sockets import interface_towards, open_line, open_requester
from crossbook_client.feed.soup import SnapshotError, take_snapshot
from crossbook_client.feed.statistics import FeedStatistics
from crossbook_client.feed.terms import (
    HTTP,
    REREQUEST,
    SNAPSHOT,
    Action,
    Discover,
    Fetch,
    Rerequest,
    Taker,
)

PACKETS_A_ROUND: Final = 64
LOOPBACK: Final = "127.0.0.1"
PUBLISHER_WAIT_S: Final = 10.0
LOOK_EACH_S: Final = 0.2


class NothingToListenToError(CrossbookError):
    """No shard or no line is left to listen to."""


@dataclass
class Source:
    """A socket, and whose packets come from it."""

    socket: socket.socket
    feed: ShardFeed
    name: str


class FeedRunner:
    """See the module. `open` it, then let it `read` what is readable and `tick` when due."""

    def __init__(self, options: ListenOptions, takers: list[Taker]) -> None:
        self._options = options
        self._takers = takers
        self._api: FeedApi | None = None
        self._shards: dict[int, FeedShard] = {}
        self._requesters: dict[int, socket.socket] = {}
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._closed = False
        self.books: dict[str, FeedBook] = {}
        self.feeds: dict[int, ShardFeed] = {}
        self.sources: list[Source] = []
        self.recording: Recording | None = None
        # Threads that are done write a byte here.
        self.bell, self._ring = socket.socketpair()
        self.bell.setblocking(False)
        self._ring.setblocking(False)

    # --- begin and end ----------------------------------------------------------------------------

    def open(self) -> None:
        """Discover, join, begin. Blocks for the API's answer. Raises CrossbookError."""
        options = self._options
        try:
            if options.url is not None:
                self._api = FeedApi(options.url, options.api_key)
            described = self._described()
            for shard in described:
                if not options.only or shard.shard in options.only:
                    self._shards[shard.shard] = shard
            if not self._shards:
                raise NothingToListenToError(
                    f"no such shard; there are {', '.join(str(one.shard) for one in described)}"
                    if described
                    else "the exchange publishes no feed, or its publisher does not run"
                )
            if options.record is not None:
                self.recording = Recording(options.record, len(self._shards))
                self._takers = [*self._takers, self.recording]
            for shard in self._shards.values():
                self._begin(shard)
        except BaseException:
            self.close()
            raise

    def _described(self) -> list[FeedShard]:
        """What there is to listen to. A publisher that was just started is waited for."""
        if self._api is None:
            return list(self._options.shards)
        deadline = time.monotonic() + PUBLISHER_WAIT_S
        while not (found := self._api.shards()) and time.monotonic() < deadline:
            time.sleep(LOOK_EACH_S)
        return found

    def _begin(self, shard: FeedShard) -> None:
        options = self._options
        means = []
        if shard.rerequest is not None:
            means.append(REREQUEST)
        if shard.messages_url is not None and self._api is not None:
            means.append(HTTP)
        if shard.snapshot is not None:
            means.append(SNAPSHOT)
        feed = self.feeds[shard.shard] = ShardFeed(
            shard.shard,
            ShardBooks(self.books),
            session=shard.session_bytes,
            means=means,
            beginning=options.beginning,
            known_end=shard.next_sequence,
            can_discover=self._api is not None,
            patience=options.patience,
            takers=self._takers,
        )
        wanted = [line for line in shard.lines if not options.lines or line.name in options.lines]
        if not wanted:
            names = ", ".join(line.name for line in shard.lines)
            raise NothingToListenToError(f"no such line; shard {shard.shard} has {names}")
        interface = options.interface or self._default_interface()
        for line in wanted:
            self.sources.append(Source(open_line(line, interface), feed, line.name))
        self._open_requester(shard)

    def _default_interface(self) -> str:
        return interface_towards(self._api.host) if self._api is not None else LOOPBACK

    def _open_requester(self, shard: FeedShard) -> None:
        if shard.rerequest is None:
            return
        opened = self._requesters[shard.shard] = open_requester()
        self.sources.append(Source(opened, self.feeds[shard.shard], REREQUEST))

    def close(self) -> None:
        """Leave the groups and close the recording. What was learned stays."""
        self._closed = True
        for source in self.sources:
            source.socket.close()
        self.sources.clear()
        self._requesters.clear()
        self.bell.close()
        self._ring.close()
        if self.recording is not None:
            self.recording.close()
        if self._api is not None:
            self._api.close()

    # --- a round ----------------------------------------------------------------------------------

    def read(self, source: Source) -> bool:
        """Take packets that are there, a bounded number; whether there may be more."""
        receive, feed, name = source.socket.recv, source.feed.receive, source.name
        now = time.monotonic()
        for _ in range(PACKETS_A_ROUND):
            try:
                packet = receive(PACKET_BYTES_MAX)
            except BlockingIOError:
                return False
            feed(packet, name, now)
        return True

    def tick(self) -> None:
        """Take what threads brought, and ask for what is missing."""
        with contextlib.suppress(BlockingIOError):
            while self.bell.recv(4096):
                pass
        with contextlib.suppress(queue.Empty):
            while True:
                self._done.get_nowait()()
        now = time.monotonic()
        for feed in self.feeds.values():
            if now >= feed.wake_at:
                for action in feed.due(now):
                    self._do(feed, action)

    @property
    def wake_at(self) -> float:
        """When `tick` is to be called next, whatever comes; of the monotonic clock."""
        return min((feed.wake_at for feed in self.feeds.values()), default=float("inf"))

    # --- what feeds ask for -----------------------------------------------------------------------

    def _do(self, feed: ShardFeed, action: Action) -> None:
        if not isinstance(action, Rerequest):
            work = threading.Thread(target=self._work, args=(feed, action), daemon=True)
            work.start()
            return
        address = self._shards[feed.shard].rerequest
        if address is None:  # there was one, and is no more
            return
        packet = request(action.session, action.sequence, action.count)
        try:
            self._requesters[feed.shard].sendto(packet, (address.host, address.port))
        except OSError:  # as good as lost
            feed.statistics.failures["not sent"] += 1

    def _work(self, feed: ShardFeed, action: Action) -> None:
        """In a thread of its own: do it, and hand the answer over."""
        try:
            if isinstance(action, Fetch):
                done = self._fetch(feed, action)
            elif isinstance(action, Discover):
                done = self._discover(feed)
            else:
                done = self._take_snapshot(feed)
        except Exception as error:  # noqa: BLE001 - a bug: raised where the owner sees it
            done = partial(_raise, error)
        self._done.put(done)
        with contextlib.suppress(OSError):  # closed meanwhile, or rung already
            self._ring.send(b"!")

    def _fetch(self, feed: ShardFeed, action: Fetch) -> Callable[[], None]:
        url = self._shards[feed.shard].messages_url
        assert self._api is not None and url is not None
        block, publisher_next = None, None
        try:
            block, publisher_next = self._api.messages(url, action.sequence, action.count)
        except (CrossbookError, RuntimeError):  # httpx: the client was closed
            self._look_again()
        return lambda: feed.took_block(block, publisher_next, time.monotonic())

    def _take_snapshot(self, feed: ShardFeed) -> Callable[[], None]:
        address = self._shards[feed.shard].snapshot
        assert address is not None
        snapshot = None
        try:
            snapshot = take_snapshot(
                (address.host, address.port),
                feed.session,
                username=self._options.username,
                password=self._options.password,
                keep_body=self.recording is not None,
            )
        except SnapshotError:
            self._look_again()
        return lambda: feed.took_snapshot(snapshot, time.monotonic())

    def _discover(self, feed: ShardFeed) -> Callable[[], None]:
        self._look_again()
        session = self._shards[feed.shard].session_bytes
        return lambda: feed.took_session(session, time.monotonic())

    def _look_again(self) -> None:
        """Ask where the services are: a publisher that was started anew may have moved."""
        if self._api is None or self._closed:
            return
        with contextlib.suppress(CrossbookError, RuntimeError):
            for shard in self._api.shards():
                if shard.shard in self._shards:
                    self._shards[shard.shard] = shard

    # --- what is told -----------------------------------------------------------------------------

    @property
    def statistics(self) -> FeedStatistics:
        """All shards' counts together."""
        total = FeedStatistics()
        for feed in self.feeds.values():
            total.add(feed.statistics)
        return total


def _raise(error: Exception) -> None:
    raise error
