"""What the subscriptions of one API process share: who is connected, how many subscriptions there
are, and the exchange's state.

Guarantees: what is counted is given back however a connection or a subscription ends; a connection
whose key was revoked ends within 5 seconds, as does every one with a key while keys cannot be
checked; connections are counted together with those of `/v1/stream`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from api.errors import Problem
from api.graphql.settings import GraphQLSettings
from api.graphql.status_reads import StatusBoard
from api.graphql.status_types import ExchangeStatus
from api.keys import key_of
from api.readiness import Readiness
from api.services import Services
from api.stream.endpoint import Stream
from api.stream.limits import Connections, MessageRate
from api.stream.socket import FrameSocket
from commands.directory.entries import KeyEntry

CHECK_KEYS_S: Final = 0.25
# Close codes of the graphql-transport-ws protocol, and of ours where it has none.
UNAUTHORIZED: Final = 4401
FORBIDDEN: Final = 4403
TOO_MANY: Final = 4429
NO_FRAME: Final = b""


class LiveConnection:
    """One WebSocket: its key, and what is counted of it."""

    def __init__(self, socket: FrameSocket, connections: Connections, address: str) -> None:
        self.socket = socket
        self.address = address
        self.rate = MessageRate(connections.settings.messages_per_s_max)
        self.key: KeyEntry | None = None
        self.subscriptions = 0
        self._connections = connections

    def take_key(self, key: KeyEntry) -> None:
        """The connection is of this key from here on. Raises StreamError where it has too many."""
        assert self.key is None
        self._connections.enter_key(key.key_id)
        self.key = key

    def leave(self) -> None:
        """Give everything back."""
        if self.key is not None:
            self._connections.leave_key(self.key.key_id)
        self._connections.leave(self.address)


class Live:
    """All of one process."""

    def __init__(
        self,
        services: Services,
        readiness: Readiness,
        stream: Stream,
        settings: GraphQLSettings | None = None,
    ) -> None:
        self.settings = settings or GraphQLSettings()
        self.connections = stream.counted
        self._services = services
        self._board = StatusBoard(services, readiness)
        self._stream = stream
        self._open: set[LiveConnection] = set()
        self._by_account: Counter[int] = Counter()
        self._watching: asyncio.Task[None] | None = None

    async def status(self) -> ExchangeStatus:
        """The exchange as this process sees it."""
        streams = self._stream.connection_count - len(self._open)
        subscriptions = sum(each.subscriptions for each in self._open)
        return await self._board.status(streams=streams, subscriptions=subscriptions)

    @property
    def subscription_count(self) -> int:
        """Of all connections."""
        return sum(each.subscriptions for each in self._open)

    @contextlib.contextmanager
    def connected(self, connection: LiveConnection) -> Iterator[None]:
        """A connection is here for as long as this. Its address is counted already."""
        self._open.add(connection)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="GraphQL keys")
        try:
            yield
        finally:
            self._open.discard(connection)
            connection.leave()

    @contextlib.contextmanager
    def subscribed(self, connection: LiveConnection | None) -> Iterator[None]:
        """A subscription is here for as long as this. Raises Problem (429)."""
        if connection is None:
            raise Problem(400, "needs_websocket", "subscribe over graphql-transport-ws")
        settings = self.settings
        account = None if connection.key is None else connection.key.account
        if connection.subscriptions >= settings.subscriptions_max:
            detail = f"at most {settings.subscriptions_max} subscriptions a connection"
            raise Problem(429, "too_many_subscriptions", f"{detail}: end others")
        if account is not None:
            most = settings.subscriptions_per_account_max
            if self._by_account[account] >= most:
                detail = f"at most {most} subscriptions an account: end others"
                raise Problem(429, "too_many_subscriptions", detail)
            self._by_account[account] += 1
        connection.subscriptions += 1
        try:
            yield
        finally:
            connection.subscriptions -= 1
            if account is not None:
                self._by_account[account] -= 1
                if not self._by_account[account]:
                    del self._by_account[account]

    def authenticate(self, connection: LiveConnection, key_text: str) -> None:
        """Give a connection its key. Raises Problem (401, 503), StreamError (too many)."""
        key, _ = key_of(self._services.directory_view, key_text)
        connection.take_key(key)

    async def _watch(self) -> None:
        """Look at keys for as long as there are connections."""
        view = self._services.directory_view
        while self._open:
            await asyncio.sleep(CHECK_KEYS_S)
            for connection in list(self._open):
                if connection.key is None:
                    continue
                if view.stale:
                    connection.socket.cut_off(NO_FRAME, FORBIDDEN, "directory_stale")
                elif view.revoked(connection.key.key_id):
                    connection.socket.cut_off(NO_FRAME, FORBIDDEN, "key_revoked")
