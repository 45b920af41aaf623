"""`crossbook simulate`: the seeded order flow of `cli.simulate_flow`, sent over the public API.

One batch is in flight at a time, and its size depends on the rate alone; so the commands are a
function of the seed and of the exchange's answers. A batch that was not written is sent again, with
the same client order ids.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cli.listings import START_PRICES
from cli.play_commands import BUY
from cli.simulate_flow import Flow, FlowCommand, FlowOutcome, OwnOrder, SimulatedInstrument
from crossbook_client import AsyncCrossbook, BatchResult, Instrument, Order
from crossbook_client.calls import BATCH_COMMANDS_MAX, batch_items

TICKS_PER_DOLLAR = 10_000
BATCHES_PER_SECOND = 20  # more than one command a batch only above this rate
DEFAULT_PRICE_TICKS = 100 * TICKS_PER_DOLLAR
LATENCIES_KEPT = 1_000
PAGE = 1_000


class NothingToSimulateError(Exception):
    """No open instrument was named; the message says which are unknown or closed."""


@dataclass
class Totals:
    """What was sent and what came of it, for the display."""

    started_at: float = field(default_factory=time.monotonic)
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    pending: int = 0
    executed_quantity: int = 0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, result: BatchResult, elapsed_s: float) -> None:
        """Count one answered batch."""
        self.latencies_ms.append(elapsed_s * 1_000)
        for item in result.results:
            self.sent += 1
            self.executed_quantity += item.executed_quantity
            if item.refused:
                self.refused += 1
                reason = item.reason or "unknown"
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
            elif item.outcome == "pending":
                self.pending += 1
            else:
                self.accepted += 1

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started_at

    def latency_ms(self, share: float) -> float:
        """A quantile of the last requests' round trips; 0 before the first."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def batch_size(rate: float) -> int:
    """Commands of one batch at `rate` commands a second."""
    return max(1, min(BATCH_COMMANDS_MAX, round(rate / BATCHES_PER_SECOND)))


async def choose_instruments(
    exchange: AsyncCrossbook, wanted: Sequence[str]
) -> list[SimulatedInstrument]:
    """The instruments to simulate, each about its start price.

    `wanted`: symbols, or one number of symbols; empty is every open one that has a reference price
    or is of the first fifty. Raises NothingToSimulateError.
    """
    listed = {each.symbol: each for each in await exchange.instruments()}
    if len(wanted) == 1 and wanted[0].isdigit():
        chosen = [each for each in listed.values() if _start_price(each)][: int(wanted[0])]
    elif wanted:
        unknown = [symbol for symbol in wanted if symbol not in listed]
        if unknown:
            raise NothingToSimulateError(f"not listed: {', '.join(unknown)}")
        chosen = [listed[symbol] for symbol in wanted]
    else:
        chosen = [each for each in listed.values() if _start_price(each)]
    chosen = [each for each in chosen if each.state == "open"]
    if not chosen:
        raise NothingToSimulateError("no instrument to simulate is open")
    return [await _simulated(exchange, each) for each in chosen]


def _start_price(instrument: Instrument) -> int:
    """The price about which an instrument is simulated, in price ticks; 0 where none is known."""
    if instrument.reference_price:
        return int(instrument.reference_price * TICKS_PER_DOLLAR)
    return START_PRICES.get(instrument.symbol, 0)


async def _simulated(exchange: AsyncCrossbook, instrument: Instrument) -> SimulatedInstrument:
    book = await exchange.book(instrument.symbol, depth=1)
    middle = 0
    if book.bids and book.asks:
        middle = int((book.bids[0].price + book.asks[0].price) * TICKS_PER_DOLLAR / 2)
    start = _start_price(instrument) or middle or DEFAULT_PRICE_TICKS
    tick = int(instrument.tick_size * TICKS_PER_DOLLAR)
    return SimulatedInstrument(instrument.symbol, tick, instrument.lot_size, start, middle)


async def adopt_orders(exchange: AsyncCrossbook, flow: Flow, symbols: set[str]) -> int:
    """Take over the account's open orders of earlier runs; their number."""
    adopted, cursor = 0, None
    while True:
        page = await exchange.orders(state="open", limit=PAGE, cursor=cursor)
        for order in page.orders:
            if order.symbol in symbols and order.client_order_id is not None:
                flow.adopt(order.symbol, own_order(order, order.client_order_id))
                adopted += 1
        cursor = page.next_cursor
        if cursor is None:
            return adopted


def own_order(order: Order, client_order_id: str) -> OwnOrder:
    """An order of the account as the flow keeps it."""
    price = int((order.price or 0) * TICKS_PER_DOLLAR)
    side = order.side if order.side == BUY else "sell"
    return OwnOrder(client_order_id, side, price, order.quantity, order.leaves_quantity)


class Simulation:
    """One run. `say` gets a line where something worth telling happens."""

    def __init__(
        self,
        exchange: AsyncCrossbook,
        *,
        rate: float,
        seed: int,
        run: str,
        symbols: Sequence[str] = (),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        if rate <= 0:
            raise ValueError("a rate is above 0")
        self.totals = Totals()
        self.rate = rate
        self._exchange = exchange
        self._seed = seed
        self._run = run
        self._symbols = symbols
        self._say = say

    async def go(self, duration_s: float | None) -> None:
        """Populate the books, then send at the rate for `duration_s` seconds (None: for ever)."""
        instruments = await choose_instruments(self._exchange, self._symbols)
        flow = Flow(instruments, self._seed, self._run)
        adopted = await adopt_orders(self._exchange, flow, {each.symbol for each in instruments})
        self._say(
            f"{len(instruments)} symbols, {self.rate:g} commands/s, seed {self._seed}, run "
            f"{self._run}" + (f", {adopted} orders of earlier runs" if adopted else "")
        )
        opening = flow.opening()
        for first in range(0, len(opening), BATCH_COMMANDS_MAX):
            await self._send(flow, opening[first : first + BATCH_COMMANDS_MAX])
        self._say(f"books populated with {self.totals.accepted:,} new orders")
        self.totals = Totals()
        await self._stream(flow, duration_s)

    async def _stream(self, flow: Flow, duration_s: float | None) -> None:
        size = batch_size(self.rate)
        interval = size / self.rate
        due = time.monotonic()
        end = None if duration_s is None else due + duration_s
        # Half an interval of grace: sums of fractions must not make one batch more.
        while end is None or due < end - interval / 2:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._send(flow, flow.next_commands(size))
            # What an outage or a slow answer cost is not made up for in a burst.
            due = max(due + interval, time.monotonic() - interval)

    async def _send(self, flow: Flow, commands: list[FlowCommand]) -> None:
        began = time.monotonic()
        result = await self._exchange.run(batch_items([command.body for command in commands]))
        self.totals.add(result, time.monotonic() - began)
        for command, item in zip(commands, result.results, strict=True):
            executed, leaves = item.executed_quantity, item.leaves_quantity
            flow.report(command, FlowOutcome(not item.refused, executed, leaves))
