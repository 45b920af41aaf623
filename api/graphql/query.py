"""The root of all queries.

Guarantees: each root field can be null, so that one that fails takes none of the others with it;
the error says why.
"""

from __future__ import annotations

import strawberry
from strawberry import relay

from api.errors import Problem
from api.graphql.account import Account
from api.graphql.account_reads import account_executions, account_orders
from api.graphql.account_types import ExecutionConnection, Order, OrderConnection
from api.graphql.analytics import Analytics, analytics_of
from api.graphql.enums import CandleInterval
from api.graphql.inputs import AsOf, ExecutionFilter, OrderFilter, TradeFilter
from api.graphql.life_types import OrderLife, life_shown
from api.graphql.market_reads import (
    candles_between,
    instruments_named,
    market_overview,
    trades_page,
)
from api.graphql.market_types import (
    Ask,
    Book,
    BookSteps,
    Candle,
    Instrument,
    Market,
    Trade,
)
from api.graphql.order_reads import order_named
from api.graphql.past_reads import book_at, steps_between
from api.graphql.permissions import ADMIN, needs_admin, needs_read
from api.graphql.scalars import LogPosition, OrderId, Sequence, Time
from api.graphql.status_types import ExchangeStatus


@strawberry.type(description="A page of trades, newest first.")
class TradeConnection(relay.Connection[Trade]):
    """Relay's connection (forward only)."""


@strawberry.type(description="All that can be read. Orders are sent to the REST API.")
class Query:
    """The root."""

    @strawberry.field(description="All instruments, or those with these symbols.")
    def instruments(self, info: Ask, symbols: list[str] | None = None) -> list[Instrument] | None:
        """In order of listing, or as named."""
        return instruments_named(info, symbols)

    @strawberry.field(description="One instrument.")
    def instrument(self, info: Ask, symbol: str) -> Instrument | None:
        """Raises Refusal (404)."""
        return Instrument.of(info.context.instrument(symbol))

    @strawberry.field(
        description="A book: now, or with `asOf` as it stood. `depth` levels of each side, 1,000 "
        "at most. `minPosition`: not before the read model has come so far."
    )
    async def book(
        self,
        info: Ask,
        symbol: str,
        depth: int = 10,
        as_of: AsOf | None = None,
        min_position: LogPosition | None = None,
    ) -> Book | None:
        """Of one instant."""
        return await book_at(info, symbol, depth, as_of, min_position)

    @strawberry.field(
        description="What happened to a book after a sequence, command by command, for playing it "
        "forward: `first` steps at most, up to `until` where it is given."
    )
    async def book_steps(
        self,
        info: Ask,
        symbol: str,
        after: Sequence,
        until: Sequence | None = None,
        first: int = 100,
    ) -> BookSteps | None:
        """In order."""
        return await steps_between(info, symbol, after, until, first)

    @strawberry.field(description="Trades of an instrument, newest first.")
    async def trades(
        self,
        info: Ask,
        symbol: str,
        first: int = 50,
        after: str | None = None,
        filter: TradeFilter | None = None,
    ) -> TradeConnection | None:
        """A page."""
        page = await trades_page(info, symbol, first, after, filter)
        return page.into(TradeConnection)

    @strawberry.field(
        description="The newest `first` (1,000 at most) candles that begin in [since, until), "
        "oldest first."
    )
    async def candles(
        self,
        info: Ask,
        symbol: str,
        interval: CandleInterval = CandleInterval.M1,
        since: Time | None = None,
        until: Time | None = None,
        first: int = 200,
    ) -> list[Candle] | None:
        """By the gateway's clock."""
        return await candles_between(info, symbol, interval, since, until, first)

    @strawberry.field(
        description="Figures of the past, from trades, quotes and order flow, of one instrument; "
        "without `symbol` of all (`movers` alone). In [since, until): until now and since a day "
        "before where they are left out; at most 31 days and 2,000 intervals."
    )
    def analytics(
        self,
        info: Ask,
        symbol: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        interval: CandleInterval = CandleInterval.M1,
    ) -> Analytics | None:
        """By the gateway's clock."""
        return analytics_of(info, symbol, since, until, interval)

    @strawberry.field(
        description="All instruments, or those with these symbols, with the day's movers (`movers` "
        "of each kind at most)."
    )
    async def market(
        self, info: Ask, symbols: list[str] | None = None, movers: int = 5
    ) -> Market | None:
        """An overview."""
        return await market_overview(info, symbols, movers)

    @strawberry.field(
        extensions=needs_read(),
        description="The caller's account; with the scope admin any, by `number`. Another's is as "
        "unknown as one that never was.",
    )
    def account(self, info: Ask, number: int | None = None) -> Account | None:
        """Raises Problem (404)."""
        caller = info.context.caller()
        assert caller is not None
        if number is None or number == caller.account.number:
            return Account.of(caller.account)
        found = info.context.services.directory_view.account(number)
        if found is None or ADMIN not in info.context.scopes():
            raise Problem(404, "unknown_account", f"no account {number} that this key may see")
        return Account.of(found)

    @strawberry.field(extensions=needs_admin(), description="All accounts, by number.")
    def accounts(self, info: Ask) -> list[Account] | None:
        """For administrators."""
        return [Account.of(each) for each in info.context.services.directory_view.accounts()]

    @strawberry.field(
        extensions=needs_read(), description="The caller's orders, newest first: `account.orders`."
    )
    async def orders(
        self,
        info: Ask,
        first: int = 50,
        after: str | None = None,
        filter: OrderFilter | None = None,
    ) -> OrderConnection | None:
        """A page."""
        return await account_orders(info, _own(info), first, after, filter)

    @strawberry.field(
        extensions=needs_read(),
        description="The caller's executions, newest first: `account.executions`.",
    )
    async def executions(
        self,
        info: Ask,
        first: int = 50,
        after: str | None = None,
        filter: ExecutionFilter | None = None,
    ) -> ExecutionConnection | None:
        """A page."""
        return await account_executions(info, _own(info), first, after, filter)

    @strawberry.field(
        extensions=needs_read(),
        description="One order of the caller's (with the scope admin: of anybody's), by `orderId`, "
        "or by `clientOrderId` and, where several instruments have one, `symbol`; null where there "
        "is none. `minPosition`: not before the history has come so far.",
    )
    async def order(
        self,
        info: Ask,
        order_id: OrderId | None = None,
        client_order_id: str | None = None,
        symbol: str | None = None,
        min_position: LogPosition | None = None,
    ) -> Order | None:
        """As it is now."""
        return await order_named(
            info, order_id, client_order_id=client_order_id, symbol=symbol, at=min_position
        )

    @strawberry.field(
        extensions=needs_read(),
        description="An order's whole life, for its owner or with the scope admin: every event "
        "with its place in the log, and why it did or did not trade. Null where there is none.",
    )
    async def order_life(self, info: Ask, order_id: OrderId) -> OrderLife | None:
        """From the logs."""
        return await life_shown(info, order_id)

    @strawberry.field(description="How the exchange is: each stage's place, lag and speed.")
    async def status(self, info: Ask) -> ExchangeStatus | None:
        """A second old at most."""
        return await info.context.live.status()


def _own(info: Ask) -> int:
    caller = info.context.caller()
    assert caller is not None
    return caller.account.number
