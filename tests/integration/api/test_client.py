"""The client on the running app: pages, what is remembered, limits that are heeded, too late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from api.rates.enforce import Rates, RateSettings
from crossbook_client import ApiError, AsyncCrossbook, Retries
from tests.integration.api.exchange import Exchange

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def client_of(
    exchange: Exchange, key: str | None, remembered: int = 0
) -> AsyncIterator[AsyncCrossbook]:
    """The client, its requests going to the app itself."""
    made = AsyncCrossbook("http://exchange", "x", remembered=remembered)
    await made.close()
    headers = {} if key is None else {"Authorization": f"Bearer {exchange.keys[key]}"}
    transport = httpx.ASGITransport(exchange.contract._app)
    made._http = httpx.AsyncClient(transport=transport, base_url="http://exchange", headers=headers)
    async with made:
        yield made


async def test_iterators_read_page_after_page(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    async with client_of(exchange, "alice") as client:
        sent = [await client.submit(symbol, "buy", 1, price="1.00") for _ in range(5)]
        async with client_of(exchange, "bob") as bob:
            last = await bob.submit(symbol, "sell", 5, price="1.00")
        where = {"min_position": last.position}
        orders = [each async for each in client.iter_orders(symbol=symbol, page=2, **where)]
        trades = [each async for each in client.iter_trades(symbol, page=2, **where)]
    assert [each.order_id for each in orders] == [each.order_id for each in reversed(sent)]
    assert len(trades) == 5
    assert [each.match_number for each in trades] == sorted(
        (each.match_number for each in trades), reverse=True
    )
    async with client_of(exchange, "admin") as admin:
        changes = [each async for each in admin.admin.iter_audit(page=3)]
    assert [each.notification_id for each in changes] == sorted(
        {each.notification_id for each in changes}, reverse=True
    )
    assert changes[-1].event == "account.created"


async def test_what_is_still_so_is_not_sent_again(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    async with client_of(exchange, "alice", remembered=2) as client:
        first = await client.submit(symbol, "buy", 1, price="1.00")
        book = await client.book(symbol, min_position=first.position)
        assert await client.book(symbol) is book
        assert client.unchanged == 1
        second = await client.submit(symbol, "buy", 1, price="1.00")
        changed = await client.book(symbol, min_position=second.position)
        assert (changed.bids[0].quantity, client.unchanged) == (2, 1)
        for other in ("AAPL", "MSFT"):  # the memory has two places
            await client.instrument(other)
        assert (await client.book(symbol)).bids == changed.bids
        assert client.unchanged == 1


async def test_a_limit_is_waited_for(exchange: Exchange) -> None:
    services = exchange.contract._app.state.services
    before = services.rates
    settings = replace(RateSettings(), key_requests_per_s=2)
    services.rates = Rates(settings)
    try:
        async with client_of(exchange, "alice") as client:
            for _ in range(4):
                await client.orders(limit=1)
            assert client.resent >= 1
            client.retries = Retries(0)
            with pytest.raises(ApiError) as refused:
                for _ in range(9):
                    await client.orders(limit=1)
    finally:
        services.rates = before
    assert (refused.value.status, refused.value.reason) == (429, "rate_limited")
    assert refused.value.retry_after_s >= 1


async def test_too_late_tells_the_state(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    async with client_of(exchange, "alice") as client, client_of(exchange, "bob") as bob:
        order = await client.submit(symbol, "buy", 1, price="1.00")
        await bob.submit(symbol, "sell", 1, price="1.00")
        with pytest.raises(ApiError) as refused:
            await client.cancel(order.order_id)
        assert (refused.value.reason, refused.value.state) == ("too_late", "filled")
        order = await client.submit(symbol, "buy", 1, price="1.00")
        first = await client.cancel(order.order_id)
        again = await client.cancel(order.order_id)
    assert (first.outcome, again.outcome, again.cancel_reason) == (
        "cancelled",
        "cancelled",
        first.cancel_reason,
    )
