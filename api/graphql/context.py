"""What the resolvers of one operation share: the running parts, who asks, and the loaders.

Guarantees: a key is checked when it is first needed and again for each operation, so that one that
was revoked answers nothing more; loaders live as long as one operation and keep nothing longer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from api.keys import Caller, key_of
from api.services import Services
from commands.directory.entries import InstrumentEntry
from commands.validation import instrument_of

if TYPE_CHECKING:
    from api.graphql.live import Live, LiveConnection
    from api.graphql.loaders import Loaders


@dataclass
class Context:
    """Of one operation; `connection` is its WebSocket's, where it came over one."""

    services: Services
    live: Live
    loaders: Loaders
    key_text: str = ""
    request_id: str = ""
    connection: LiveConnection | None = None
    connection_params: dict[str, Any] | None = None
    cost: int = 0
    analytics_turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _caller: Caller | None = field(default=None, repr=False)
    _scopes: frozenset[str] = frozenset()

    def for_operation(self) -> Context:
        """The same for one more operation: nothing that was loaded or checked is taken over."""
        return Context(
            services=self.services,
            live=self.live,
            loaders=self.loaders.anew(),
            key_text=self.key_text,
            request_id=self.request_id,
            connection=self.connection,
        )

    def lengths(self) -> dict[str, int]:
        """How long the lists are that no argument bounds."""
        listed = len(self.services.directory_view.symbols)
        return {"instruments": listed, "positions": listed}

    def caller(self) -> Caller | None:
        """Who asks; None without a key. Raises Problem: 401, or 503 where keys cannot be
        checked."""
        if not self.key_text:
            return None
        if self._caller is None:
            key, account = key_of(self.services.directory_view, self.key_text)
            self._caller = Caller(account, key.key_id)
            self._scopes = key.scopes
        return self._caller

    def scopes(self) -> frozenset[str]:
        """What the key lets do."""
        self.caller()
        return self._scopes

    def instrument(self, symbol: str) -> InstrumentEntry:
        """Raises Refusal (404)."""
        return instrument_of(symbol, self.services.directory_view.symbols)
