"""`account` and what hangs on it. Every field here needs a key: see `permissions`."""

from __future__ import annotations

import strawberry

from api.graphql.account_reads import (
    account_executions,
    account_orders,
    account_positions,
    sums_of,
)
from api.graphql.account_types import (
    AccountLimits,
    ExecutionConnection,
    OrderConnection,
    Position,
    ProfitAndLoss,
    limits_of,
)
from api.graphql.inputs import ExecutionFilter, OrderFilter
from api.graphql.market_types import Ask
from api.graphql.permissions import needs_read
from commands.directory.entries import AccountEntry


@strawberry.type(description="An account: the caller's own, or any with the scope admin.")
class Account:
    """An account that the caller may see."""

    number: int = strawberry.field(description="Its number.")
    name: str = strawberry.field(description="Its name.")
    killed: bool = strawberry.field(description="Whether its kill switch is on.")
    limits: AccountLimits = strawberry.field(description="What its orders may be.")

    @staticmethod
    def of(entry: AccountEntry) -> Account:
        """An entry of the directory."""
        return Account(
            number=entry.number, name=entry.name, killed=entry.killed, limits=limits_of(entry)
        )

    @strawberry.field(extensions=needs_read(), description="Its orders, newest first.")
    async def orders(
        self,
        info: Ask,
        first: int = 50,
        after: str | None = None,
        filter: OrderFilter | None = None,
    ) -> OrderConnection:
        """A page."""
        return await account_orders(info, self.number, first, after, filter)

    @strawberry.field(extensions=needs_read(), description="Its executions, newest first.")
    async def executions(
        self,
        info: Ask,
        first: int = 50,
        after: str | None = None,
        filter: ExecutionFilter | None = None,
    ) -> ExecutionConnection:
        """A page."""
        return await account_executions(info, self.number, first, after, filter)

    @strawberry.field(
        extensions=needs_read(),
        description="What it holds and has held, by symbol; `open` alone: what it holds now.",
    )
    async def positions(self, info: Ask, open: bool = False) -> list[Position]:
        """All instruments it traded."""
        found = await account_positions(info, self.number)
        return [each for each in found if each.quantity] if open else found

    @strawberry.field(extensions=needs_read(), description="Its profit and loss, in dollars.")
    async def pnl(self, info: Ask) -> ProfitAndLoss:
        """Sums over positions."""
        return sums_of(await account_positions(info, self.number))
