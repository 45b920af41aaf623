"""The root of all subscriptions, over `graphql-transport-ws` alone.

Guarantees: what is sent is what `/v1/stream` sends, from the same ring; a subscription's first
message is what is now, or goes on where `since` says.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import strawberry

from api.graphql.candle_feed import candle_events
from api.graphql.enums import CandleInterval
from api.graphql.errors import refused
from api.graphql.event_types import (
    BookUpdate,
    CandleEvent,
    ExecutionEvent,
    QuoteEvent,
    Since,
    TradeEvent,
    TradingStateEvent,
)
from api.graphql.feeds import events_of
from api.graphql.market_reads import entries_named
from api.graphql.market_types import Ask
from api.graphql.permissions import needs_read
from api.graphql.scalars import Sequence
from api.graphql.status_feed import statuses
from api.graphql.status_types import ExchangeStatus
from api.stream.protocol import EXECUTIONS, LEVEL1, LEVEL2, STATUS, TRADES


@strawberry.type(description="All that is told as it happens.")
class Subscription:
    """The root."""

    @strawberry.subscription(
        description="A book: a BookSnapshot, then a BookDelta whenever levels change. With `since` "
        "what came after that sequence, where it is still known, else a BookSnapshot with `resync`."
    )
    async def book_deltas(
        self, info: Ask, symbol: str, since: Sequence | None = None
    ) -> AsyncGenerator[BookUpdate, None]:
        """One book."""
        after = None if since is None else {symbol: since}
        async for event in events_of(info, [info.context.instrument(symbol)], LEVEL2, since=after):
            yield event

    @strawberry.subscription(description="Trades of these instruments, each.")
    async def trades(
        self, info: Ask, symbols: list[str], since: list[Since] | None = None
    ) -> AsyncGenerator[TradeEvent, None]:
        """Public."""
        entries = entries_named(info, symbols)
        async for event in events_of(info, entries, TRADES, since=_since(symbols, since)):
            yield event

    @strawberry.subscription(
        description="The best bid and ask of these instruments, whenever one changes."
    )
    async def quotes(
        self, info: Ask, symbols: list[str], since: list[Since] | None = None
    ) -> AsyncGenerator[QuoteEvent, None]:
        """Public."""
        entries = entries_named(info, symbols)
        async for event in events_of(info, entries, LEVEL1, since=_since(symbols, since)):
            yield event

    @strawberry.subscription(description="Trading states of these instruments, each change.")
    async def trading_states(
        self, info: Ask, symbols: list[str], since: list[Since] | None = None
    ) -> AsyncGenerator[TradingStateEvent, None]:
        """Public."""
        entries = entries_named(info, symbols)
        async for event in events_of(info, entries, STATUS, since=_since(symbols, since)):
            yield event

    @strawberry.subscription(
        description="The newest candle of an instrument: as it is now, then with each trade."
    )
    async def candles(
        self, info: Ask, symbol: str, interval: CandleInterval = CandleInterval.M1
    ) -> AsyncGenerator[CandleEvent, None]:
        """Public."""
        async for event in candle_events(info, info.context.instrument(symbol), interval):
            yield event

    @strawberry.subscription(
        extensions=needs_read(),
        description="The caller's own executions, in these instruments or in all that are listed "
        "now. Each symbol's first message has no execution: it says where the chain begins.",
    )
    async def executions(
        self, info: Ask, symbols: list[str] | None = None, since: list[Since] | None = None
    ) -> AsyncGenerator[ExecutionEvent, None]:
        """Private."""
        caller = info.context.caller()
        assert caller is not None
        entries = entries_named(info, symbols)
        after = _since([entry.symbol for entry in entries], since)
        account = caller.account.number
        async for event in events_of(info, entries, EXECUTIONS, since=after, account=account):
            yield event

    @strawberry.subscription(
        description="How the exchange is, every `everyMs` (250 to 60,000) milliseconds."
    )
    async def status(
        self, info: Ask, every_ms: int = 1_000
    ) -> AsyncGenerator[ExchangeStatus, None]:
        """Public."""
        async for event in statuses(info, every_ms):
            yield event


def _since(symbols: list[str], since: list[Since] | None) -> dict[str, int]:
    """By symbol. Raises GraphQLError."""
    found = {each.symbol: each.sequence for each in since or ()}
    stray = next((symbol for symbol in found if symbol not in set(symbols)), None)
    if stray is not None:
        detail = f"`since` names {stray[:16]}, which `symbols` does not"
        raise refused("invalid_since", detail, status=400)
    return found
