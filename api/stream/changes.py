"""What one event batch did to the instruments that somebody watches, in the words of the stream's
channels.

Guarantees: levels are absolute and those of the batch's end; what happens to orders is told of
resting orders only, in order: one that never rests is never named."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from domain.codes import FOK_NOT_FILLABLE, GTC, IOC_REMAINDER, NO_LIQUIDITY
from domain.events import (
    Event,
    LevelChanged,
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderExpired,
    OrderReplaced,
    TradingStateChanged,
)

ADDED: Final = "added"
EXECUTED: Final = "executed"
REDUCED: Final = "reduced"
REMOVED: Final = "removed"
NEVER_RESTED: Final = frozenset({IOC_REMAINDER, FOK_NOT_FILLABLE, NO_LIQUIDITY})


class Trade(NamedTuple):
    """One execution, without who traded."""

    sequence: int
    match_number: int
    price_ticks: int
    quantity: int
    aggressor_side: int
    executed_at_ns: int


class Execution(NamedTuple):
    """One execution, as one of the two accounts sees it."""

    sequence: int
    account: int
    order_id: int
    side: int
    price_ticks: int
    quantity: int
    leaves: int
    match_number: int
    is_maker: bool
    executed_at_ns: int


class OrderStep(NamedTuple):
    """What happened to one resting order. `leaves` is what is open of it afterwards."""

    event: str
    order_id: int
    side: int
    price_ticks: int
    leaves: int
    executed: int = 0
    match_number: int = 0


@dataclass
class _Arriving:
    """The order that a command brought, until it rests or is gone."""

    order_id: int
    side: int
    price_ticks: int
    leaves: int


@dataclass
class Changes:
    """What a batch did to one instrument."""

    levels: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    steps: list[OrderStep] = field(default_factory=list)
    states: list[tuple[int, int]] = field(default_factory=list)  # (sequence, state)
    executions: list[Execution] = field(default_factory=list)
    _arriving: _Arriving | None = None

    def settle(self) -> None:
        """The command is over: what is left of the order that it brought rests."""
        arriving, self._arriving = self._arriving, None
        if arriving is not None and arriving.leaves > 0:
            self.steps.append(
                OrderStep(
                    ADDED,
                    arriving.order_id,
                    arriving.side,
                    arriving.price_ticks,
                    arriving.leaves,
                )
            )

    def accepted(self, event: OrderAccepted) -> None:
        """A new order; it may rest where its time in force lets it."""
        self.settle()
        if event.time_in_force <= GTC:
            self._arriving = _Arriving(
                event.order_id, event.side, event.price_ticks, event.quantity
            )

    def replaced(self, event: OrderReplaced) -> None:
        """A resting order changed: in its place, or it gave that up."""
        self.settle()
        order = (event.order_id, event.side)
        if event.kept_priority:
            self.steps.append(OrderStep(REDUCED, *order, event.price_ticks, event.leaves_quantity))
            return
        self.steps.append(OrderStep(REMOVED, *order, event.previous_price_ticks, 0))
        self._arriving = _Arriving(*order, event.price_ticks, event.leaves_quantity)

    def executed(self, event: OrderExecuted, executed_at_ns: int) -> None:
        """Two orders traded."""
        side = event.aggressor_side
        self.trades.append(
            Trade(
                event.book_sequence,
                event.match_number,
                event.price_ticks,
                event.quantity,
                side,
                executed_at_ns,
            )
        )
        self.steps.append(
            OrderStep(
                EXECUTED,
                event.resting_order_id,
                1 - side,
                event.price_ticks,
                event.resting_leaves,
                event.quantity,
                event.match_number,
            )
        )
        if self._arriving is not None:
            self._arriving.leaves = event.aggressor_leaves
        self._done(event, executed_at_ns, is_maker=False)
        self._done(event, executed_at_ns, is_maker=True)

    def _done(self, event: OrderExecuted, executed_at_ns: int, *, is_maker: bool) -> None:
        self.executions.append(
            Execution(
                event.book_sequence,
                event.resting_account if is_maker else event.aggressor_account,
                event.resting_order_id if is_maker else event.aggressor_order_id,
                1 - event.aggressor_side if is_maker else event.aggressor_side,
                event.price_ticks,
                event.quantity,
                event.resting_leaves if is_maker else event.aggressor_leaves,
                event.match_number,
                is_maker,
                executed_at_ns,
            )
        )

    def ended(self, event: OrderCancelled | OrderExpired) -> None:
        """An order is gone, or what was left of one that never rested."""
        arriving = self._arriving
        if arriving is not None and arriving.order_id == event.order_id:
            self._arriving = None
            return
        self.settle()
        if event.reason in NEVER_RESTED:
            return
        self.steps.append(OrderStep(REMOVED, event.order_id, event.side, event.price_ticks, 0))


def changes_of(
    events: Iterable[Event], watched: Container[int], executed_at_ns: int
) -> dict[int, Changes]:
    """What the events did, by instrument, of those that are watched."""
    found: dict[int, Changes] = {}
    for event in events:
        instrument = getattr(event, "instrument", 0)
        if instrument not in watched:
            continue
        changes = found.get(instrument)
        if changes is None:
            changes = found[instrument] = Changes()
        if isinstance(event, LevelChanged):
            changes.settle()
            changes.levels[event.side, event.price_ticks] = (
                event.price_ticks,
                event.quantity,
                event.order_count,
            )
        elif isinstance(event, OrderExecuted):
            changes.executed(event, executed_at_ns)
        elif isinstance(event, OrderAccepted):
            changes.accepted(event)
        elif isinstance(event, OrderReplaced):
            changes.replaced(event)
        elif isinstance(event, OrderCancelled | OrderExpired):
            changes.ended(event)
        elif isinstance(event, TradingStateChanged):
            changes.states.append((event.book_sequence, event.state))
    for changes in found.values():
        changes.settle()
    return found
