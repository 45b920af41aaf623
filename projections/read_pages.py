"""Pages of orders, executions and trades with filters, from PostgreSQL.

Guarantees: as `read_history`: bounded in rows and time, newest first, and a page goes on exactly
where the one before ended while new rows come.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from projections.read_history import (
    LIMIT_MAX,
    NEWEST_EXECUTIONS,
    NEWEST_ORDERS,
    SELECT_EXECUTIONS,
    SELECT_ORDERS,
    SELECT_TRADES,
    ExecutionRow,
    HistoryReader,
    OrderRow,
    TradeRow,
)

ORDER_TERMS: Final = {
    "account": "account = %(account)s",
    "instrument": "instrument = %(instrument)s",
    "side": "side = %(side)s",
    "statuses": "status = ANY(%(statuses)s::smallint[])",
    "client_order_id": "client_order_id = %(client_order_id)s",
    "from_ns": "accepted_at_ns >= %(from_ns)s",
    "until_ns": "accepted_at_ns < %(until_ns)s",
}
EXECUTION_TERMS: Final = {
    "account": "account = %(account)s",
    "instrument": "instrument = %(instrument)s",
    "side": "side = %(side)s",
    "from_ns": "executed_at_ns >= %(from_ns)s",
    "until_ns": "executed_at_ns < %(until_ns)s",
}
TRADE_TERMS: Final = {
    "instrument": "instrument = %(instrument)s",
    "aggressor_side": "aggressor_side = %(aggressor_side)s",
    "quantity_min": "quantity >= %(quantity_min)s",
    "from_ns": "executed_at_ns >= %(from_ns)s",
    "until_ns": "executed_at_ns < %(until_ns)s",
}
BEFORE_ORDER: Final = "(accepted_at_ns, order_id) < (%(before_ns)s, %(before_order)s)"
BEFORE_EXECUTION: Final = """(executed_at_ns, match_number, order_id)
    < (%(before_ns)s, %(before_match)s, %(before_order)s)"""
BEFORE_TRADE: Final = "match_number < %(before_match)s"
NEWEST_TRADES: Final = " ORDER BY match_number DESC LIMIT "
OF_ORDERS: Final = """
    FROM unnest(%(order_ids)s::bigint[]) AS wanted(wanted_id)
    CROSS JOIN LATERAL ("""


@dataclass(frozen=True, kw_only=True)
class OrdersWanted:
    """Which orders of one account; None allows all."""

    account: int
    instrument: int | None = None
    side: int | None = None
    statuses: tuple[int, ...] | None = None
    client_order_id: str | None = None
    from_ns: int | None = None
    until_ns: int | None = None


@dataclass(frozen=True, kw_only=True)
class ExecutionsWanted:
    """Which executions of one account; None allows all."""

    account: int
    instrument: int | None = None
    side: int | None = None
    from_ns: int | None = None
    until_ns: int | None = None


@dataclass(frozen=True, kw_only=True)
class TradesWanted:
    """Which trades of one instrument; None allows all."""

    instrument: int
    aggressor_side: int | None = None
    quantity_min: int | None = None
    from_ns: int | None = None
    until_ns: int | None = None


class PageReader:
    """Reads pages. Every method raises as `HistoryReader` does, and ValueError where `limit` is not
    1 to 1,000."""

    def __init__(self, history: HistoryReader) -> None:
        self._history = history

    async def orders(
        self, wanted: OrdersWanted, limit: int, before: tuple[int, int] | None = None
    ) -> list[OrderRow]:
        """Orders behind `before`: (accepted_at_ns, order_id) of the last row of the page before."""
        name = wanted.client_order_id
        if name is not None and not (name.isascii() and name.isprintable()):
            return []
        terms, bound = _terms(wanted, ORDER_TERMS)
        if before is not None:
            terms.append(BEFORE_ORDER)
            bound |= {"before_ns": before[0], "before_order": before[1]}
        query = SELECT_ORDERS + " AND ".join(terms) + NEWEST_ORDERS + _limit(limit)
        return await self._history.fetch(OrderRow, query, **bound)

    async def executions(
        self, wanted: ExecutionsWanted, limit: int, before: tuple[int, int, int] | None = None
    ) -> list[ExecutionRow]:
        """Executions behind `before`: (executed_at_ns, match_number, order_id) of the last row."""
        terms, bound = _terms(wanted, EXECUTION_TERMS)
        if before is not None:
            terms.append(BEFORE_EXECUTION)
            names = ("before_ns", "before_match", "before_order")
            bound |= dict(zip(names, before, strict=True))
        query = SELECT_EXECUTIONS + " AND ".join(terms) + NEWEST_EXECUTIONS + _limit(limit)
        return await self._history.fetch(ExecutionRow, query, **bound)

    async def trades(
        self, wanted: TradesWanted, limit: int, before_match_number: int | None = None
    ) -> list[TradeRow]:
        """Trades before a match number."""
        terms, bound = _terms(wanted, TRADE_TERMS)
        if before_match_number is not None:
            terms.append(BEFORE_TRADE)
            bound["before_match"] = before_match_number
        query = SELECT_TRADES + " AND ".join(terms) + NEWEST_TRADES + _limit(limit)
        return await self._history.fetch(TradeRow, query, **bound)

    async def executions_of(self, order_ids: list[int], each_max: int) -> list[ExecutionRow]:
        """The newest `each_max` executions of each order, by order, newest first."""
        assert 1 <= each_max <= LIMIT_MAX and len(order_ids) <= LIMIT_MAX
        of_one = f"{SELECT_EXECUTIONS} order_id = wanted_id {NEWEST_EXECUTIONS} {each_max}"
        query = f"SELECT found.* {OF_ORDERS} {of_one} ) AS found"
        return await self._history.fetch(ExecutionRow, query, order_ids=order_ids)


def _terms(wanted: Any, known: dict[str, str]) -> tuple[list[str], dict[str, Any]]:
    given = {each.name: getattr(wanted, each.name) for each in fields(wanted)}
    bound = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value is not None
    }
    return [known[name] for name in bound], bound


def _limit(limit: int) -> str:
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit is 1 to {LIMIT_MAX}")
    return str(limit)
