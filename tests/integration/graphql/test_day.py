"""The day's figures, from summaries and trades, beside a plain loop over the trades."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from projections.read_history import TradeRow
from projections.read_market import DAYS, DayRow
from tests.integration.graphql.asking import WAIT_S
from tests.integration.graphql.conftest import SYMBOL, trade
from tests.integration.stream.serving import Served

pytestmark = pytest.mark.anyio


def day_from(instrument: int, trades: list[TradeRow], from_ns: int) -> DayRow | None:
    """Of trades in order of their matches."""
    of_day = [row for row in trades if row.executed_at_ns >= from_ns]
    if not of_day:
        return None
    before = [row for row in trades if row.match_number < of_day[0].match_number]
    prices = [row.price_ticks for row in of_day]
    return DayRow(
        instrument=instrument,
        open_ticks=prices[0],
        high_ticks=max(prices),
        low_ticks=min(prices),
        close_ticks=prices[-1],
        volume=sum(row.quantity for row in of_day),
        turnover=str(sum(row.price_ticks * row.quantity for row in of_day)),
        trade_count=len(of_day),
        last_match_number=of_day[-1].match_number,
        previous_ticks=before[-1].price_ticks if before else None,
    )


async def told(served: Served, symbol: str) -> list[TradeRow]:
    """All trades so far, in order."""
    order = (await served.exchange.submit(symbol, "buy", 1, price="1.00")).json()
    path = f"/v1/trades/{symbol}?min_position={order['position']}"
    deadline = time.monotonic() + WAIT_S
    while (await served.exchange.client.get(path)).status_code != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    services = served.exchange.services
    entry = services.directory_view.instrument(symbol)
    assert entry is not None
    return list(reversed(await services.history.trades(entry.number, 1_000)))


async def test_a_day_is_its_trades_wherever_it_begins(exchange: Served) -> None:
    await trade(exchange.exchange, seed=5, batches=4)
    services = exchange.exchange.services
    known: dict[int, list[TradeRow]] = {}
    for symbol in (SYMBOL, "MSFT"):
        entry = services.directory_view.instrument(symbol)
        assert entry is not None
        known[entry.number] = await told(exchange, symbol)
    times = sorted({row.executed_at_ns for rows in known.values() for row in rows})
    assert len(times) > 4
    # Before all, at each time (most lie inside a summary), and after all.
    for from_ns in (0, *times, times[-1] + 1):
        rows: list[Any] = await services.history.fetch(DayRow, DAYS, from_ns=from_ns)
        found = {row.instrument: row for row in rows}
        plain = {number: day_from(number, trades, from_ns) for number, trades in known.items()}
        assert found == {number: row for number, row in plain.items() if row}, from_ns
