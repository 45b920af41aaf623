"""What a client remembers of its own: every order that it sent, and every answer that it had.

Guarantees: an answer is written down before anything else is sent; what was promised of an order
(its id, that it is cancelled, its terms) is kept apart from what may be so, because an attempt had
no answer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Acknowledgement:
    """One answer that says that an order is in the log; a 202 does not know its id."""

    status: int
    order_id: int | None
    position: str
    executed_quantity: int


@dataclass
class SentOrder:
    """One order of the client: `terms` are (price ticks, total quantity) that it may have now."""

    client_order_id: str
    account: int
    symbol: str
    terms: set[tuple[int, int]]
    acknowledged: list[Acknowledgement] = field(default_factory=list)
    refused: bool = False  # by the engine: it has a row, as rejected
    cancelled: bool = False  # a cancel of it was acknowledged
    abandoned: bool = False  # every attempt is known not to be in the log; never sent again

    @property
    def order_id(self) -> int | None:
        """Its id, as it was first told."""
        return next((each.order_id for each in self.acknowledged if each.order_id), None)


@dataclass
class Journal:
    """One client's memory. Each is written by one thread; `merged` joins them at the end."""

    orders: dict[str, SentOrder] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    last_position: str = ""

    @staticmethod
    def merged(journals: list[Journal]) -> Journal:
        """All in one."""
        whole = Journal()
        for journal in journals:
            assert not whole.orders.keys() & journal.orders.keys()
            whole.orders |= journal.orders
            whole.unexpected += journal.unexpected
            whole.counts += journal.counts
        return whole

    def positions(self) -> dict[int, int]:
        """The furthest position of each shard that was acknowledged."""
        furthest: dict[int, int] = {}
        for order in self.orders.values():
            for acknowledgement in order.acknowledged:
                for shard, position in positions_of(acknowledgement.position).items():
                    furthest[shard] = max(position, furthest.get(shard, 0))
        return furthest


def positions_of(text: str) -> dict[int, int]:
    """Position by shard of an answer's `position`, such as "0-123,1-98"."""
    pairs = (part.split("-") for part in text.split(","))
    return {int(shard): int(position) for shard, position in pairs}
