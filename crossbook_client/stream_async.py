"""The stream for programs that await. See `crossbook_client.stream` for the one that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping

from websockets.asyncio.client import ClientConnection, connect

from crossbook_client import stream_transport as transport
from crossbook_client.stream_book import LiveBook
from crossbook_client.stream_state import StreamMessage, StreamState


class AsyncMarketStream:
    """Market data of one exchange as it happens. For one event loop; use it in `async with`.

    Iterating gives the messages of all subscriptions; `books` holds the verified books of those to
    `level2`. A lost connection is made again, and every subscription goes on where it was; after
    `retry_s` without one, ConnectionLostError is raised. A refused request raises
    StreamRefusedError when its answer is read. `reconnects` and `resyncs` count.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        retry_s: float = 30.0,
        silence_s: float = 15.0,
    ) -> None:
        self._url = transport.stream_url(url)
        self._options = transport.options(url, api_key, silence_s)
        self._silence_s = silence_s
        self._state = StreamState()
        self._reconnecting = transport.Reconnecting(retry_s)
        self._connection: ClientConnection | None = None
        self.reconnects = 0

    @property
    def books(self) -> Mapping[str, LiveBook]:
        """The books by symbol, from their first snapshot on."""
        return self._state.books

    @property
    def resyncs(self) -> int:
        """How many chains broke and began anew with a snapshot."""
        return self._state.resyncs

    async def __aenter__(self) -> AsyncMarketStream:
        await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection; what was subscribed to is remembered."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def subscribe(
        self, channel: str, symbols: Iterable[str], since: Mapping[str, int] | None = None
    ) -> None:
        """Begin a channel of these symbols; `since` as docs/stream.md has it."""
        await self._send(self._state.subscribe(channel, symbols, since or {}))

    async def unsubscribe(self, channel: str, symbols: Iterable[str] = ()) -> None:
        """End a channel of these symbols, or of all."""
        await self._send(self._state.unsubscribe(channel, symbols))

    async def __aiter__(self) -> AsyncIterator[StreamMessage]:
        while True:
            yield await self.next()

    async def next(self) -> StreamMessage:
        """The next message, however long it takes. May be cancelled between messages: nothing is
        lost."""
        while True:
            if self._connection is None:
                await self._connect()
            assert self._connection is not None
            try:
                async with asyncio.timeout(self._silence_s):
                    text = await self._connection.recv()
            except transport.LOST as error:
                await self._lost(error)
                continue
            self._reconnecting.succeeded()
            message, requests = self._state.receive(text)
            await self._send(requests)
            if message is not None:
                return message

    async def _connect(self) -> None:
        while True:
            try:
                connection = await connect(self._url, **self._options)
            except transport.LOST as error:
                await asyncio.sleep(self._reconnecting.next_pause_s(error))
                continue
            self._connection = connection
            self._reconnecting.begun()
            await self._send(self._state.begin())
            return

    async def _send(self, requests: Iterable[str]) -> None:
        if self._connection is None:
            return  # all that is subscribed to is asked for when there is a connection again
        try:
            for text in requests:
                await self._connection.send(text)
        except transport.LOST as error:
            await self._lost(error)

    async def _lost(self, error: Exception) -> None:
        await self.close()
        self.reconnects += 1
        if not self._reconnecting.is_first:  # no message came since the last attempt
            await asyncio.sleep(self._reconnecting.next_pause_s(error))
