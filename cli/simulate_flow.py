"""A seeded stream of order commands that keeps books alive: what `crossbook simulate` sends.

Zero-intelligence flow about a mean-reverting reference price a symbol: limit orders on both sides
of it, some that cross, market, IOC and FOK orders, cancels and replaces. Guarantees: the commands
are a function of the seed, the symbols and the outcomes reported so far, and of nothing else
(client order ids begin with the run's name besides); each symbol's own open orders stay between
bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from cli.play_commands import BUY, CANCEL, REPLACE, SELL, SUBMIT, price_string, price_ticks_of

OPEN_MIN: Final = 8  # own open orders a side, below which only limit orders are sent
OPEN_MAX: Final = 40  # and above which only cancels
REVERSION: Final = 0.02  # part of the way back to the anchor that a reference goes in one step
STEP_PARTS: Final = 0.0004  # of the price: one standard deviation of a step
GRAIN_PARTS: Final = 0.00005  # of the price: the unit of distances from the reference
OFFSET_MEAN_GRAINS: Final = 4.0
QUANTITIES: Final = (1, 5, 10, 20, 25, 50, 100, 100, 100, 100, 200, 300)
NOTIONAL_TICKS: Final = 500_000_000  # $50,000: dear shares go in smaller numbers

# Upper ends of the ranges of one random number: what to do once both sides are populated.
PASSIVE: Final = 0.46
CROSSING: Final = 0.54
IMMEDIATE: Final = 0.58
MARKET: Final = 0.61
FILL_OR_KILL: Final = 0.625
REPLACED: Final = 0.72


@dataclass(frozen=True, slots=True)
class SimulatedInstrument:
    """What the flow must know of an instrument; prices in 1/10,000 dollar."""

    symbol: str
    tick_size_ticks: int
    lot_size: int
    start_price_ticks: int
    present_price_ticks: int = 0  # where trading is now; 0: at the start price


@dataclass(slots=True)
class OwnOrder:
    """One of the flow's orders that should still rest, as far as its outcomes told."""

    client_order_id: str
    side: str
    price_ticks: int
    total: int
    leaves: int


@dataclass(frozen=True, slots=True)
class FlowCommand:
    """One command; `body` is the item of the API's batch."""

    symbol: str
    op: str
    client_order_id: str
    body: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class FlowOutcome:
    """What the exchange answered: `accepted` with quantities, or refused."""

    accepted: bool
    executed_quantity: int = 0
    leaves_quantity: int = 0


@dataclass
class SymbolState:
    """One symbol's reference price and own open orders by side, oldest first."""

    instrument: SimulatedInstrument
    anchor: float
    reference: float
    open: dict[str, list[OwnOrder]] = field(default_factory=lambda: {BUY: [], SELL: []})

    @property
    def grain(self) -> int:
        """Half a basis point of the price, in whole ticks of the instrument, and at least one."""
        tick = self.instrument.tick_size_ticks
        return max(tick, int(self.reference * GRAIN_PARTS) // tick * tick)


class Flow:
    """The stream: ask for commands, report their outcomes in the same order, ask again."""

    def __init__(self, instruments: Sequence[SimulatedInstrument], seed: int, run: str) -> None:
        if not instruments:
            raise ValueError("no instruments to simulate")
        self._random = Random(seed)
        self._run = run
        self._count = 0
        self._states = {
            each.symbol: SymbolState(
                each, each.start_price_ticks, each.present_price_ticks or each.start_price_ticks
            )
            for each in instruments
        }
        self._symbols = list(self._states)
        # The first symbols trade more than the last, as on any exchange.
        self._weights = [1 / (2 + rank) ** 0.5 for rank in range(len(self._symbols))]
        self._sent: dict[str, OwnOrder] = {}

    def adopt(self, symbol: str, order: OwnOrder) -> None:
        """Take over an order that rests from an earlier run."""
        self._states[symbol].open[order.side].append(order)

    def opening(self) -> list[FlowCommand]:
        """The commands that populate every book as far as adopted orders do not."""
        commands = []
        for row in range(OPEN_MIN):
            for state in self._states.values():
                for side in (BUY, SELL):
                    if len(state.open[side]) + row < OPEN_MIN:
                        commands.append(self._passive(state, side))
        return commands

    def next_commands(self, count: int) -> list[FlowCommand]:
        """The next commands. No two of them are about the same own order."""
        return [self._next() for _ in range(count)]

    def report(self, command: FlowCommand, outcome: FlowOutcome) -> None:
        """Take in what became of a command.

        Must be called once each, in the order of the commands.
        """
        order = self._sent.pop(command.client_order_id, None)
        if order is None:
            return
        orders = self._states[command.symbol].open[order.side]
        if command.op == SUBMIT:
            if outcome.executed_quantity:
                self._consume(command.symbol, order, outcome.executed_quantity)
            if outcome.accepted and outcome.leaves_quantity:
                order.leaves = outcome.leaves_quantity
                orders.append(order)
        elif command.op == REPLACE:
            if outcome.executed_quantity:
                self._consume(command.symbol, order, outcome.executed_quantity)
            if outcome.accepted and outcome.leaves_quantity:
                self._replaced(order, command, outcome)
                orders.append(order)
        # A cancelled order is gone, and one whose cancel or replace was refused had gone before.

    @staticmethod
    def _replaced(order: OwnOrder, command: FlowCommand, outcome: FlowOutcome) -> None:
        price, quantity = command.body.get("price"), command.body.get("quantity")
        if isinstance(price, str):
            order.price_ticks = price_ticks_of(price)
        if isinstance(quantity, int):
            order.total = quantity
        order.leaves = outcome.leaves_quantity

    def open_count(self, symbol: str, side: str) -> int:
        """Own orders that should rest on one side."""
        return len(self._states[symbol].open[side])

    def _next(self) -> FlowCommand:
        chance = self._random
        state = self._states[chance.choices(self._symbols, self._weights)[0]]
        step = chance.gauss(0.0, STEP_PARTS) * state.anchor
        state.reference += REVERSION * (state.anchor - state.reference) + step
        side = BUY if chance.random() < 0.5 else SELL
        count = len(state.open[side])
        roll = chance.random()
        if count < OPEN_MIN:
            return self._passive(state, side)
        if count > OPEN_MAX:
            return self._cancel(state, side)
        if roll < PASSIVE:
            return self._passive(state, side)
        if roll < FILL_OR_KILL:
            return self._aggressive(state, side, roll)
        if roll < REPLACED:
            return self._replace(state, side)
        return self._cancel(state, side)

    def _passive(self, state: SymbolState, side: str) -> FlowCommand:
        return self._submit(state, side, "limit", "gtc", self._passive_price(state, side))

    def _aggressive(self, state: SymbolState, side: str, roll: float) -> FlowCommand:
        if IMMEDIATE <= roll < MARKET:
            return self._submit(state, side, "market", "ioc", 0)
        reach = self._random.randrange(1, 4) * state.grain
        price = self._on_tick(state, state.reference + (reach if side == BUY else -reach))
        if roll < CROSSING:
            return self._submit(state, side, "limit", "day", price)
        return self._submit(state, side, "limit", "ioc" if roll < IMMEDIATE else "fok", price)

    def _submit(
        self, state: SymbolState, side: str, order_type: str, time_in_force: str, price: int
    ) -> FlowCommand:
        self._count += 1
        name = f"{self._run}-{self._count:x}"
        quantity = self._quantity(state)
        body: dict[str, str | int] = {
            "op": SUBMIT,
            "symbol": state.instrument.symbol,
            "side": side,
            "type": order_type,
            "quantity": quantity,
            "time_in_force": time_in_force,
            "client_order_id": name,
        }
        if price:
            body["price"] = price_string(price)
        self._sent[name] = OwnOrder(name, side, price, quantity, quantity)
        return FlowCommand(state.instrument.symbol, SUBMIT, name, body)

    def _cancel(self, state: SymbolState, side: str) -> FlowCommand:
        order = self._take(state, side)
        symbol, name = state.instrument.symbol, order.client_order_id
        body: dict[str, str | int] = {"op": CANCEL, "symbol": symbol, "client_order_id": name}
        return FlowCommand(symbol, CANCEL, name, body)

    def _replace(self, state: SymbolState, side: str) -> FlowCommand:
        order = self._take(state, side)
        symbol, name = state.instrument.symbol, order.client_order_id
        body: dict[str, str | int] = {"op": REPLACE, "symbol": symbol, "client_order_id": name}
        lot = state.instrument.lot_size
        if self._random.random() < 0.5 and order.leaves >= 2 * lot:
            body["quantity"] = order.total - order.leaves // 2 // lot * lot  # keeps its place
        else:
            body["price"] = price_string(self._passive_price(state, side))
        return FlowCommand(symbol, REPLACE, name, body)

    def _take(self, state: SymbolState, side: str) -> OwnOrder:
        """Choose of two own orders the one farther from the reference, and put it on its way."""
        orders = state.open[side]
        first, second = self._random.randrange(len(orders)), self._random.randrange(len(orders))
        far = max(first, second, key=lambda at: abs(orders[at].price_ticks - state.reference))
        order = orders.pop(far)
        self._sent[order.client_order_id] = order
        return order

    def _consume(self, symbol: str, aggressor: OwnOrder, executed: int) -> None:
        """Take what traded off own orders of the other side, best first:

        most counterparties are own.
        """
        sign = -1 if aggressor.side == SELL else 1
        orders = self._states[symbol].open[SELL if aggressor.side == BUY else BUY]
        for order in sorted(orders, key=lambda each: sign * each.price_ticks):
            taken = min(executed, order.leaves)
            order.leaves -= taken
            executed -= taken
            if executed == 0:
                break
        orders[:] = [order for order in orders if order.leaves]

    def _passive_price(self, state: SymbolState, side: str) -> int:
        mean = OFFSET_MEAN_GRAINS
        offset = (1 + int(self._random.expovariate(1 / mean))) * state.grain
        return self._on_tick(state, state.reference + (-offset if side == BUY else offset))

    def _on_tick(self, state: SymbolState, price: float) -> int:
        tick = state.instrument.tick_size_ticks
        return max(tick, round(price) // tick * tick)

    def _quantity(self, state: SymbolState) -> int:
        lot = state.instrument.lot_size
        most = max(1, int(NOTIONAL_TICKS / state.reference) // lot)
        return min(most, self._random.choice(QUANTITIES)) * lot
