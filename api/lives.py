"""What the API needs of whoever tells an order's life from the logs. The composition root has one,
since the API reads no log itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

Level: TypeAlias = tuple[int, int, int]  # price ticks, quantity, order count


@dataclass(frozen=True, slots=True)
class EventTold:
    """One event. Prices in ticks, times in ns since 1970; None where the event has none of it."""

    kind: str
    text: str
    position: int
    trading_time_ns: int
    gateway_time_ns: int
    sequence: int | None
    price_ticks: int | None
    quantity: int | None
    leaves_quantity: int | None
    match_number: int | None
    other_order_id: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ArrivalTold:
    """The book that the order met."""

    best_bid: Level | None
    best_ask: Level | None
    fillable_quantity: int


@dataclass(frozen=True, slots=True)
class StandingTold:
    """Where the order stands now."""

    ahead_quantity: int
    ahead_orders: int
    best_bid: Level | None
    best_ask: Level | None


@dataclass(frozen=True, slots=True)
class LifeTold:
    """A life. `state` is a name of `projections.postgres.fold.STATUS_NAMES`."""

    order_id: int
    account: int
    client_order_id: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    price_ticks: int
    quantity: int
    state: str
    executed_quantity: int
    leaves_quantity: int
    average_ticks: int | None
    shard: int
    position: int
    command_index: int
    log_end: int
    events: list[EventTold]
    arrival: ArrivalTold | None
    standing: StandingTold | None
    why: list[str]


@dataclass(frozen=True, slots=True)
class StateTold:
    """An engine's state after `position`. Times are ns since 1970; `verified_at_ns` is when it was
    last restored and had this hash."""

    position: int
    sha256: str
    saved_at_ns: int
    verified_at_ns: int


class Lives(Protocol):
    """Tells the life of any order."""

    async def told(self, order_id: int, *, viewer: int | None) -> LifeTold | None:
        """The order's life; None where there is no such order. `viewer` is the only account that
        its texts may name; None: all. Raises Problem (503)."""
        ...
