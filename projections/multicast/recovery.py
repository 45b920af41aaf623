"""The re-request server and the catch-up over HTTP: what was published before, out of the files.

Guarantees: a re-request is answered by one packet to whoever sent it, or not at all (a foreign
session, what is not there, what is beyond the bound); bytes a second are bounded, in all and for
each address, so that a forged sender's address cannot make a flood of it. HTTP answers whole
messages, in the packet's own form. Both read the files of this process's shards, in threads of
their own where that may take long."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qs

from projections.multicast import metrics
from projections.multicast.board import FeedBoard, Published
from projections.multicast.packets import (
    HEADER,
    PAYLOAD_BYTES_MAX,
    SEQUENCE_MAX,
    header,
)
from projections.multicast.store import FeedStore

log = logging.getLogger(__name__)

REREQUEST: Final = "rerequest"
HTTP: Final = "http"
ADDRESSES_MAX: Final = 1_024
# One address may have a quarter of all, so that one that asks for too much leaves some to others.
ADDRESS_PART: Final = 4
COUNT_MAX: Final = 65_534
BLOCK_BYTES_MAX: Final = 4_000_000
READS_MAX: Final = 4

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Bucket:
    """Bytes a second, with a quarter of a second's worth at once."""

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._most = self._left = max(bytes_per_s / 4, 2 * PAYLOAD_BYTES_MAX)
        self._filled_at = time.monotonic()

    def has(self, size: int) -> bool:
        """Whether so much may be sent now."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._filled_at) * self._rate)
        self._filled_at = now
        return self._left >= size

    def take(self, size: int) -> None:
        """So much was sent."""
        self._left -= size


class Files:
    """Open files to read from, one a shard. For one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stores: dict[int, FeedStore] = {}

    def messages(
        self, feed: Published, first: int, count_max: int, bytes_max: int
    ) -> tuple[int, bytes]:
        """(count, message blocks), as `FeedStore.messages`, none past what is published."""
        store = self._stores.get(feed.shard)
        if store is None:
            store = self._stores[feed.shard] = FeedStore(self._folder, feed.shard)
        return store.messages(first, min(count_max, feed.next_sequence - first), bytes_max)

    def close(self) -> None:
        """Close them."""
        for store in self._stores.values():
            store.close()


class RerequestServer(asyncio.DatagramProtocol):
    """Answers 20-byte MoldUDP64 requests."""

    def __init__(self, folder: Path, board: FeedBoard, *, bytes_per_s_max: int) -> None:
        self._board = board
        self._files = Files(folder)
        self._all = Bucket(bytes_per_s_max)
        self._rate_of_one = bytes_per_s_max / ADDRESS_PART
        self._by_address: OrderedDict[str, Bucket] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None
        self._resent = metrics.RESENT.labels(REREQUEST)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._files.close()

    def error_received(self, exc: Exception) -> None:
        """An answer could not be delivered; whoever asked asks again."""
        log.debug("a re-request's answer: %r", exc)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one request, or count why not."""
        result, packet = self._answer(data, addr[0])
        metrics.REQUESTS.labels(REREQUEST, result).inc()
        if packet and self._transport is not None:
            self._transport.sendto(packet, addr)

    def _answer(self, data: bytes, address: str) -> tuple[str, bytes]:
        if len(data) != HEADER.size:
            return "malformed", b""
        session, first, count = HEADER.unpack(data)
        feed = self._board.of_session(session)
        if feed is None:
            return "other_session", b""
        if count == 0 or not 1 <= first < feed.next_sequence:
            return "not_there", b""
        one = self._bucket_of(address)
        if not one.has(PAYLOAD_BYTES_MAX) or not self._all.has(PAYLOAD_BYTES_MAX):
            return "too_many", b""
        try:
            found, blocks = self._files.messages(feed, first, count, PAYLOAD_BYTES_MAX)
        except sqlite3.Error as error:
            log.warning("shard %d: the feed cannot be read: %s", feed.shard, error)
            return "failed", b""
        if found == 0:
            return "too_old", b""
        packet = header(session, first, found) + blocks
        one.take(len(packet))
        self._all.take(len(packet))
        self._resent.inc(found)
        return "served", packet

    def _bucket_of(self, address: str) -> Bucket:
        bucket = self._by_address.pop(address, None)
        if bucket is None:
            bucket = Bucket(self._rate_of_one)
            if len(self._by_address) >= ADDRESSES_MAX:
                self._by_address.popitem(last=False)
        self._by_address[address] = bucket
        return bucket


class CatchUp:
    """The ASGI app that APIs ask: `GET /messages?shard=&from=&count=`.

    200 with one block of messages; 404 for a shard that is not published here, 410 for a sequence
    that is no longer kept, 416 for one beyond the next, 400, 503. Each with what is kept:
    `X-First-Sequence` and `X-Next-Sequence`.
    """

    def __init__(self, folder: Path, board: FeedBoard) -> None:
        self._folder = folder
        self._board = board
        self._reads = asyncio.Semaphore(READS_MAX)
        self._resent = metrics.RESENT.labels(HTTP)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        status, feed, body = await self._answer(scope)
        metrics.REQUESTS.labels(HTTP, "served" if status == 200 else str(status)).inc()
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % len(body)),
        ]
        if feed is not None:
            headers.append((b"x-first-sequence", b"%d" % feed.first_sequence))
            headers.append((b"x-next-sequence", b"%d" % feed.next_sequence))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope) -> tuple[int, Published | None, bytes]:
        if scope["path"] != "/messages" or scope["method"] != "GET":
            return 404, None, b""
        query = parse_qs(scope["query_string"].decode("ascii", "replace"))
        try:
            shard, first, count = (int(query[name][0]) for name in ("shard", "from", "count"))
        except (KeyError, ValueError):
            return 400, None, b""
        feed = self._board.get(shard)
        if feed is None:
            return 404, None, b""
        if not 1 <= first <= SEQUENCE_MAX or not 1 <= count <= COUNT_MAX:
            return 400, feed, b""
        if first > feed.next_sequence:
            return 416, feed, b""
        if first < feed.first_sequence:
            return 410, feed, b""
        if self._reads.locked():
            return 503, feed, b""
        async with self._reads:
            return await self._read(feed, first, count)

    async def _read(
        self, feed: Published, first: int, count: int
    ) -> tuple[int, Published | None, bytes]:
        try:
            found, blocks = await asyncio.to_thread(self._messages, feed, first, count)
        except sqlite3.Error as error:
            log.warning("shard %d: the feed cannot be read: %s", feed.shard, error)
            return 503, feed, b""
        if found == 0 and first < feed.next_sequence:
            return 410, feed, b""
        self._resent.inc(found)
        return 200, feed, header(feed.session, first, found) + blocks

    def _messages(self, feed: Published, first: int, count: int) -> tuple[int, bytes]:
        files = Files(self._folder)
        try:
            return files.messages(feed, first, count, BLOCK_BYTES_MAX)
        finally:
            files.close()
