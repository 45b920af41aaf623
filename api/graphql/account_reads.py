"""Reads an account's things for its fields.

Guarantees: every query names the account; a page goes on exactly where the one before ended, while
new rows come.
"""

from __future__ import annotations

from api.graphql.account_types import (
    ExecutionConnection,
    OrderConnection,
    Position,
    ProfitAndLoss,
    execution_of,
    order_of,
)
from api.graphql.inputs import (
    PAGE_MAX,
    ExecutionFilter,
    OrderFilter,
    Page,
    bounded,
    cursor_of,
    read_cursor,
)
from api.graphql.market_types import Ask, mean_ticks
from commands.directory.entries import InstrumentEntry
from projections.positions import Holding
from projections.read_books import Top
from projections.read_pages import ExecutionsWanted, OrdersWanted

ORDER = "o"
EXECUTION = "x"


async def account_orders(
    info: Ask, account: int, first: int, after: str | None, wanted: OrderFilter | None
) -> OrderConnection:
    """A page of an account's orders."""
    context = info.context
    limit = bounded("first", first, PAGE_MAX)
    before = read_cursor(ORDER, after, 2)
    wanted = wanted or OrderFilter()
    rows = await context.services.pages.orders(
        OrdersWanted(
            account=account,
            instrument=context.instrument(wanted.symbol).number if wanted.symbol else None,
            side=None if wanted.side is None else wanted.side.value,
            statuses=None
            if wanted.states is None
            else tuple(state.value for state in wanted.states),
            client_order_id=wanted.client_order_id,
            from_ns=wanted.created_from,
            until_ns=wanted.created_until,
        ),
        limit + 1,
        None if before is None else (before[0], before[1]),
    )
    numbered = context.services.directory_view.instrument_numbered
    nodes = [
        (
            cursor_of(ORDER, row.accepted_at_ns, row.order_id),
            order_of(numbered(row.instrument), row),
        )
        for row in rows[:limit]
    ]
    return Page(nodes, len(rows) > limit, before is not None).into(OrderConnection)


async def account_executions(
    info: Ask, account: int, first: int, after: str | None, wanted: ExecutionFilter | None
) -> ExecutionConnection:
    """A page of an account's executions."""
    context = info.context
    limit = bounded("first", first, PAGE_MAX)
    before = read_cursor(EXECUTION, after, 3)
    wanted = wanted or ExecutionFilter()
    rows = await context.services.pages.executions(
        ExecutionsWanted(
            account=account,
            instrument=context.instrument(wanted.symbol).number if wanted.symbol else None,
            side=None if wanted.side is None else wanted.side.value,
            from_ns=wanted.since,
            until_ns=wanted.until,
        ),
        limit + 1,
        None if before is None else (before[0], before[1], before[2]),
    )
    nodes = []
    for row in rows[:limit]:
        entry = context.services.directory_view.instrument_numbered(row.instrument)
        symbol = "" if entry is None else entry.symbol
        cursor = cursor_of(EXECUTION, row.executed_at_ns, row.match_number, row.order_id)
        nodes.append((cursor, execution_of(symbol, entry, row)))
    return Page(nodes, len(rows) > limit, before is not None).into(ExecutionConnection)


async def account_positions(info: Ask, account: int) -> list[Position]:
    """What an account holds and has held, by symbol."""
    context = info.context
    held = await context.loaders.holdings.load(account)
    numbered = context.services.directory_view.instrument_numbered
    entries = {number: numbered(number) for number in held}
    known = [entry for entry in entries.values() if entry is not None]
    tops = dict(
        zip(
            (entry.number for entry in known),
            await context.loaders.tops.load_many(known),
            strict=True,
        )
    )
    found = [
        _position(entries[number], holding, tops.get(number)) for number, holding in held.items()
    ]
    return sorted(found, key=lambda each: each.symbol)


def _position(entry: InstrumentEntry | None, held: Holding, top: Top | None) -> Position:
    mark = _mark(entry, top)
    value = None if mark is None else held.quantity * mark
    if held.quantity == 0:
        value = 0
    return Position(
        symbol="" if entry is None else entry.symbol,
        quantity=held.quantity,
        average_price=mean_ticks(abs(held.cost), abs(held.quantity)) if held.quantity else None,
        cost=held.cost,
        mark=mark,
        market_value=value,
        realised=held.realised,
        unrealised=None if value is None else value - held.cost,
        bought_quantity=held.bought_quantity,
        sold_quantity=held.sold_quantity,
        turnover=held.turnover,
        execution_count=held.execution_count,
        entry=entry,
    )


def _mark(entry: InstrumentEntry | None, top: Top | None) -> int | None:
    """What a share is valued at: last trade, else the middle, else the reference price."""
    if top is not None:
        if top.last_trade is not None:
            return top.last_trade.price_ticks
        if top.bid is not None and top.ask is not None:
            return (top.bid[0] + top.ask[0]) // 2
    return (entry.reference_price or None) if entry is not None else None


def sums_of(positions: list[Position]) -> ProfitAndLoss:
    """Profit and loss over all positions."""
    valued = [each for each in positions if each.market_value is not None]
    realised = sum(each.realised for each in positions)
    unrealised = sum(each.unrealised or 0 for each in valued)
    return ProfitAndLoss(
        realised=realised,
        unrealised=unrealised,
        total=realised + unrealised,
        market_value=sum(each.market_value or 0 for each in valued),
        gross_value=sum(abs(each.market_value or 0) for each in valued),
        unvalued=[each.symbol for each in positions if each.market_value is None],
    )
