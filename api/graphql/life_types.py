"""An order's whole life as GraphQL shows it: every event with its place in the log, the book that
it met, and why it did or did not trade.

Guarantees: only the order's owner, or a key with the scope `admin`, is told anything of it; the
accounts that it traded with are not shown to its owner.
"""

from __future__ import annotations

import strawberry

from api.errors import Problem
from api.graphql.enums import OrderState, OrderType, Side, TimeInForce
from api.graphql.market_types import Ask, Level, level_of
from api.graphql.permissions import ADMIN
from api.graphql.scalars import (
    LogPosition,
    MatchNumber,
    OrderId,
    Price,
    Quantity,
    Sequence,
    Time,
)
from api.lives import LifeTold
from api.rest.orders_read import history_at
from api.services import Services
from domain.codes import POSITION_MAX

SHARD_AT = 55  # in an order id, as POSITION_AT: docs/matching.md
POSITION_AT = 16


@strawberry.type(description="One event of an order's life.")
class LifeEvent:
    """An event."""

    kind: str = strawberry.field(
        description="order_accepted, order_rejected, order_executed, order_cancelled, "
        "order_replaced, order_expired, order_repeated, …"
    )
    text: str = strawberry.field(description="The event in words.")
    position: LogPosition = strawberry.field(description="Where in the log it is.")
    sequence: Sequence | None = strawberry.field(
        description="The book's sequence of it: `book(asOf:)` shows the book then. Null where the "
        "event is none of the book's, such as a refusal."
    )
    time: Time = strawberry.field(description="The gateway's clock.")
    trading_time: Time | None = strawberry.field(
        description="The exchange's own clock; null before its first tick."
    )
    price: Price | None = strawberry.field(description="Dollars a share, where it has one.")
    quantity: Quantity | None = strawberry.field(description="Shares, where it has some.")
    leaves_quantity: Quantity | None = strawberry.field(
        description="Shares of the order open after it; null where it changes none."
    )
    match_number: MatchNumber | None = strawberry.field(description="Of an execution, else null.")
    other_order_id: OrderId | None = strawberry.field(
        description="The order it traded with, of an execution, else null."
    )
    reason: str | None = strawberry.field(description="Why it was refused or ended, else null.")


@strawberry.type(description="The book that an order met when it arrived.")
class Arrival:
    """Just before its command."""

    best_bid: Level | None = strawberry.field(description="Null where there was none.")
    best_ask: Level | None = strawberry.field(description="Null where there was none.")
    fillable_quantity: Quantity = strawberry.field(
        description="Shares that the other side offered within its limit."
    )


@strawberry.type(description="Where an open order stands in its book now.")
class Standing:
    """Its place."""

    ahead_quantity: Quantity = strawberry.field(description="Shares that would trade before it.")
    ahead_orders: int = strawberry.field(description="Orders that would trade before it.")
    best_bid: Level | None = strawberry.field(description="Null where there is none.")
    best_ask: Level | None = strawberry.field(description="Null where there is none.")


@strawberry.type(description="Another submit that carried the same client order id.")
class SameClientOrderId:
    """A submit."""

    order_id: OrderId = strawberry.field(description="Its id.")
    kind: str = strawberry.field(description="order_accepted, order_rejected or order_repeated.")


@strawberry.type(
    description="An order's whole life, found by applying its shard's log again: the same as "
    "`crossbook explain`."
)
class OrderLife:
    """A life."""

    order_id: OrderId = strawberry.field(description="Its id.")
    client_order_id: str | None = strawberry.field(description="The sender's own name for it.")
    symbol: str = strawberry.field(description="The instrument's symbol.")
    side: Side = strawberry.field(description="Buy or sell.")
    type: OrderType = strawberry.field(description="As it was sent.")
    time_in_force: TimeInForce = strawberry.field(description="As it was sent.")
    price: Price | None = strawberry.field(description="As it was sent; null: market.")
    quantity: Quantity = strawberry.field(description="As it was sent, in shares.")
    state: OrderState = strawberry.field(description="What became of it.")
    executed_quantity: Quantity = strawberry.field(description="Shares executed.")
    leaves_quantity: Quantity = strawberry.field(description="Shares open.")
    average_price: Price | None = strawberry.field(description="Of its executions, else null.")
    born: LogPosition = strawberry.field(description="Where in the log it came.")
    command_index: int = strawberry.field(description="Which command of that batch, from 0.")
    log_end: LogPosition = strawberry.field(description="How far of the log this is told from.")
    events: list[LifeEvent] = strawberry.field(description="In order.")
    arrival: Arrival | None = strawberry.field(description="Null where it met no book.")
    standing: Standing | None = strawberry.field(description="Null where it is not open.")
    why: list[str] = strawberry.field(description="Why it did or did not trade, in sentences.")


def order_life(told: LifeTold) -> OrderLife:
    """What the teller told."""
    return OrderLife(
        order_id=told.order_id,
        client_order_id=told.client_order_id or None,
        symbol=told.symbol,
        side=Side(told.side),
        type=OrderType(told.order_type),
        time_in_force=TimeInForce(told.time_in_force),
        price=told.price_ticks or None,
        quantity=told.quantity,
        state=OrderState[told.state.upper()],
        executed_quantity=told.executed_quantity,
        leaves_quantity=told.leaves_quantity,
        average_price=told.average_ticks,
        born=f"{told.shard}-{told.position}",
        command_index=told.command_index,
        log_end=f"{told.shard}-{told.log_end}",
        events=[
            LifeEvent(
                kind=each.kind,
                text=each.text,
                position=f"{told.shard}-{each.position}",
                sequence=each.sequence,
                time=each.gateway_time_ns,
                trading_time=each.trading_time_ns or None,
                price=each.price_ticks,
                quantity=each.quantity,
                leaves_quantity=each.leaves_quantity,
                match_number=each.match_number,
                other_order_id=each.other_order_id,
                reason=each.reason,
            )
            for each in told.events
        ],
        arrival=None
        if told.arrival is None
        else Arrival(
            best_bid=level_of(told.arrival.best_bid),
            best_ask=level_of(told.arrival.best_ask),
            fillable_quantity=told.arrival.fillable_quantity,
        ),
        standing=None
        if told.standing is None
        else Standing(
            ahead_quantity=told.standing.ahead_quantity,
            ahead_orders=told.standing.ahead_orders,
            best_bid=level_of(told.standing.best_bid),
            best_ask=level_of(told.standing.best_ask),
        ),
        why=told.why,
    )


async def life_shown(info: Ask, order_id: int) -> OrderLife | None:
    """The life of an order that the caller may see; None where there is no such order. Raises
    Problem (503) where it takes long: ask again, it goes on meanwhile."""
    context = info.context
    caller = context.caller()
    assert caller is not None, "fields that come here need a key"
    is_admin = ADMIN in context.scopes()
    viewer = None if is_admin else caller.account.number
    if context.services.lives is None:
        raise Problem(503, "no_lives", "this server tells no order's life")
    if not is_admin and not await _owns(context.services, caller.account.number, order_id):
        return None  # before anything is read again for it
    told = await context.services.lives.told(order_id, viewer=viewer)
    if told is None or (told.account != caller.account.number and not is_admin):
        return None
    return order_life(told)


async def _owns(services: Services, account: int, order_id: int) -> bool:
    shard, position = order_id >> SHARD_AT, (order_id >> POSITION_AT) & POSITION_MAX
    if shard >= services.settings.shards or position > services.gateway.written(shard):
        return False
    history = await history_at(services, {shard: position})
    row = await history.order(order_id)
    return row is not None and row.account == account
