"""What one operation asks of the stores: each store once for all fields that ask alike."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from strawberry.dataloader import DataLoader

from api.services import Services
from commands.directory.entries import InstrumentEntry
from projections.positions import Holding, holdings
from projections.read_books import Top
from projections.read_history import ExecutionRow
from projections.read_market import DayRow, MarketReader

EXECUTIONS_PER_ORDER_MAX = 100
ORDERS_AT_ONCE_MAX = 100


class Loaders:
    """The loaders of one operation."""

    def __init__(self, services: Services) -> None:
        self.market: MarketReader = services.market
        self._services = services
        self.tops: DataLoader[InstrumentEntry, Top | None] = DataLoader(self._load_tops)
        self.days: DataLoader[int, DayRow | None] = DataLoader(self._load_days)
        self.executions: DataLoader[int, list[ExecutionRow]] = DataLoader(
            self._load_executions, max_batch_size=ORDERS_AT_ONCE_MAX
        )
        self.holdings: DataLoader[int, dict[int, Holding]] = DataLoader(self._load_holdings)

    def anew(self) -> Loaders:
        """Loaders that have loaded nothing."""
        return Loaders(self._services)

    def forget(self) -> None:
        """What was loaded is old: load it anew."""
        for loader in (self.tops, self.days, self.executions, self.holdings):
            loader.clear_all()

    async def sparkline(self, instrument: int, points: int) -> list[int]:
        """The instrument's last prices in slices."""
        return (await self.market.series(points)).get(instrument, [])

    async def _load_tops(self, entries: list[InstrumentEntry]) -> list[Top | None]:
        by_shard: dict[int, list[int]] = defaultdict(list)
        for entry in entries:
            by_shard[entry.shard].append(entry.number)
        books = self._services.books
        read = await asyncio.gather(*(books.tops(*each) for each in by_shard.items()))
        found = {
            number: top
            for (_, numbers), tops in zip(by_shard.items(), read, strict=True)
            for number, top in zip(numbers, tops, strict=True)
        }
        return [found[entry.number] for entry in entries]

    async def _load_days(self, numbers: list[int]) -> list[DayRow | None]:
        days = await self.market.days()
        return [days.get(number) for number in numbers]

    async def _load_executions(self, order_ids: Sequence[int]) -> list[list[ExecutionRow]]:
        rows = await self._services.pages.executions_of(list(order_ids), EXECUTIONS_PER_ORDER_MAX)
        found: dict[int, list[ExecutionRow]] = defaultdict(list)
        for row in rows:
            found[row.order_id].append(row)
        return [found[order_id] for order_id in order_ids]

    async def _load_holdings(self, accounts: Sequence[int]) -> list[dict[int, Holding]]:
        history = self._services.history
        return [await holdings(history, account) for account in accounts]
