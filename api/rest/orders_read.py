"""An account's orders as the history has them, in the API's shape.

Guarantees: nothing of another account is ever answered; an order of another account is as unknown
as one that never was.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from api.errors import Problem, behind
from api.positions import position_text
from api.reasons import reason_code
from api.rest.answers import OrderAnswer, average_price_text
from api.services import Services
from commands.directory.entries import InstrumentEntry
from commands.validation import client_order_id_of, order_id_of, price_text
from domain.codes import DUPLICATE_CLIENT_ORDER_ID, OrderType, Side, TimeInForce
from projections.read_history import HistoryReader, OrderRow

SIDE_NAMES: Final = {int(side): side.name.lower() for side in Side}
TYPE_NAMES: Final = {int(kind): kind.name.lower() for kind in OrderType}
TIME_IN_FORCE_NAMES: Final = {int(kind): kind.name.lower() for kind in TimeInForce}
ACTIVE: Final = ("open", "partially_filled")
LOOK_AGAIN_S: Final = 0.25


class OrdersAnswer(Struct):
    """A page of orders, newest first; `next_cursor` asks for the next."""

    orders: list[OrderAnswer]
    next_cursor: str | None


def time_text(time_ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC, to the microsecond."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest_ns // 1_000:06d}Z"


def order_answer(services: Services, row: OrderRow) -> OrderAnswer:
    """One row in the API's shape."""
    instrument = services.directory_view.instrument_numbered(row.instrument)
    return OrderAnswer(
        order_id=str(row.order_id),
        client_order_id=row.client_order_id,
        symbol="" if instrument is None else instrument.symbol,
        side=SIDE_NAMES.get(row.side, ""),
        type=TYPE_NAMES.get(row.order_type, ""),
        time_in_force=TIME_IN_FORCE_NAMES.get(row.time_in_force, ""),
        price=price_text(row.price_ticks) if row.price_ticks else None,
        quantity=row.quantity,
        executed_quantity=row.executed_quantity,
        leaves_quantity=row.leaves_quantity,
        average_price=average_price_text(row.executed_value, row.executed_quantity),
        state=row.status,
        reason=reason_code(row.reason) if row.reason else None,
        created_at=time_text(row.accepted_at_ns),
        updated_at=time_text(row.updated_at_ns),
        position=f"{row.shard}-{row.updated_position}",
    )


async def history_at(services: Services, positions: Mapping[int, int]) -> HistoryReader:
    """The history, once it has come to all positions. Raises Problem (503 `behind`).

    What the sink tells may be lost on its way: now and then the history itself is asked. And it may
    be older than a crash of the server: so the reads themselves look at the position again.
    """
    deadline = time.monotonic() + services.settings.read_wait_s
    for shard, position in positions.items():
        while services.progress.at("postgres", shard) < position:
            remaining = deadline - time.monotonic()
            wait_s = max(0.0, min(LOOK_AGAIN_S, remaining))
            if await services.progress.reached("postgres", shard, position, wait_s):
                break
            if await services.history.position(shard) >= position:
                break
            if remaining <= 0:
                token = position_text({shard: position})
                raise behind(f"the history has not come to position {token} yet")
    return services.history.at_least(positions)


async def order_answers(
    services: Services, history: HistoryReader, account: int, order_ids: Sequence[int]
) -> dict[str, OrderAnswer]:
    """Those of the orders that exist and are the account's, by order id."""
    rows = await history.orders_numbered(account, order_ids)
    return {str(row.order_id): order_answer(services, row) for row in rows}


async def find_order(
    services: Services, history: HistoryReader, account: int, order: str
) -> OrderAnswer:
    """The account's order with this id. Raises Problem (404), Refusal (400)."""
    order_id = order_id_of(order)
    found = await order_answers(services, history, account, [order_id])
    if not found:
        raise Problem(404, "unknown_order", "no order of this account has this id")
    return found[str(order_id)]


async def find_by_client_order_id(
    services: Services,
    history: HistoryReader,
    account: int,
    client_order_id: str,
    instrument: InstrumentEntry | None,
) -> OrderAnswer:
    """The account's newest order under this client order id.

    Raises Problem: 404, or 409 where several instruments have one and none is named.
    """
    client_order_id_of(client_order_id)
    number = None if instrument is None else instrument.number
    rows = await history.order_by_client_id(account, client_order_id, number)
    # A duplicate was refused and took nothing: the id still means the order before it.
    newest: dict[int, OrderRow] = {}
    for row in rows:
        if row.reason != DUPLICATE_CLIENT_ORDER_ID:
            newest.setdefault(row.instrument, row)
    if not newest:
        detail = "no order of this account has this client_order_id"
        raise Problem(404, "unknown_order", detail)
    if len(newest) > 1:
        detail = "orders of several instruments have this client_order_id: give the symbol"
        raise Problem(409, "ambiguous_order", detail)
    return order_answer(services, next(iter(newest.values())))


async def page_of_orders(
    services: Services,
    history: HistoryReader,
    account: int,
    instrument: InstrumentEntry | None,
    *,
    state: str | None,
    limit: int,
    cursor: str | None,
) -> OrdersAnswer:
    """The account's orders, newest first, behind the order that the cursor names."""
    rows = await history.orders(
        account,
        None if instrument is None else instrument.number,
        ACTIVE if state == "active" else state,
        limit,
        None if cursor is None else order_id_of(cursor),
    )
    next_cursor = str(rows[-1].order_id) if len(rows) == limit else None
    return OrdersAnswer([order_answer(services, row) for row in rows], next_cursor)
