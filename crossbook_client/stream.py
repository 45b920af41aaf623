"""The stream for programs that wait.

See `crossbook_client.stream_async` for the one that awaits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack

from websockets.sync.client import ClientConnection, connect

from crossbook_client import stream_transport as transport
from crossbook_client.stream_book import LiveBook
from crossbook_client.stream_state import StreamMessage, StreamState


class MarketStream:
    """Market data of one exchange as it happens. For one thread; use it in `with`.

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
        self._opened = ExitStack()
        self._heard_at = 0.0
        self.reconnects = 0

    @property
    def books(self) -> Mapping[str, LiveBook]:
        """The books by symbol, from their first snapshot on."""
        return self._state.books

    @property
    def resyncs(self) -> int:
        """How many chains broke and began anew with a snapshot."""
        return self._state.resyncs

    def __enter__(self) -> MarketStream:
        self._connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; what was subscribed to is remembered."""
        self._connection = None
        self._opened.close()

    def subscribe(
        self, channel: str, symbols: Iterable[str], since: Mapping[str, int] | None = None
    ) -> None:
        """Begin a channel of these symbols; `since` as docs/stream.md has it."""
        self._send(self._state.subscribe(channel, symbols, since or {}))

    def unsubscribe(self, channel: str, symbols: Iterable[str] = ()) -> None:
        """End a channel of these symbols, or of all."""
        self._send(self._state.unsubscribe(channel, symbols))

    def __iter__(self) -> Iterator[StreamMessage]:
        while True:
            yield self.next()

    def next(self, timeout_s: float | None = None) -> StreamMessage:
        """The next message. Raises TimeoutError where none came within `timeout_s`; nothing is lost
        then."""
        deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        while True:
            if self._connection is None:
                self._connect()
            assert self._connection is not None
            silent_at = self._heard_at + self._silence_s
            wait_s = min(deadline, silent_at) - time.monotonic()
            try:
                text = self._connection.recv(max(0.0, wait_s))
            except transport.LOST as error:
                if isinstance(error, TimeoutError) and time.monotonic() < silent_at:
                    raise
                self._lost(error)
                continue
            self._heard_at = time.monotonic()
            self._reconnecting.succeeded()
            message, requests = self._state.receive(text)
            self._send(requests)
            if message is not None:
                return message

    def _connect(self) -> None:
        while True:
            try:
                connection = self._opened.enter_context(connect(self._url, **self._options))
            except transport.LOST as error:
                time.sleep(self._reconnecting.next_pause_s(error))
                continue
            self._connection = connection
            self._heard_at = time.monotonic()
            self._reconnecting.begun()
            self._send(self._state.begin())
            return

    def _send(self, requests: Iterable[str]) -> None:
        if self._connection is None:
            return  # all that is subscribed to is asked for when there is a connection again
        try:
            for text in requests:
                self._connection.send(text)
        except transport.LOST as error:
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        self.close()
        self.reconnects += 1
        if not self._reconnecting.is_first:  # no message came since the last attempt
            time.sleep(self._reconnecting.next_pause_s(error))
