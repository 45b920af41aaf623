"""The snapshot service: the books over TCP, in the manner of Nasdaq's GLIMPSE 5.0, carried by
SoupBinTCP 3.0.

Guarantees: a client gets a login answer, then every message of one snapshot, then `G` with the
sequence to go on with, `Z`, and the end of the connection; one that is cut off has seen no `G`.
Connections, and the time that a client may take, are bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable, Iterator
from typing import Final

from projections.multicast import metrics
from projections.multicast.board import FeedBoard, Published
from projections.multicast.books import BookSnapshot, SnapshotFailedError, SnapshotMaker

log = logging.getLogger(__name__)

SNAPSHOT: Final = "snapshot"
LENGTH: Final = struct.Struct(">H")
LOGIN_BYTES: Final = 47
BLANK_SESSION: Final = b" " * 10
LOGIN_WAIT_S: Final = 5.0
HEARTBEAT_S: Final = 1.0
# A client that takes none of its snapshot for so long is cut off; as is one whose snapshot is not
# made within so long.
STALLED_S: Final = 30.0
MADE_S: Final = 600.0


def soup(kind: bytes, payload: bytes = b"") -> bytes:
    """One SoupBinTCP packet."""
    return LENGTH.pack(1 + len(payload)) + kind + payload


def numeric(value: int) -> bytes:
    """20 ASCII digits, right-justified, padded with spaces."""
    return b"%20d" % value


class SnapshotService:
    """Answers connections. For one event loop."""

    def __init__(
        self,
        board: FeedBoard,
        maker_of: Callable[[int], SnapshotMaker],
        *,
        connections_max: int,
    ) -> None:
        self._board = board
        self._maker_of = maker_of
        self._connections_max = connections_max
        self._count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection, and close it."""
        with self._counted() as count:
            try:
                result = await self._answer(reader, writer, is_full=count > self._connections_max)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                log.debug("a snapshot's client: %r", error)
                result = "cut_off"
            metrics.REQUESTS.labels(SNAPSHOT, result).inc()
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(LOGIN_WAIT_S):
                    await writer.wait_closed()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[int]:
        self._count += 1
        metrics.SNAPSHOT_CONNECTIONS.set(self._count)
        try:
            yield self._count
        finally:
            self._count -= 1
            metrics.SNAPSHOT_CONNECTIONS.set(self._count)

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_full: bool
    ) -> str:
        """Log in, and send a snapshot; what came of it."""
        if is_full:
            writer.write(soup(b"J", b"S"))
            return "too_many"
        async with asyncio.timeout(LOGIN_WAIT_S):
            login = await self._login(reader)
        if login is None:
            return "malformed"
        feed = self._feed_of(login[17:27])
        if feed is None:
            writer.write(soup(b"J", b"S"))
            return "other_session"
        writer.write(soup(b"A", feed.session + numeric(1)))
        wanted = asyncio.wrap_future(self._maker_of(feed.shard).request())
        try:
            async with asyncio.timeout(MADE_S):
                made = await self._wait(wanted, writer)
        except SnapshotFailedError:
            return "failed"
        await self._send(writer, made)
        return "served"

    async def _login(self, reader: asyncio.StreamReader) -> bytes | None:
        """The login request's bytes after the length; None where it is none."""
        while True:
            length = LENGTH.unpack(await reader.readexactly(2))[0]
            if not 1 <= length <= LOGIN_BYTES:
                return None
            packet = await reader.readexactly(length)
            if packet[:1] == b"L":
                return packet if length == LOGIN_BYTES else None
            if packet[:1] not in (b"R", b"+"):  # a heartbeat, a debug packet
                return None

    def _feed_of(self, session: bytes) -> Published | None:
        """The feed that a login names; a blank session is the only one of this process."""
        if session == BLANK_SESSION:
            feeds = self._board.all()
            return feeds[0] if len(feeds) == 1 else None
        return self._board.of_session(session.strip().ljust(10))

    async def _wait(
        self, wanted: asyncio.Future[BookSnapshot], writer: asyncio.StreamWriter
    ) -> BookSnapshot:
        """Send heartbeats until the snapshot is made."""
        while not wanted.done():
            await asyncio.wait({wanted}, timeout=HEARTBEAT_S)
            if not wanted.done():
                writer.write(soup(b"H"))
                await self._drain(writer)
        return wanted.result()

    async def _send(self, writer: asyncio.StreamWriter, made: BookSnapshot) -> None:
        for chunk in made.chunks:
            writer.write(chunk)
            await self._drain(writer)
        writer.write(soup(b"S", b"G" + numeric(made.next_sequence)))
        writer.write(soup(b"Z"))
        await self._drain(writer)

    @staticmethod
    async def _drain(writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(STALLED_S):
            await writer.drain()
