"""All books of one shard, and what each ITCH message does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from crossbook_client.feed.book import (
    ContradictionError,
    FeedBook,
    FeedTrade,
    RestingOrder,
)
from crossbook_client.feed.messages import (
    BUY,
    AddOrder,
    CrossTrade,
    HiddenTrade,
    Message,
    OrderDeleted,
    OrderExecuted,
    OrderExecutedWithPrice,
    OrderReduced,
    OrderReplaced,
    OtherMessage,
    StockDirectory,
    SystemEvent,
    TradingAction,
)


class ShardBooks:
    """The books of one shard, by stock locate and by symbol.

    `by_symbol` may be shared between shards; a symbol is of one shard. `system_event` is the last
    'S'. With `partial`, messages about orders that were never seen are counted in `unknown_orders`
    and passed over: the books began in the middle, without a snapshot.
    """

    def __init__(
        self, by_symbol: MutableMapping[str, FeedBook] | None = None, *, partial: bool = False
    ) -> None:
        self.by_symbol = {} if by_symbol is None else by_symbol
        self.by_locate: dict[int, FeedBook] = {}
        self.orders: dict[int, RestingOrder] = {}
        self.partial = partial
        self.unknown_orders = 0
        self.system_event = ""
        self.time_ns = 0
        self._appliers: dict[type[Any], Callable[[Any], None]] = {
            SystemEvent: self._system_event,
            StockDirectory: self._stock_directory,
            TradingAction: self._trading_action,
            AddOrder: self._add_order,
            OrderExecuted: self._order_executed,
            OrderExecutedWithPrice: self._order_executed_with_price,
            OrderReduced: self._order_reduced,
            OrderDeleted: self._order_deleted,
            OrderReplaced: self._order_replaced,
            HiddenTrade: self._hidden_trade,
            CrossTrade: self._cross_trade,
            OtherMessage: lambda message: None,
        }

    def apply(self, messages: Iterable[Message]) -> list[str]:
        """Apply messages in order. One that does not fit changes nothing; the answer tells why, in
        a line each: no lines, all applied."""
        appliers = self._appliers
        misfits = []
        for message in messages:
            try:
                appliers[type(message)](message)
            except ContradictionError as error:
                misfits.append(str(error))
        return misfits

    def clear(self) -> None:
        """Forget everything. Books that someone holds become empty."""
        for book in self.by_locate.values():
            self.by_symbol.pop(book.symbol, None)
            book.clear()
        self.by_locate.clear()
        self.orders.clear()
        self.system_event = ""
        self.partial = False

    def become(self, other: ShardBooks) -> None:
        """Take over what `other` holds; books that someone holds stay the same objects, with the
        trades that they saw."""
        for locate, taken in other.by_locate.items():
            held = self.by_symbol.get(taken.symbol)
            if held is None:
                held = taken
            else:
                _take_sides(held, taken)
            other.by_locate[locate] = self.by_symbol[taken.symbol] = held
        for locate, book in self.by_locate.items():
            if locate not in other.by_locate:
                self.by_symbol.pop(book.symbol, None)
        self.by_locate = other.by_locate
        self.orders = other.orders
        self.system_event = other.system_event or self.system_event
        self.time_ns = max(self.time_ns, other.time_ns)
        self.partial = other.partial

    # --- instruments ------------------------------------------------------------------------------

    def _system_event(self, message: SystemEvent) -> None:
        self.system_event = message.event

    def _stock_directory(self, message: StockDirectory) -> None:
        self._book(message.locate, message.symbol).round_lot = message.round_lot

    def _trading_action(self, message: TradingAction) -> None:
        book = self._book(message.locate, message.symbol)
        book.state_code = message.state
        book.reason = message.reason

    def _book(self, locate: int, symbol: str) -> FeedBook:
        book = self.by_locate.get(locate)
        if book is None:
            if symbol in self.by_symbol:
                raise ContradictionError(f"{symbol} is listed already, and now as {locate}")
            book = self.by_locate[locate] = self.by_symbol[symbol] = FeedBook(symbol, locate)
        elif book.symbol != symbol:
            raise ContradictionError(f"instrument {locate} is {book.symbol}, and now {symbol}")
        return book

    # --- orders -----------------------------------------------------------------------------------

    def _add_order(self, message: AddOrder) -> None:
        reference = message.order_reference
        if reference in self.orders:
            raise ContradictionError(f"order {reference} is added twice")
        book = self.by_locate.get(message.locate)
        if book is None or book.symbol != message.symbol:
            book = self._book(message.locate, message.symbol)
        self.time_ns = message.time_ns
        side = book.bid_side if message.side == BUY else book.ask_side
        level = side.levels.get(message.price_ticks) or side.level(message.price_ticks)
        order = RestingOrder(reference, message.quantity, book, side, level)
        self.orders[reference] = level.orders[reference] = order
        level.quantity += message.quantity

    def _order_executed(self, message: OrderExecuted) -> None:
        order = self._open(message.order_reference, message.locate, message.quantity)
        if order is not None:
            self._execute(order, message, order.level.price_ticks)

    def _order_executed_with_price(self, message: OrderExecutedWithPrice) -> None:
        order = self._open(message.order_reference, message.locate, message.quantity)
        if order is None:
            return
        if message.printable:
            self._execute(order, message, message.price_ticks)
        else:
            self._reduce(order, message.quantity)

    def _order_reduced(self, message: OrderReduced) -> None:
        order = self._open(message.order_reference, message.locate, message.quantity)
        if order is not None:
            self._reduce(order, message.quantity)

    def _order_deleted(self, message: OrderDeleted) -> None:
        order = self._open(message.order_reference, message.locate, 0)
        if order is not None:
            self._reduce(order, order.quantity)

    def _order_replaced(self, message: OrderReplaced) -> None:
        reference = message.new_reference
        order = self._open(message.order_reference, message.locate, 0)
        if order is None:
            return
        if reference in self.orders:
            raise ContradictionError(f"order {reference} replaces another and is there already")
        book, side = order.book, order.side
        self._reduce(order, order.quantity)
        level = side.level(message.price_ticks)
        new = RestingOrder(reference, message.quantity, book, side, level)
        self.orders[reference] = level.orders[reference] = new
        level.quantity += message.quantity

    def _open(self, reference: int, locate: int, quantity: int) -> RestingOrder | None:
        """The order, which must have `quantity` open; None where the books are partial and it is
        unknown."""
        order = self.orders.get(reference)
        if order is None:
            if not self.partial:
                raise ContradictionError(f"order {reference} is not there")
            self.unknown_orders += 1
            return None
        if order.book.locate != locate:
            raise ContradictionError(f"order {reference} is of another instrument than {locate}")
        if order.quantity < quantity:
            raise ContradictionError(f"order {reference} has {order.quantity}, not {quantity}")
        return order

    def _reduce(self, order: RestingOrder, quantity: int) -> None:
        level = order.level
        level.quantity -= quantity
        order.quantity -= quantity
        if order.quantity:
            return
        del level.orders[order.order_reference]
        del self.orders[order.order_reference]
        if not level.orders:
            order.side.drop(level)

    # --- trades -----------------------------------------------------------------------------------

    def _execute(
        self, order: RestingOrder, message: OrderExecuted | OrderExecutedWithPrice, price: int
    ) -> None:
        book = order.book
        aggressor = "sell" if order.side is book.bid_side else "buy"
        self.time_ns = message.time_ns
        book.add_trade(
            FeedTrade(message.match_number, price, message.quantity, aggressor, message.time_ns)
        )
        self._reduce(order, message.quantity)

    def _hidden_trade(self, message: HiddenTrade) -> None:
        # `side` is the resting order's; Nasdaq sends B whatever it was, so it tells nothing.
        book = self._book(message.locate, message.symbol)
        self._print(book, message)

    def _cross_trade(self, message: CrossTrade) -> None:
        book = self._book(message.locate, message.symbol)
        if message.quantity and message.price_ticks:
            self._print(book, message)

    def _print(self, book: FeedBook, message: HiddenTrade | CrossTrade) -> None:
        book.add_trade(
            FeedTrade(
                message.match_number, message.price_ticks, message.quantity, "", message.time_ns
            )
        )


def _take_sides(held: FeedBook, taken: FeedBook) -> None:
    """Let `held` have the orders and the state of `taken`."""
    held.locate = taken.locate
    held.round_lot = taken.round_lot
    held.state_code, held.reason = taken.state_code, taken.reason
    held.bid_side, held.ask_side = taken.bid_side, taken.ask_side
    for side in (held.bid_side, held.ask_side):
        for level in side.levels.values():
            for order in level.orders.values():
                order.book = held
