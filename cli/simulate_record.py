"""`crossbook simulate --record`: the simulated flow as a pair of files in LOBSTER's format.

Guarantees: the files are a function of seed, rate and duration; played through the exchange, every
message finds the order that it names first in its queue, so the book comes out the same.

The flow trades in an engine of its own (`cli.offline_market`). What LOBSTER has no message for is
told with those it has: a replace that loses its place is a delete and a new order under a new id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cli.offline_market import OfflineMarket, accepted
from cli.play_books import LevelBook
from cli.play_commands import BUY, SELL, TopOfBook
from cli.play_lobster import DELETE, EMPTY_PRICE_TICKS, EXECUTED, NEW, PARTIAL_CANCEL
from cli.simulate_flow import Flow, FlowCommand, FlowOutcome, SimulatedInstrument
from domain.events import Event, OrderAccepted, OrderCancelled, OrderExecuted, OrderReplaced

SYMBOL: Final = "XBOK"
TICK_SIZE_TICKS: Final = 100
START_PRICE_TICKS: Final = 100 * 10_000
OPEN_AT_NS: Final = 34_200 * 10**9  # 09:30
MESSAGE_GAP_NS: Final = 1_000  # between the messages of one command
SIDES: Final = (BUY, SELL)

# Type, order id, quantity, price ticks, side of the resting order.
Row: TypeAlias = tuple[int, int, int, int, str]


@dataclass
class RestingOrder:
    """What the file has told of an order so far."""

    name: int
    side: str
    price_ticks: int
    leaves: int


class Recorder:
    """Turns the engine's events into LOBSTER messages, and keeps the book that they make."""

    def __init__(self) -> None:
        self.book = LevelBook()
        self._orders: dict[int, RestingOrder] = {}
        self._last_name = 0

    def rows(self, events: list[Event]) -> Iterator[tuple[Row, TopOfBook]]:
        """The messages of one command's events, each with the top of book after it."""
        arriving: tuple[int, str, int, int] | None = None
        for event in events:
            if isinstance(event, OrderAccepted):
                rests = event.time_in_force < 2  # DAY or GTC
                side = SIDES[event.side]
                if rests:
                    arriving = (event.order_id, side, event.price_ticks, event.quantity)
            elif isinstance(event, OrderExecuted):
                yield self._take(EXECUTED, event.resting_order_id, event.quantity)
                if arriving is not None:
                    arriving = (*arriving[:3], event.aggressor_leaves)
            elif isinstance(event, OrderReplaced):
                order = self._orders[event.order_id]
                if event.kept_priority:
                    if event.leaves_quantity < order.leaves:
                        taken = order.leaves - event.leaves_quantity
                        yield self._take(PARTIAL_CANCEL, event.order_id, taken)
                    continue
                yield self._take(DELETE, event.order_id, order.leaves)
                arriving = (event.order_id, order.side, event.price_ticks, event.leaves_quantity)
            elif isinstance(event, OrderCancelled) and event.order_id in self._orders:
                yield self._take(DELETE, event.order_id, event.quantity)
        if arriving is not None and arriving[3]:
            yield self._rest(*arriving)

    def _rest(self, order_id: int, side: str, price: int, leaves: int) -> tuple[Row, TopOfBook]:
        self._last_name += 1
        self._orders[order_id] = RestingOrder(self._last_name, side, price, leaves)
        self.book.add(side, price, leaves)
        return (NEW, self._last_name, leaves, price, side), self.book.top()

    def _take(self, kind: int, order_id: int, quantity: int) -> tuple[Row, TopOfBook]:
        order = self._orders[order_id]
        order.leaves -= quantity
        assert order.leaves >= 0, order
        self.book.add(order.side, order.price_ticks, -quantity)
        if order.leaves == 0:
            del self._orders[order_id]
        return (kind, order.name, quantity, order.price_ticks, order.side), self.book.top()


def recorded(*, rate: float, duration_s: float, seed: int) -> Iterator[tuple[int, Row, TopOfBook]]:
    """Time in nanoseconds, message and top of book after it, of the whole flow."""
    market = OfflineMarket({SYMBOL: TICK_SIZE_TICKS})
    instrument = SimulatedInstrument(SYMBOL, TICK_SIZE_TICKS, 1, START_PRICE_TICKS)
    flow = Flow([instrument], seed, "r")
    recorder = Recorder()
    opening = flow.opening()
    for number in range(len(opening) + int(rate * duration_s)):
        command = opening[number] if number < len(opening) else flow.next_commands(1)[0]
        time_ns = OPEN_AT_NS + number * 10**9 // max(1, round(rate))
        _trade(flow, market, command)
        for row, top in recorder.rows(market.events):
            yield time_ns, row, top
            time_ns += MESSAGE_GAP_NS


def _trade(flow: Flow, market: OfflineMarket, command: FlowCommand) -> None:
    (outcome,) = market.send([command.body])
    executed, leaves = outcome.executed_quantity, outcome.leaves_quantity
    flow.report(command, FlowOutcome(accepted(outcome), executed, leaves))


def record(prefix: Path, *, rate: float, duration_s: float, seed: int) -> tuple[Path, Path, int]:
    """Write both files; their paths and the number of messages. Raises OSError."""
    messages = prefix.with_name(f"{prefix.name}_message_1.csv")
    orderbook = prefix.with_name(f"{prefix.name}_orderbook_1.csv")
    count = 0
    with messages.open("w") as out, orderbook.open("w") as books:
        for time_ns, row, top in recorded(rate=rate, duration_s=duration_s, seed=seed):
            kind, name, quantity, price, side = row
            seconds = f"{time_ns // 10**9}.{time_ns % 10**9:09d}"
            out.write(f"{seconds},{kind},{name},{quantity},{price},{1 if side == BUY else -1}\n")
            books.write(orderbook_row(top) + "\n")
            count += 1
    return messages, orderbook, count


def orderbook_row(top: TopOfBook) -> str:
    """A state as LOBSTER writes it: an empty side has a price no order can have."""
    ask, ask_quantity, bid, bid_quantity = top
    shown_ask = ask if ask_quantity else EMPTY_PRICE_TICKS
    shown_bid = bid if bid_quantity else -EMPTY_PRICE_TICKS
    return f"{shown_ask},{ask_quantity},{shown_bid},{bid_quantity}"
