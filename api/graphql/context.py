"""What the resolvers of one operation share: the running parts, who asks, and the loaders.

Guarantees: a key is checked when it is first needed and again for each operation, so that one that
was revoked answers nothing more; loaders live as long as one operation and keep nothing longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from api.keys import Caller, key_of
from api.services import Services
from commands.directory.entries import InstrumentEntry
from commands.validation import instrument_of

if TYPE_CHECKING:
    from api.graphql.loaders import Loaders


@dataclass
class Context:
    """Of one HTTP request, or one WebSocket connection."""

    services: Services
    loaders: Loaders
    key_text: str = ""
    request_id: str = ""
    connection: Any = None  # the WebSocket's own things, where it is one
    connection_params: dict[str, Any] | None = None
    _caller: Caller | None = field(default=None, repr=False)
    _scopes: frozenset[str] = frozenset()

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
