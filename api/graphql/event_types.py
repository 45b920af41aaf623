"""What subscriptions send. Each chain (one channel of one symbol) begins with what is now, and goes
on with what happens, without a gap: `previousSequence` is the `sequence` of the message before.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, TypeAlias

import strawberry

from api.graphql.account_types import Execution
from api.graphql.enums import TradingState
from api.graphql.market_types import Candle, Level, Trade
from api.graphql.scalars import Checksum, Money, Sequence


@strawberry.enum(
    description="Why everything comes anew: TOO_OLD, AHEAD: what follows `since` is not there any "
    "more, or not yet; CONFLATED: the client was too slow for what came between."
)
class Resync(Enum):
    """Why a chain begins anew."""

    TOO_OLD = "too_old"
    AHEAD = "ahead"
    CONFLATED = "conflated"


@strawberry.input(description="Go on after the last message of a symbol that you have.")
class Since:
    """Where to resume."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    sequence: Sequence = strawberry.field(description="The last message's sequence.")


@strawberry.type(
    description="A whole book: the first message of `bookDeltas`, and any later one that takes the "
    "place of everything before it (`resync`)."
)
class BookSnapshot:
    """Every level."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    sequence: Sequence = strawberry.field(description="The book's.")
    resync: Resync | None = strawberry.field(description="Null in a first message that was asked.")
    state: TradingState = strawberry.field(description="What the instrument allows.")
    bids: list[Level] = strawberry.field(description="Every level, best first.")
    asks: list[Level] = strawberry.field(description="Every level, best first.")
    # Null never, but of one type with a delta's, so that a query may name both alike.
    checksum: Checksum | None = strawberry.field(description="Of the book.")


@strawberry.type(
    description="What changed: set each level that it names to its quantity, or remove it where "
    "that is 0. `previousSequence` must be the sequence of the message before: else subscribe anew."
)
class BookDelta:
    """New absolute quantities."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    sequence: Sequence = strawberry.field(description="The book's, after it.")
    previous_sequence: Sequence = strawberry.field(description="Of the message before.")
    bids: list[Level] = strawberry.field(description="Changed levels; quantity 0: gone.")
    asks: list[Level] = strawberry.field(description="Changed levels; quantity 0: gone.")
    checksum: Checksum | None = strawberry.field(description="Of the book after it, now and then.")


BookUpdate: TypeAlias = Annotated[
    BookSnapshot | BookDelta,
    strawberry.union("BookUpdate", description="A message of `bookDeltas`."),
]


@strawberry.type(description="A message of `trades`.")
class TradeEvent:
    """A trade, or where the chain begins."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    sequence: Sequence = strawberry.field(description="The book's.")
    previous_sequence: Sequence | None = strawberry.field(
        description="Of the message before; null in one that begins the chain."
    )
    resync: Resync | None = strawberry.field(description="Why the chain begins anew, if it does.")
    trade: Trade | None = strawberry.field(
        description="The trade; in a message that begins the chain the last one, or null."
    )


@strawberry.type(description="A message of `quotes`: the best bid and ask, whenever one changes.")
class QuoteEvent:
    """L1."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    sequence: Sequence = strawberry.field(description="The book's.")
    previous_sequence: Sequence | None = strawberry.field(
        description="Of the message before; null in one that begins the chain."
    )
    resync: Resync | None = strawberry.field(description="Why the chain begins anew, if it does.")
    bid: Level | None = strawberry.field(description="The best bid, null where there is none.")
    ask: Level | None = strawberry.field(description="The best ask, null where there is none.")

    @strawberry.field(description="Ask less bid, in dollars; null where one is missing.")
    def spread(self) -> Money | None:
        """In ticks."""
        return self.ask.price - self.bid.price if self.bid and self.ask else None


@strawberry.type(description="A message of `candles`: the newest candle as it is now.")
class CandleEvent:
    """A candle."""

    complete: bool = strawberry.field(
        description="Whether a later candle has begun, so that this one changes no more."
    )
    candle: Candle = strawberry.field(description="The candle.")


@strawberry.type(description="A message of `executions`: one of the account's own.")
class ExecutionEvent:
    """An execution, or where the chain begins."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    sequence: Sequence = strawberry.field(description="The book's.")
    previous_sequence: Sequence | None = strawberry.field(
        description="Of the message before; null in one that begins the chain."
    )
    resync: Resync | None = strawberry.field(description="Why the chain begins anew, if it does.")
    execution: Execution | None = strawberry.field(
        description="The execution; null in a message that begins the chain."
    )


@strawberry.type(description="A message of `tradingStates`.")
class TradingStateEvent:
    """A state."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    sequence: Sequence = strawberry.field(description="The book's.")
    previous_sequence: Sequence | None = strawberry.field(
        description="Of the message before; null in one that begins the chain."
    )
    resync: Resync | None = strawberry.field(description="Why the chain begins anew, if it does.")
    state: TradingState = strawberry.field(description="What the instrument allows now.")
