"""What a client of the stream knows, without any sending or waiting: its subscriptions, how far
each one's chain came, and the books kept from them.

Guarantees: a message that does not continue its chain is never handed out; the subscription is
begun anew instead, with a snapshot. After a lost connection every subscription goes on where it
was: nothing is missed and nothing comes twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from crossbook_client.errors import CrossbookError
from crossbook_client.stream_book import BrokenChainError, LiveBook

SYMBOLS_A_REQUEST_MAX = 500
NOT_MESSAGES = frozenset({"subscribed", "unsubscribed", "authenticated", "pong", "heartbeat"})
# After these the same request would be refused again, so there is no point in connecting again.
FINAL_CODES = frozenset({"invalid_key", "key_revoked", "missing_scope", "no_key"})

Chain: TypeAlias = tuple[str, str]


class StreamRefusedError(CrossbookError):
    """The exchange refused a request of the stream, or ended it for a reason that stays.

    `code` is the stable code (docs/stream.md); `channel` and `symbol` are there where it is about
    one."""

    def __init__(
        self, code: str, detail: str, channel: str | None = None, symbol: str | None = None
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.channel = channel
        self.symbol = symbol


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """One message. `fields` is all of it, as docs/stream.md describes it for its channel."""

    type: str
    channel: str
    symbol: str
    sequence: int
    previous_sequence: int | None
    fields: Mapping[str, Any]

    @property
    def conflated(self) -> bool:
        """Whether this snapshot stands for messages that this client was too slow for."""
        return bool(self.fields.get("conflated"))


class StreamState:
    """Subscriptions, chains and books. `resyncs` counts the chains that had to begin anew."""

    def __init__(self) -> None:
        self.books: dict[str, LiveBook] = {}
        self.resyncs = 0
        self.ended_by = ""  # the code of the error that ended the connection, if one did
        self._reached: dict[Chain, int | None] = {}
        self._awaits_snapshot: set[Chain] = set()
        self._requests: dict[int, tuple[str, tuple[str, ...]]] = {}
        self._last_id = 0

    def subscribe(
        self, channel: str, symbols: Iterable[str], since: Mapping[str, int]
    ) -> list[str]:
        """The requests to send."""
        names = list(symbols)
        for symbol in names:
            self._reached[channel, symbol] = since.get(symbol)
        return self._subscribing(channel, names)

    def unsubscribe(self, channel: str, symbols: Iterable[str]) -> list[str]:
        """The requests to send."""
        names = list(symbols) or [name for place, name in self._reached if place == channel]
        for symbol in names:
            self._forget(channel, symbol)
        return [self._request("unsubscribe", channel, part) for part in _parts(names)]

    def begin(self) -> list[str]:
        """A connection begins: the requests that go on with everything subscribed to."""
        self.ended_by = ""
        self._requests.clear()
        self._awaits_snapshot.clear()
        channels: dict[str, list[str]] = {}
        for channel, symbol in self._reached:
            channels.setdefault(channel, []).append(symbol)
        return [text for item in channels.items() for text in self._subscribing(*item)]

    def receive(self, text: str | bytes) -> tuple[StreamMessage | None, list[str]]:
        """Take one message: what to hand out, and what to send. Raises StreamRefusedError."""
        fields: dict[str, Any] = msgspec.json.decode(text)
        kind = fields["type"]
        if kind in NOT_MESSAGES:
            self._requests.pop(fields.get("id") or 0, None)
            return None, []
        if kind == "error":
            self._refused(fields)
            return None, []
        if kind == "serverShutdown":
            self.ended_by = kind
            return None, []
        return self._chained(fields)

    def _chained(self, fields: dict[str, Any]) -> tuple[StreamMessage | None, list[str]]:
        chain = fields["channel"], fields["symbol"]
        if chain not in self._reached:
            return None, []  # was under way when it was unsubscribed
        is_snapshot = fields["type"] == "snapshot"
        if chain in self._awaits_snapshot and not is_snapshot:
            return None, []
        try:
            self._follow(chain, fields, is_snapshot)
        except BrokenChainError:
            self.resyncs += 1
            self._reached[chain] = None
            requests = self._subscribing(chain[0], [chain[1]])
            self._awaits_snapshot.add(chain)
            return None, requests
        sequence, previous = int(fields["sequence"]), fields.get("previous_sequence")
        self._reached[chain] = sequence
        return StreamMessage(
            fields["type"], *chain, sequence, None if previous is None else int(previous), fields
        ), []

    def _follow(self, chain: Chain, fields: dict[str, Any], is_snapshot: bool) -> None:
        channel, symbol = chain
        if is_snapshot:
            self._awaits_snapshot.discard(chain)
            if channel == "level2":
                self.books.setdefault(symbol, LiveBook(symbol)).take_snapshot(fields)
            return
        if int(fields["previous_sequence"]) != self._reached[chain]:
            raise BrokenChainError
        if channel == "level2":
            book = self.books.get(symbol)
            if book is None:  # resumed with `since`, without the book that belongs to it
                raise BrokenChainError
            book.take_delta(fields)

    def _refused(self, fields: dict[str, Any]) -> None:
        channel, symbols = self._requests.pop(fields.get("id") or 0, (None, ()))
        for symbol in symbols if channel is not None else ():
            self._forget(str(channel), symbol)
        code = fields["code"]
        if fields.get("closes") and code not in FINAL_CODES:
            self.ended_by = code
            return
        raise StreamRefusedError(
            code, fields["detail"], fields.get("channel") or channel, fields.get("symbol")
        )

    def _forget(self, channel: str, symbol: str) -> None:
        self._reached.pop((channel, symbol), None)
        self._awaits_snapshot.discard((channel, symbol))
        if channel == "level2":
            self.books.pop(symbol, None)

    def _subscribing(self, channel: str, symbols: list[str]) -> list[str]:
        return [self._request("subscribe", channel, part) for part in _parts(symbols)]

    def _request(self, op: str, channel: str, symbols: tuple[str, ...]) -> str:
        self._last_id += 1
        request: dict[str, Any] = {"op": op, "id": self._last_id, "channel": channel}
        request["symbols"] = symbols
        if op == "subscribe":
            self._requests[self._last_id] = channel, symbols
            reached = {symbol: self._reached[channel, symbol] for symbol in symbols}
            since = {symbol: str(at) for symbol, at in reached.items() if at is not None}
            if since:
                request["since"] = since
        return msgspec.json.encode(request).decode()


def _parts(symbols: list[str]) -> list[tuple[str, ...]]:
    step = SYMBOLS_A_REQUEST_MAX
    return [tuple(symbols[at : at + step]) for at in range(0, len(symbols), step)]
