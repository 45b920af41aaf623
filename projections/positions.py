"""What an account holds of one instrument and what it made of it, by average cost.

Guarantees: integers alone, so that the same executions in the same order give the same holding
everywhere; nothing is lost to rounding: at any mark, realised + unrealised is exactly what was
received for sales less what was paid for purchases, plus the value of what is held.

A buy and a sale are the same with other signs. An execution in the direction of the holding adds
price × shares to its cost. One against it closes shares at the mean cost: of a holding of Q shares
that cost C, closing q takes C × q / Q (rounded toward zero to 1/10,000 dollar) off the cost, and
what was received for them less that is realised. What is beyond the holding opens the other side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from projections.read_history import BIGINT_MAX, LIMIT_MAX, ExecutionRow, HistoryReader


@dataclass
class Holding:
    """Prices × shares in 1/10,000 dollar. `quantity` and `cost` are below 0 where sold short."""

    quantity: int = 0
    cost: int = 0
    realised: int = 0
    bought_quantity: int = 0
    sold_quantity: int = 0
    turnover: int = 0
    execution_count: int = 0

    def apply(self, side: int, price_ticks: int, quantity: int) -> None:
        """One execution; `side` 0 bought, 1 sold."""
        assert quantity > 0
        signed = -quantity if side else quantity
        self.turnover += price_ticks * quantity
        self.execution_count += 1
        if side:
            self.sold_quantity += quantity
        else:
            self.bought_quantity += quantity
        if self.quantity * signed < 0:
            closed = min(quantity, abs(self.quantity))
            taken = abs(self.cost) * closed // abs(self.quantity)
            was_long = self.quantity > 0
            gained = price_ticks * closed - taken
            self.realised += gained if was_long else -gained
            self.cost += -taken if was_long else taken
            self.quantity += closed if side == 0 else -closed
            signed += -closed if side == 0 else closed
        self.quantity += signed
        self.cost += price_ticks * signed


def fold(rows: Iterable[ExecutionRow], held: dict[int, Holding]) -> None:
    """Apply executions, in order, to the holdings by instrument."""
    for row in rows:
        holding = held.get(row.instrument)
        if holding is None:
            holding = held[row.instrument] = Holding()
        holding.apply(row.side, row.price_ticks, row.quantity)


IN_ORDER = """
    SELECT order_id, match_number, shard, account, instrument, side, liquidity = 1 AS aggressor,
        price_ticks, quantity, leaves_quantity, position, executed_at_ns, trading_time_ns
    FROM executions
    WHERE account = %(account)s AND (shard, match_number, liquidity) >
        (%(shard)s, %(match_number)s, %(liquidity)s)
    ORDER BY shard, match_number, liquidity LIMIT """


async def holdings(history: HistoryReader, account: int) -> dict[int, Holding]:
    """An account's holdings by instrument. Where it traded with itself, the resting side first."""
    held: dict[int, Holding] = {}
    at = (-1, BIGINT_MAX, 1)
    while True:
        rows = await history.fetch(
            ExecutionRow,
            IN_ORDER + str(LIMIT_MAX),
            account=account,
            shard=at[0],
            match_number=at[1],
            liquidity=at[2],
        )
        fold(rows, held)
        if len(rows) < LIMIT_MAX:
            return held
        at = (rows[-1].shard, rows[-1].match_number, int(rows[-1].aggressor))
