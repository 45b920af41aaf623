"""An account's own things as GraphQL shows them: orders, executions, positions, profit and loss.

Guarantees: nothing here can be reached but through a field that needs a key (`permissions`), and
whose account it is was decided there; the account that somebody traded with is never shown.
"""

from __future__ import annotations

import strawberry
from strawberry import relay

from api.graphql.enums import Liquidity, OrderState, OrderType, Side, TimeInForce
from api.graphql.life_types import OrderLife, life_shown
from api.graphql.market_types import Ask, Instrument, mean_ticks
from api.graphql.permissions import needs_read
from api.graphql.scalars import LogPosition, MatchNumber, Money, OrderId, Price, Quantity, Time
from api.reasons import reason_code
from commands.directory.entries import AccountEntry, InstrumentEntry
from projections.read_history import ExecutionRow, OrderRow


@strawberry.type(description="An order as it is now.")
class Order:
    """An order of the account that was asked for."""

    order_id: OrderId = strawberry.field(description="Its id.")
    client_order_id: str | None = strawberry.field(description="The sender's own name for it.")
    symbol: str = strawberry.field(description="The instrument's symbol.")
    side: Side = strawberry.field(description="Buy or sell.")
    type: OrderType = strawberry.field(description="Limit, market, …")
    time_in_force: TimeInForce = strawberry.field(description="How long it stays.")
    price: Price | None = strawberry.field(description="Its limit in dollars; null: market.")
    quantity: Quantity = strawberry.field(description="Shares in all, executed and open.")
    executed_quantity: Quantity = strawberry.field(description="Shares executed.")
    leaves_quantity: Quantity = strawberry.field(description="Shares open.")
    average_price: Price | None = strawberry.field(
        description="Mean price of its executions, rounded half up; null where there is none."
    )
    state: OrderState = strawberry.field(description="What became of it.")
    reason: str | None = strawberry.field(
        description="Why it was refused or ended, as docs/matching.md lists; null where nothing."
    )
    created_at: Time = strawberry.field(description="When it came, by the gateway's clock.")
    updated_at: Time = strawberry.field(description="Of its last event, by the gateway's clock.")
    trading_time: Time | None = strawberry.field(
        description="When it came, by the exchange's own clock; null before its first tick."
    )
    accepted_position: LogPosition = strawberry.field(description="Where in the log it came.")
    position: LogPosition = strawberry.field(description="Where in the log it changed last.")
    entry: strawberry.Private[InstrumentEntry | None]

    @strawberry.field(description="The instrument; null where it is not known here yet.")
    def instrument(self) -> Instrument | None:
        """From the directory."""
        return None if self.entry is None else Instrument.of(self.entry)

    @strawberry.field(
        extensions=needs_read(),
        description="Its executions, newest first: 100 at most; `executions` of the account pages "
        "through all.",
    )
    async def executions(self, info: Ask) -> list[Execution]:
        """Those of all orders of one operation are read at once."""
        rows = await info.context.loaders.executions.load(self.order_id)
        return [execution_of(self.symbol, self.entry, row) for row in rows]

    @strawberry.field(
        extensions=needs_read(),
        description="Its whole life, event by event, and why it did or did not trade.",
    )
    async def life(self, info: Ask) -> OrderLife | None:
        """As `orderLife`."""
        return await life_shown(info, self.order_id)


@strawberry.type(description="One order's side of one match.")
class Execution:
    """An execution of the account that was asked for."""

    order_id: OrderId = strawberry.field(description="The order that traded.")
    match_number: MatchNumber = strawberry.field(description="The match's number in its shard.")
    symbol: str = strawberry.field(description="The instrument's symbol.")
    side: Side = strawberry.field(description="Whether it bought or sold.")
    liquidity: Liquidity = strawberry.field(description="MAKER rested, TAKER arrived.")
    price: Price = strawberry.field(description="Dollars a share.")
    quantity: Quantity = strawberry.field(description="Shares.")
    leaves_quantity: Quantity = strawberry.field(description="Shares of the order open after it.")
    time: Time = strawberry.field(description="The gateway's clock.")
    trading_time: Time | None = strawberry.field(
        description="The exchange's own clock; null before its first tick."
    )
    position: LogPosition | None = strawberry.field(
        description="Where in the log it happened; null in a subscription."
    )
    entry: strawberry.Private[InstrumentEntry | None]

    @strawberry.field(description="The instrument; null where it is not known here yet.")
    def instrument(self) -> Instrument | None:
        """From the directory."""
        return None if self.entry is None else Instrument.of(self.entry)


@strawberry.type(
    description="What an account holds of one instrument, and what it made of it, by average cost "
    "(docs/graphql.md has the formula)."
)
class Position:
    """A holding."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    quantity: int = strawberry.field(description="Shares held; below 0: sold short.")
    average_price: Price | None = strawberry.field(
        description="Mean cost of the shares held, rounded half up; null where none are."
    )
    cost: Money = strawberry.field(description="What the shares held cost; below 0 where short.")
    mark: Price | None = strawberry.field(
        description="What they are valued at: the last trade, else the middle of bid and ask, else "
        "the reference price; null where nothing of it is known."
    )
    market_value: Money | None = strawberry.field(description="quantity × mark.")
    realised: Money = strawberry.field(description="Made by shares that were closed again.")
    unrealised: Money | None = strawberry.field(description="marketValue - cost.")
    bought_quantity: Quantity = strawberry.field(description="Shares bought, ever.")
    sold_quantity: Quantity = strawberry.field(description="Shares sold, ever.")
    turnover: Money = strawberry.field(description="Dollars bought and sold, ever.")
    execution_count: int = strawberry.field(description="Executions, ever.")
    entry: strawberry.Private[InstrumentEntry | None]

    @strawberry.field(description="realised + unrealised.")
    def total(self) -> Money | None:
        """In ticks."""
        return None if self.unrealised is None else self.realised + self.unrealised

    @strawberry.field(description="The instrument; null where it is not known here yet.")
    def instrument(self) -> Instrument | None:
        """From the directory."""
        return None if self.entry is None else Instrument.of(self.entry)


@strawberry.type(description="Profit and loss over all positions, in dollars, by average cost.")
class ProfitAndLoss:
    """Sums over positions."""

    realised: Money = strawberry.field(description="Made by shares that were closed again.")
    unrealised: Money = strawberry.field(description="Of shares held that can be valued.")
    total: Money = strawberry.field(description="realised + unrealised.")
    market_value: Money = strawberry.field(description="What the shares held are worth.")
    gross_value: Money = strawberry.field(description="The same without signs: long plus short.")
    unvalued: list[str] = strawberry.field(
        description="Symbols held that cannot be valued, because no price of them is known."
    )


@strawberry.type(description="What an account's orders may be; null: no limit.")
class AccountLimits:
    """Limits."""

    order_quantity_max: Quantity | None = strawberry.field(description="Shares of one order.")
    order_notional_max: Money | None = strawberry.field(
        description="Price times shares of one order, in dollars."
    )
    open_orders_max: int | None = strawberry.field(description="Orders open at a time.")


def limits_of(entry: AccountEntry) -> AccountLimits:
    """Of an entry of the directory."""
    limits = entry.limits
    return AccountLimits(
        order_quantity_max=limits.order_quantity_max or None,
        order_notional_max=limits.order_notional_max or None,
        open_orders_max=limits.open_orders_max or None,
    )


@strawberry.type(description="A page of orders, newest first.")
class OrderConnection(relay.Connection[Order]):
    """Relay's connection (forward only)."""


@strawberry.type(description="A page of executions, newest first.")
class ExecutionConnection(relay.Connection[Execution]):
    """Relay's connection (forward only)."""


def order_of(entry: InstrumentEntry | None, row: OrderRow) -> Order:
    """A row of the history."""
    executed = row.executed_quantity
    return Order(
        order_id=row.order_id,
        client_order_id=row.client_order_id,
        symbol="" if entry is None else entry.symbol,
        side=Side(row.side),
        type=OrderType(row.order_type),
        time_in_force=TimeInForce(row.time_in_force),
        price=row.price_ticks or None,
        quantity=row.quantity,
        executed_quantity=executed,
        leaves_quantity=row.leaves_quantity,
        average_price=mean_ticks(row.executed_value, executed) if executed else None,
        state=OrderState[row.status.upper()],
        reason=reason_code(row.reason) if row.reason else None,
        created_at=row.accepted_at_ns,
        updated_at=row.updated_at_ns,
        trading_time=row.trading_time_ns or None,
        accepted_position=f"{row.shard}-{row.accepted_position}",
        position=f"{row.shard}-{row.updated_position}",
        entry=entry,
    )


def execution_of(symbol: str, entry: InstrumentEntry | None, row: ExecutionRow) -> Execution:
    """A row of the history."""
    return Execution(
        order_id=row.order_id,
        match_number=row.match_number,
        symbol=symbol,
        side=Side(row.side),
        liquidity=Liquidity.TAKER if row.aggressor else Liquidity.MAKER,
        price=row.price_ticks,
        quantity=row.quantity,
        leaves_quantity=row.leaves_quantity,
        time=row.executed_at_ns,
        trading_time=row.trading_time_ns or None,
        position=f"{row.shard}-{row.position}",
        entry=entry,
    )
