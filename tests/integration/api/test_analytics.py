"""`/v1/analytics/…` on a running exchange."""

from __future__ import annotations

import asyncio
import time
from typing import Any, get_args

import pytest

from api.rest.analytics import Interval, Metric
from projections.analytics.metrics import METRICS
from projections.analytics.names import INTERVALS, METRIC_NAMES
from projections.read_analytics import CONCURRENT_MAX, WAITING_MAX
from tests.integration.api.exchange import Exchange

pytestmark = pytest.mark.anyio


def test_names_are_the_same_everywhere() -> None:
    assert get_args(Metric) == METRIC_NAMES
    assert set(get_args(Metric)) == set(METRICS)
    assert get_args(Interval) == tuple(INTERVALS)


async def ask(exchange: Exchange, metric: str, status: int = 200, **query: Any) -> Any:
    answer = await exchange.call("GET", f"/v1/analytics/{metric}", key=None, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


async def seen(exchange: Exchange, path: str) -> None:
    """Wait until it is answered: the read model may lag."""
    deadline = time.monotonic() + 60
    while (await exchange.call("GET", path, key=None)).status_code != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_every_metric_answers(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    await exchange.submit(symbol, "sell", 10, price="10.01")
    await exchange.submit(symbol, "buy", 5, price="9.99")
    last = (await exchange.submit(symbol, "buy", 4, price="10.01")).json()
    await seen(exchange, f"/v1/trades/{symbol}?min_position={last['position']}")
    for metric in METRIC_NAMES:
        found = await ask(exchange, metric, symbol=symbol, interval="1h")
        assert (found["metric"], found["symbol"], found["interval"]) == (metric, symbol, "1h")
        assert found["rows"], metric
        assert "account" not in str(found)
    rows = (await ask(exchange, "candles", symbol=symbol, interval="1d"))["rows"]
    assert rows[0]["volume"] == 4 and rows[0]["value"] == str(4 * 100_100)
    assert rows[0]["vwap_ticks"] == 100_100
    spread = (await ask(exchange, "effective-spread", symbol=symbol))["rows"]
    assert spread[-1]["effective_spread_ticks"] == 200
    nothing = await ask(exchange, "volatility", **{"symbol": symbol, "from": 1, "to": 2})
    assert nothing["rows"] == [{"volatility": None, "return_count": 0}]


async def test_questions_that_make_no_sense(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    await seen(exchange, f"/v1/analytics/movers?symbol={symbol}")
    now = time.time_ns()
    assert (await ask(exchange, "vwap", 422))["reason"] == "symbol_required"
    assert (await ask(exchange, "vwap", 404, symbol="NOPE"))["reason"] == "unknown_instrument"
    assert (await ask(exchange, "profit", 400, symbol=symbol))["reason"] == "invalid_parameter"
    for span in ({"from": 5, "to": 5}, {"from": 0, "to": now}, {"from": now - 2 * 86_400 * 10**9}):
        found = await ask(exchange, "vwap", 422, symbol=symbol, **span)
        assert found["reason"] == "invalid_range"
    found = await ask(exchange, "vwap", 400, symbol=symbol, interval="2m")
    assert found["reason"] == "invalid_parameter"


async def test_a_crowd_is_answered_or_told_to_come_again(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    await exchange.submit(symbol, "buy", 5, price="9.99")
    count = CONCURRENT_MAX + WAITING_MAX + 20
    path = f"/v1/analytics/movers?symbol={symbol}"
    await seen(exchange, path)
    answers = await asyncio.gather(*(exchange.call("GET", path, key=None) for _ in range(count)))
    statuses = {answer.status_code for answer in answers}
    assert 200 in statuses and statuses <= {200, 503}
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["reason"] == "busy" and "Retry-After" in answer.headers
