"""Finds one order for its fields. Another account's is as unknown as one that never was."""

from __future__ import annotations

from api.errors import Problem
from api.graphql.account_types import Order, order_of
from api.graphql.errors import refused
from api.graphql.market_types import Ask
from api.graphql.permissions import ADMIN
from api.positions import parse_positions
from api.rest.orders_read import history_at
from commands.validation import client_order_id_of
from domain.codes import DUPLICATE_CLIENT_ORDER_ID
from projections.read_history import HistoryReader, OrderRow


async def order_named(
    info: Ask,
    order_id: int | None,
    *,
    client_order_id: str | None,
    symbol: str | None,
    at: str | None,
) -> Order | None:
    """The order, or None. Raises Problem (409) where a client order id names several."""
    context = info.context
    if (order_id is None) == (client_order_id is None):
        raise refused("invalid_value", "give orderId or clientOrderId", status=400)
    services = context.services
    history = await history_at(services, parse_positions(at, services.settings.shards))
    caller = context.caller()
    assert caller is not None
    if order_id is not None:
        row = await history.order(order_id)
        if row is None or (row.account != caller.account.number and ADMIN not in context.scopes()):
            return None
    else:
        assert client_order_id is not None
        instrument = context.instrument(symbol).number if symbol is not None else None
        row = await _by_name(history, caller.account.number, client_order_id, instrument)
        if row is None:
            return None
    return order_of(services.directory_view.instrument_numbered(row.instrument), row)


async def _by_name(
    history: HistoryReader, account: int, client_order_id: str, instrument: int | None
) -> OrderRow | None:
    client_order_id_of(client_order_id)
    newest: dict[int, OrderRow] = {}
    for row in await history.order_by_client_id(account, client_order_id, instrument):
        # A duplicate was refused and took nothing: the id still means the order before it.
        if row.reason != DUPLICATE_CLIENT_ORDER_ID:
            newest.setdefault(row.instrument, row)
    if len(newest) > 1:
        detail = "orders of several instruments have this clientOrderId: give the symbol"
        raise Problem(409, "ambiguous_order", detail)
    return next(iter(newest.values()), None)
