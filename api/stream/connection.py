"""One client of `/v1/stream`: what it asks for, what it is sent, and its end.

Guarantees: requests are answered in the order in which they came; a request is done as a whole or
refused as a whole; a subscription's first message comes after the answer that it is subscribed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec
from starlette.types import Receive

from api.errors import Problem
from api.keys import IMPLIED_BY, key_of
from api.stream import protocol
from api.stream.frames import text_frame
from api.stream.interface import Hub
from api.stream.limits import Connections, MessageRate
from api.stream.protocol import (
    Auth,
    Authenticated,
    ClientMessage,
    ErrorMessage,
    Ping,
    Pong,
    ServerNotice,
    StreamError,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from api.stream.socket import ClientDisconnected, FrameSocket
from commands.directory.entries import AccountEntry, InstrumentEntry, KeyEntry
from commands.directory.view import DirectoryView

SCOPE: Final = "read"
LISTING_WAIT_S: Final = 2.0
LISTING_LOOK_S: Final = 0.02


def notice_frame(notice: ServerNotice) -> bytes:
    """A notice as it is sent."""
    return text_frame(msgspec.json.encode(notice))


def error_frame(
    error: StreamError, *, channel: str | None = None, request_id: str | int | None = None
) -> bytes:
    """A refusal as it is sent."""
    return notice_frame(
        ErrorMessage(error.code, error.detail, error.closes, error.symbol, channel, request_id)
    )


def time_now() -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Connection:
    """One client. `serve` runs for as long as it is there."""

    def __init__(
        self, socket: FrameSocket, view: DirectoryView, hub: Hub, connections: Connections
    ) -> None:
        self.socket = socket
        self._view = view
        self._hub = hub
        self._connections = connections
        self._rate = MessageRate(connections.settings.messages_per_s_max)
        self._subscriber = hub.subscriber()
        self._subscribed: dict[tuple[str, str], InstrumentEntry] = {}
        self.key: KeyEntry | None = None

    async def serve(self, receive: Receive) -> None:
        """Answer requests and send what is subscribed to, until the client goes or is cut off."""
        reading = asyncio.create_task(self._read(receive), name="stream reader")
        sending = asyncio.create_task(self._send(), name="stream sender")
        tasks = {reading, sending}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, StreamError):
                self.cut_off(error)
            elif isinstance(error, Exception) and not isinstance(error, ClientDisconnected):
                raise error

    def take_key(self, text: str) -> AccountEntry:
        """Give the connection a key. Raises StreamError."""
        try:
            key, account = key_of(self._view, text)
        except Problem as problem:
            raise StreamError(problem.reason, problem.detail) from problem
        if self.key is not None and self.key.account != key.account:
            detail = "the connection has a key of another account: open another connection"
            raise StreamError("other_account", detail)
        if self.key is None or self.key.key_id != key.key_id:
            self._connections.enter_key(key.key_id)
            self._leave_key()
        self.key = key
        return account

    def check_key(self) -> None:
        """Cut the connection off where its key is no longer good, or cannot be checked."""
        if self.key is None:
            return
        if self._view.stale:
            detail = "keys cannot be checked now: connect again in some seconds"
            self.cut_off(StreamError("directory_stale", detail, closes=True))
            return
        if self._view.revoked(self.key.key_id):
            detail = "the key was revoked: connect again with another, or without"
            self.cut_off(StreamError("key_revoked", detail, closes=True))

    def cut_off(self, error: StreamError) -> None:
        """End the connection and say why."""
        self.socket.cut_off(error_frame(error), protocol.POLICY, error.code)

    def leave(self) -> None:
        """Give everything back."""
        self._hub.leave(self._subscriber)
        self._leave_key()
        self.key = None

    def _leave_key(self) -> None:
        if self.key is not None:
            self._connections.leave_key(self.key.key_id)

    async def _send(self) -> None:
        while True:
            await self.socket.send_frames(await self._subscriber.next_frames())

    async def _read(self, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            channel: str | None = None
            try:
                if text is None:
                    detail = "send text messages: this one was binary"
                    raise StreamError("binary_message", detail, closes=True)
                self._rate.take()
                request = protocol.decode_request(text)
                channel = getattr(request, "channel", None)
                await self._answer(request)
            except StreamError as error:
                frame = error_frame(
                    error,
                    channel=channel if channel in protocol.CHANNELS else None,
                    request_id=protocol.request_id_in(text or ""),
                )
                if error.closes:
                    self.socket.cut_off(frame, protocol.POLICY, error.code)
                    return
                await self.socket.send_frames([frame])

    async def _answer(self, request: ClientMessage) -> None:
        if isinstance(request, Subscribe):
            await self._subscribe(request)
        elif isinstance(request, Unsubscribe):
            await self._unsubscribe(request)
        elif isinstance(request, Auth):
            account = self.take_key(request.key)
            assert self.key is not None
            scopes = sorted(self.key.scopes)
            await self._say(Authenticated(account.number, self.key.key_id, scopes, request.id))
        else:
            assert isinstance(request, Ping)
            await self._say(Pong(time_now(), request.id))

    async def _say(self, notice: ServerNotice) -> None:
        await self.socket.send_frames([notice_frame(notice)])

    async def _subscribe(self, request: Subscribe) -> None:
        account = self._may_read(request.channel)
        if not request.symbols:
            raise StreamError("no_symbols", "name the symbols; /v1/instruments lists them")
        entries = {symbol: self._instrument(symbol) for symbol in request.symbols}
        since = {
            symbol: protocol.sequence_of(symbol, text) for symbol, text in request.since.items()
        }
        stray = next((symbol for symbol in since if symbol not in entries), None)
        if stray is not None:
            detail = "`since` names a symbol that `symbols` does not"
            raise StreamError("invalid_since", detail, symbol=stray)
        chains = {(request.channel, symbol): entry for symbol, entry in entries.items()}
        most = self._connections.settings.subscriptions_max
        if len(self._subscribed.keys() | chains.keys()) > most:
            detail = f"at most {most} subscriptions a connection: end others, or connect once more"
            raise StreamError("too_many_subscriptions", detail)
        await self._until_known(entries.values())
        await self._say(Subscribed(request.channel, list(entries), request.id))
        for (channel, symbol), entry in chains.items():
            self._subscribed[channel, symbol] = entry
            self._hub.subscribe(self._subscriber, entry, channel, since.get(symbol), account)

    async def _until_known(self, entries: Iterable[InstrumentEntry]) -> None:
        """An instrument may be in the directory a moment before it comes through the log."""
        deadline = time.monotonic() + LISTING_WAIT_S
        for entry in entries:
            while not self._hub.knows(entry):
                if time.monotonic() > deadline:
                    detail = "the books of this instrument are not there yet; try again in a moment"
                    raise StreamError("behind", detail, symbol=entry.symbol)
                await asyncio.sleep(LISTING_LOOK_S)

    async def _unsubscribe(self, request: Unsubscribe) -> None:
        self._known(request.channel)
        chains = self._chains(request.channel, request.symbols)
        for channel, symbol in chains:
            entry = self._subscribed.pop((channel, symbol))
            account = (
                None
                if channel in protocol.PUBLIC_CHANNELS or self.key is None
                else self.key.account
            )
            self._hub.unsubscribe(self._subscriber, entry, channel, account)
        symbols = [symbol for _, symbol in chains]
        await self._say(Unsubscribed(request.channel, symbols, request.id))

    def _chains(self, channel: str, symbols: Iterable[str]) -> list[tuple[str, str]]:
        named = [(channel, symbol) for symbol in dict.fromkeys(symbols)]
        for chain in named:
            if chain not in self._subscribed:
                detail = f"{channel} of this symbol is not subscribed to"
                raise StreamError("not_subscribed", detail, symbol=chain[1])
        return named or [chain for chain in self._subscribed if chain[0] == channel]

    def _account_in(self, channel: str) -> int | None:
        if channel in protocol.PUBLIC_CHANNELS or self.key is None:
            return None
        return self.key.account

    def _known(self, channel: str) -> None:
        if channel not in protocol.CHANNELS:
            detail = f"there is no such channel; there are {', '.join(protocol.CHANNELS)}"
            raise StreamError("unknown_channel", detail)

    def _may_read(self, channel: str) -> int | None:
        """The account whose messages these are, None in a public channel."""
        self._known(channel)
        if channel in protocol.PUBLIC_CHANNELS:
            return None
        if self.key is None:
            detail = f"{channel} needs a key: send auth, or X-API-Key with the handshake"
            raise StreamError("no_key", detail)
        if self.key.scopes.isdisjoint(IMPLIED_BY[SCOPE]):
            raise StreamError("missing_scope", f"this key has not the scope {SCOPE!r}")
        return self.key.account

    def _instrument(self, symbol: str) -> InstrumentEntry:
        entry = self._view.instrument(symbol)
        if entry is not None:
            return entry
        detail = "no such instrument is listed; /v1/instruments lists them"
        capitals = symbol.upper()
        if capitals != symbol and self._view.instrument(capitals) is not None:
            detail = f"symbols are in capitals: {capitals}"
        raise StreamError("unknown_symbol", detail, symbol=symbol)
