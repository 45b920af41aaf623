"""The market as GraphQL shows it: instruments, books, trades, candles. Never an account.

Guarantees: what one `Book` says is of one instant; a value that is not there is null, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence as Listed
from typing import Any

import strawberry
from strawberry.types import Info

from api.graphql.context import Context
from api.graphql.enums import CandleInterval, Side, TradingState
from api.graphql.inputs import bounded
from api.graphql.scalars import (
    LogPosition,
    MatchNumber,
    Money,
    OrderId,
    Price,
    Quantity,
    Sequence,
    Time,
)
from commands.directory.entries import InstrumentEntry
from projections.market_data.past import PastBook
from projections.read_books import BookSnapshot, LastTrade, Top
from projections.read_history import TradeRow
from projections.read_market import POINTS_MAX, CandleRow, DayRow

Ask = Info[Context, None]
LevelRow = tuple[int, int, int]


@strawberry.type(description="One price level.")
class Level:
    """A level, as the API shows it."""

    price: Price = strawberry.field(description="Dollars a share.")
    quantity: Quantity = strawberry.field(description="Shares open at this price.")
    order_count: int = strawberry.field(description="Orders open at this price.")


def level_of(row: LevelRow | None) -> Level | None:
    """(price ticks, quantity, order count) as a Level."""
    return None if row is None else Level(price=row[0], quantity=row[1], order_count=row[2])


def levels_of(rows: Listed[LevelRow]) -> list[Level]:
    """Several."""
    return [Level(price=row[0], quantity=row[1], order_count=row[2]) for row in rows]


@strawberry.type(description="One order of a book, in its place in the queue. Nobody sees whose.")
class RestingOrder:
    """A row of L3."""

    order_id: OrderId = strawberry.field(description="The order's id.")
    side: Side = strawberry.field(description="Its side.")
    price: Price = strawberry.field(description="Dollars a share.")
    quantity: Quantity = strawberry.field(description="Shares still open.")
    own: bool = strawberry.field(description="Whether it is the caller's own; false without a key.")


@strawberry.type(description="One match, without who traded.")
class Trade:
    """A trade, public."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    match_number: MatchNumber = strawberry.field(description="Its number among its shard's.")
    price: Price = strawberry.field(description="Dollars a share.")
    quantity: Quantity = strawberry.field(description="Shares.")
    aggressor_side: Side = strawberry.field(description="The side of the order that arrived.")
    time: Time = strawberry.field(description="The gateway's clock.")
    trading_time: Time | None = strawberry.field(
        description="The exchange's own clock, which moves by ticks; null where it is not known."
    )
    position: LogPosition | None = strawberry.field(
        description="Where in the log it happened; null where it is not known."
    )
    sequence: Sequence | None = strawberry.field(
        description="The book's sequence of it; null where it is not known."
    )


def trade_of(symbol: str, row: TradeRow) -> Trade:
    """A row of the history."""
    return Trade(
        symbol=symbol,
        match_number=row.match_number,
        price=row.price_ticks,
        quantity=row.quantity,
        aggressor_side=Side(row.aggressor_side),
        time=row.executed_at_ns,
        trading_time=row.trading_time_ns or None,
        position=f"{row.shard}-{row.position}",
        sequence=row.book_sequence,
    )


def last_trade_of(symbol: str, last: LastTrade | None) -> Trade | None:
    """The newest match of a book, as Redis has it."""
    if last is None:
        return None
    return Trade(
        symbol=symbol,
        match_number=last.match_number,
        price=last.price_ticks,
        quantity=last.quantity,
        aggressor_side=Side(last.aggressor_side),
        time=last.executed_at_ns,
        trading_time=None,
        position=None,
        sequence=None,
    )


@strawberry.type(
    description="A book at one instant: bids and asks (L2, of which the first is L1), and its "
    "orders one by one (L3). Now, or with `asOf` at any sequence or time of the past."
)
class Book:
    """A book; `bids` and `asks` hold as many levels as were asked for."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    sequence: Sequence = strawberry.field(description="The last event of the book that is in it.")
    position: LogPosition = strawberry.field(description="How far of its shard's log is in it.")
    state: TradingState = strawberry.field(description="What the instrument allowed.")
    bids: list[Level] = strawberry.field(description="Best first, `depth` levels at most.")
    asks: list[Level] = strawberry.field(description="Best first, `depth` levels at most.")
    trading_time: Time | None = strawberry.field(
        description="The exchange's own clock at this instant; null in a book of now."
    )
    is_past: bool = strawberry.field(description="Whether `asOf` was asked for.")
    last: strawberry.Private[LastTrade | None]
    entry: strawberry.Private[InstrumentEntry]
    told: strawberry.Private[PastBook | None]

    @strawberry.field(description="The last trade at or before this instant, null where none is.")
    async def last_trade(self, info: Ask) -> Trade | None:
        """As the book knows it, or the history."""
        if self.told is None:
            return last_trade_of(self.symbol, self.last)
        from api.graphql.past_reads import last_trade_at

        return await last_trade_at(info, self.entry, self.told)

    @strawberry.field(description="The best bid (L1), null where there is none.")
    def best_bid(self) -> Level | None:
        """The first of `bids`."""
        return self.bids[0] if self.bids else None

    @strawberry.field(description="The best ask (L1), null where there is none.")
    def best_ask(self) -> Level | None:
        """The first of `asks`."""
        return self.asks[0] if self.asks else None

    @strawberry.field(description="Best ask less best bid, in dollars; null where one is missing.")
    def spread(self) -> Money | None:
        """In ticks."""
        return self.asks[0].price - self.bids[0].price if self.bids and self.asks else None

    @strawberry.field(
        description="The orders one by one (L3): bids then asks, or one side, each in the order "
        "in which they would trade; `first` of each side, 1,000 at most. Inside a command, those "
        "before it."
    )
    def orders(self, info: Ask, side: Side | None = None, first: int = 100) -> list[RestingOrder]:
        """They came with the book, which was read for that."""
        from api.graphql.past_reads import orders_in

        assert self.told is not None
        return orders_in(info, self.told, side, first)

    @strawberry.field(description="The instrument.")
    def instrument(self) -> Instrument:
        """From the directory."""
        return Instrument.of(self.entry)


@strawberry.type(description="The best bid and ask of one book, and its last trade: L1, now.")
class Quote:
    """A top of book."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    sequence: Sequence = strawberry.field(description="The last event of the book that is in it.")
    position: LogPosition = strawberry.field(description="How far of its shard's log is in it.")
    state: TradingState = strawberry.field(description="What the instrument allows.")
    bid: Level | None = strawberry.field(description="The best bid, null where there is none.")
    ask: Level | None = strawberry.field(description="The best ask, null where there is none.")
    last_trade: Trade | None = strawberry.field(description="Null where none is known.")

    @strawberry.field(description="Ask less bid, in dollars; null where one is missing.")
    def spread(self) -> Money | None:
        """In ticks."""
        return self.ask.price - self.bid.price if self.bid and self.ask else None


def quote_of(symbol: str, top: Top) -> Quote:
    """A top of Redis."""
    return Quote(
        symbol=symbol,
        sequence=top.sequence,
        position=f"{top.shard}-{top.position}",
        state=TradingState(top.state),
        bid=level_of(top.bid),
        ask=level_of(top.ask),
        last_trade=last_trade_of(symbol, top.last_trade),
    )


@strawberry.type(
    description="What traded within one interval. An interval without a trade has no candle."
)
class Candle:
    """OHLCV."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    interval: CandleInterval = strawberry.field(description="How long it is.")
    begins: Time = strawberry.field(description="Its first instant.")
    ends: Time = strawberry.field(description="The first instant after it.")
    open: Price = strawberry.field(description="The first trade's price.")
    high: Price = strawberry.field(description="The highest price.")
    low: Price = strawberry.field(description="The lowest price.")
    close: Price = strawberry.field(description="The last trade's price.")
    volume: Quantity = strawberry.field(description="Shares traded.")
    turnover: Money = strawberry.field(description="Price times shares, summed, in dollars.")
    trade_count: int = strawberry.field(description="Trades.")
    last_match_number: MatchNumber = strawberry.field(description="Of the last trade in it.")
    last_sequence: Sequence | None = strawberry.field(
        description="The book's sequence of the last trade in it; null where it is not known."
    )

    @strawberry.field(description="Volume-weighted average price: turnover / volume.")
    def vwap(self) -> Price:
        """Rounded half up."""
        return mean_ticks(self.turnover, self.volume)


def mean_ticks(turnover: int, volume: int) -> int:
    """turnover / volume, rounded half up to a tick; `volume` is above 0."""
    return (2 * turnover + volume) // (2 * volume)


def candle_of(symbol: str, interval: Any, row: CandleRow) -> Candle:
    """A row of the history."""
    return Candle(
        symbol=symbol,
        interval=interval,
        begins=row.begins_ns,
        ends=row.begins_ns + interval.value * 1_000_000_000,
        open=row.open_ticks,
        high=row.high_ticks,
        low=row.low_ticks,
        close=row.close_ticks,
        volume=row.volume,
        turnover=int(row.turnover),
        trade_count=row.trade_count,
        last_match_number=row.last_match_number,
        last_sequence=row.last_book_sequence,
    )


@strawberry.type(
    description="One instrument's day so far. The day is of UTC; what is compared with is "
    "`previousClose`: the last price before it, else the reference price, else the day's open."
)
class Day:
    """A day's figures; null where nothing traded."""

    begins: Time = strawberry.field(description="Midnight UTC.")
    open: Price | None = strawberry.field(description="The day's first price.")
    high: Price | None = strawberry.field(description="The day's highest price.")
    low: Price | None = strawberry.field(description="The day's lowest price.")
    last: Price | None = strawberry.field(description="The last price, of an earlier day too.")
    previous_close: Price | None = strawberry.field(description="What `change` is from.")
    volume: Quantity = strawberry.field(description="Shares traded.")
    turnover: Money = strawberry.field(description="Price times shares, summed, in dollars.")
    trade_count: int = strawberry.field(description="Trades.")
    last_match_number: MatchNumber | None = strawberry.field(
        description="The last match that is in these figures: who counts on from the stream begins "
        "after it."
    )

    @strawberry.field(description="last - previousClose, in dollars.")
    def change(self) -> Money | None:
        """In ticks."""
        if self.last is None or self.previous_close is None:
            return None
        return self.last - self.previous_close

    @strawberry.field(description="100 × change / previousClose, in percent.")
    def change_percent(self) -> float | None:
        """A float: it is shown, never reckoned with."""
        if self.last is None or not self.previous_close:
            return None
        return round(100 * (self.last - self.previous_close) / self.previous_close, 4)

    @strawberry.field(description="Volume-weighted average price: turnover / volume.")
    def vwap(self) -> Price | None:
        """Rounded half up."""
        return mean_ticks(self.turnover, self.volume) if self.volume else None


def day_of(entry: InstrumentEntry, row: DayRow | None, last: LastTrade | None, begins: int) -> Day:
    """A day of the history; `last` is the book's own last trade, which may be newer."""
    last_ticks = last.price_ticks if last else row.close_ticks if row else None
    if row is None:
        # Nothing traded today: the last price is of a day before.
        return Day(
            begins=begins,
            open=None,
            high=None,
            low=None,
            last=last_ticks,
            previous_close=last_ticks or entry.reference_price or None,
            volume=0,
            turnover=0,
            trade_count=0,
            last_match_number=None,
        )
    return Day(
        begins=begins,
        open=row.open_ticks,
        high=row.high_ticks,
        low=row.low_ticks,
        last=last_ticks,
        previous_close=row.previous_ticks or entry.reference_price or row.open_ticks,
        volume=row.volume,
        turnover=int(row.turnover),
        trade_count=row.trade_count,
        last_match_number=row.last_match_number,
    )


@strawberry.type(description="What can be traded.")
class Instrument:
    """An instrument, with what is known of its market."""

    symbol: str = strawberry.field(description="In capitals, such as AAPL.")
    shard: int = strawberry.field(description="The shard that matches it.")
    tick_size: Price = strawberry.field(description="Prices are multiples of it, in dollars.")
    lot_size: int = strawberry.field(description="Quantities are multiples of it, in shares.")
    price_collar: Price | None = strawberry.field(
        description="How far from the best price a market order may trade, in dollars; null: any."
    )
    reference_price: Price | None = strawberry.field(description="Dollars; null where none is.")
    state: TradingState = strawberry.field(description="What it allows, as the directory says.")
    entry: strawberry.Private[InstrumentEntry]

    @staticmethod
    def of(entry: InstrumentEntry) -> Instrument:
        """An entry of the directory."""
        return Instrument(
            symbol=entry.symbol,
            shard=entry.shard,
            tick_size=entry.tick_size,
            lot_size=entry.lot_size,
            price_collar=entry.price_collar or None,
            reference_price=entry.reference_price or None,
            state=TradingState(entry.state),
            entry=entry,
        )

    @strawberry.field(description="L1, now; null where its book is not there yet.")
    async def quote(self, info: Ask) -> Quote | None:
        """All quotes of one operation are read at once."""
        top = await info.context.loaders.tops.load(self.entry)
        return None if top is None else quote_of(self.symbol, top)

    @strawberry.field(description="The day so far (UTC); a second old at most.")
    async def day(self, info: Ask) -> Day:
        """Shared by all readers."""
        loaders = info.context.loaders
        row = await loaders.days.load(self.entry.number)
        top = await loaders.tops.load(self.entry)
        last = None if top is None else top.last_trade
        return day_of(self.entry, row, last, loaders.market.day_begins_ns)

    @strawberry.field(
        description="Last prices over 24 hours in `points` (2 to 100) slices, oldest first, for a "
        "small chart; empty where nothing traded."
    )
    async def sparkline(self, info: Ask, points: int = 48) -> list[Price]:
        """Shared by all readers."""
        bounded("points", points, POINTS_MAX, least=2)
        return await info.context.loaders.sparkline(self.entry.number, points)


def book_of(entry: InstrumentEntry, book: BookSnapshot) -> Book:
    """A book of Redis."""
    return Book(
        symbol=entry.symbol,
        sequence=book.sequence,
        position=f"{book.shard}-{book.position}",
        state=TradingState(book.state),
        bids=levels_of(book.bids),
        asks=levels_of(book.asks),
        trading_time=None,
        is_past=False,
        last=book.last_trade,
        entry=entry,
        told=None,
    )


@strawberry.type(description="All instruments at a glance, for a watchlist.")
class Market:
    """An overview."""

    instruments: list[Instrument] = strawberry.field(description="In order of listing.")
    day_begins: Time = strawberry.field(description="Since when the day's figures count: UTC.")
    gainers: list[Instrument] = strawberry.field(
        description="Those that rose most today, in percent, best first."
    )
    losers: list[Instrument] = strawberry.field(
        description="Those that fell most today, in percent, worst first."
    )
    most_active: list[Instrument] = strawberry.field(
        description="Those with most turnover today, most first."
    )
    volume: Quantity = strawberry.field(description="Shares traded today in all of them.")
    turnover: Money = strawberry.field(description="Dollars traded today in all of them.")
    trade_count: int = strawberry.field(description="Trades of today in all of them.")


@strawberry.type(description="One change of a level: its new absolute quantity; 0 removes it.")
class LevelChange:
    """A change of L2."""

    sequence: Sequence | None = strawberry.field(
        description="Of the change; null where several came together."
    )
    side: Side = strawberry.field(description="The side.")
    price: Price = strawberry.field(description="Dollars a share.")
    quantity: Quantity = strawberry.field(description="Shares open there now; 0: it is gone.")
    order_count: int = strawberry.field(description="Orders open there now.")


@strawberry.type(
    description="What happened to one resting order: added (to the back of its price's queue), "
    "executed, reduced (keeps its place) or removed."
)
class OrderChange:
    """A change of L3."""

    kind: str = strawberry.field(description="added, executed, reduced or removed.")
    order_id: OrderId = strawberry.field(description="The order's id.")
    side: Side = strawberry.field(description="Its side.")
    price: Price = strawberry.field(description="Dollars a share.")
    quantity: Quantity = strawberry.field(description="Shares open of it afterwards.")
    executed: Quantity = strawberry.field(description="Shares that traded; 0 in other changes.")
    match_number: MatchNumber | None = strawberry.field(description="Of an execution, else null.")


@strawberry.type(
    description="What one command did to one book. Apply `levels` to a book at `previousSequence` "
    "to have the book at `sequence`."
)
class BookStep:
    """One step of playing a book forward."""

    sequence: Sequence = strawberry.field(description="The book's, after it.")
    previous_sequence: Sequence = strawberry.field(description="The book's, before it.")
    position: LogPosition = strawberry.field(description="Where in the log the command lies.")
    command_index: int = strawberry.field(description="Which command of its batch, from 0.")
    time: Time = strawberry.field(description="The gateway's clock.")
    trading_time: Time | None = strawberry.field(
        description="The exchange's own clock; null before its first tick."
    )
    events: list[str] = strawberry.field(
        description="The kinds of the book's events, in order, such as order_accepted."
    )
    levels: list[LevelChange] = strawberry.field(description="Levels that changed, in order.")
    trades: list[Trade] = strawberry.field(description="Executions, in order.")
    orders: list[OrderChange] = strawberry.field(description="Resting orders' changes, in order.")
    state: TradingState | None = strawberry.field(
        description="The trading state, where it changed, else null."
    )


@strawberry.type(description="The steps of one book between two sequences.")
class BookSteps:
    """A range of steps."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    after: Sequence = strawberry.field(description="The sequence that the first step follows.")
    sequence: Sequence = strawberry.field(
        description="The book's after the last step: ask on from here."
    )
    newest: Sequence = strawberry.field(description="The book's sequence now.")
    has_more: bool = strawberry.field(description="Whether there are more steps up to `until`.")
    steps: list[BookStep] = strawberry.field(description="In order.")
