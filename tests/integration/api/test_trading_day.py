"""The trading day on a running exchange: the schedule of the settings closes and opens it, through
the directory, its follower, the log, the matcher and the read models. The clock alone is moved by
hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from cli.roles import api as api_role
from cli.servers import EmbeddedPostgres, EmbeddedRedis
from streams.clock import Clock
from tests.integration.api.conftest import database
from tests.integration.api.exchange import SYMBOLS, Exchange, running_exchange

pytestmark = pytest.mark.anyio
SCHEDULE = "22:00-22:05"
WAIT_S = 60.0
TOMORROW = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


class Hand:
    """Moves the clock of an exchange, in the place of `run_clock`."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._asked = threading.Event()
        self._done = threading.Event()

    def run(
        self,
        writer: Any,
        shards: int,
        _interval_ms: int,
        stop: threading.Event,
        permits: Any,
        schedule: Any,
    ) -> None:
        """Step whenever it was moved."""
        clock: Clock | None = None
        while not stop.is_set():
            if not self._asked.wait(0.05):
                continue
            self._asked.clear()
            if clock is None:
                now = self._now_ns
                clock = Clock(
                    writer,
                    shards,
                    1_000,
                    permits=permits,
                    schedule=schedule,
                    wall_ns=now,
                    steady_ns=now,
                )
            clock.step()
            self._done.set()

    def _now_ns(self) -> int:
        return self.now_ns

    async def to(self, day: datetime, text: str) -> None:
        """Let the clock tick at this time of the day."""
        hour, minute, second = map(int, text.split(":"))
        at = day + timedelta(hours=hour, minutes=minute, seconds=second)
        self.now_ns = int(at.timestamp()) * 10**9
        self._done.clear()
        self._asked.set()
        assert await asyncio.to_thread(self._done.wait, WAIT_S)


@pytest.fixture(scope="module")
def hand() -> Hand:
    return Hand()


@pytest.fixture(scope="module")
async def exchange(
    anyio_backend: str,
    hand: Hand,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: EmbeddedPostgres,
    redis_server: EmbeddedRedis,
) -> AsyncIterator[Exchange]:
    """Two shards, and the schedule in the environment as a user sets it."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    folder: Path = tmp_path_factory.mktemp("trading-day")
    with pytest.MonkeyPatch.context() as patch, database(postgres_server) as dsn:
        patch.setenv("CROSSBOOK_SCHEDULE", SCHEDULE)
        patch.setattr(api_role, "run_clock", hand.run)
        async with running_exchange(folder, dsn, redis_server.url, 2) as running:
            yield running


async def until_all_are(exchange: Exchange, state: str) -> None:
    """Wait until every book says so."""
    async with asyncio.timeout(WAIT_S):
        for symbol in SYMBOLS:
            while (await book(exchange, symbol))["state"] != state:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def book(exchange: Exchange, symbol: str, min_position: str = "") -> Any:
    query = {"min_position": min_position} if min_position else {}
    return (await exchange.call("GET", f"/v1/books/{symbol}", params=query)).json()


async def bid(exchange: Exchange, symbol: str, **more: Any) -> Any:
    return await exchange.submit(symbol, "buy", 5, price="10.00", **more)


async def now(exchange: Exchange, order: Any, symbol: str) -> Any:
    """An order as it is after all that the book has seen."""
    query = {"min_position": (await book(exchange, symbol))["position"]}
    answer = await exchange.call("GET", f"/v1/orders/{order.json()['order_id']}", params=query)
    return answer.json()


async def test_the_schedule_closes_and_opens_every_book(exchange: Exchange, hand: Hand) -> None:
    await hand.to(TOMORROW, "21:59:59")
    symbol, other = SYMBOLS[0], SYMBOLS[2]
    day = await bid(exchange, symbol, client_order_id="today")
    kept = await bid(exchange, symbol, time_in_force="gtc")
    elsewhere = await bid(exchange, other)
    assert {each.status_code for each in (day, kept, elsewhere)} == {201}, "it is open"

    await hand.to(TOMORROW, "22:00:00")
    await until_all_are(exchange, "closed")
    assert (await now(exchange, day, symbol))["state"] == "expired"
    assert (await now(exchange, elsewhere, other))["state"] == "expired"
    assert (await now(exchange, kept, symbol))["state"] == "open"
    refused = await bid(exchange, symbol)
    assert (refused.status_code, refused.json()["reason"]) == (422, "instrument_closed")

    await hand.to(TOMORROW, "22:04:59")
    assert (await bid(exchange, other)).json()["reason"] == "instrument_closed"

    await hand.to(TOMORROW, "22:05:00")
    await until_all_are(exchange, "open")
    again = await bid(exchange, symbol, client_order_id="today")
    assert again.status_code == 201, "a new day: the client order id is free"
    assert again.json()["order_id"] != day.json()["order_id"]
    levels = (await book(exchange, symbol, again.json()["position"]))["bids"]
    assert [(each["quantity"], each["order_count"]) for each in levels] == [(10, 2)]


async def test_what_an_admin_halted_is_halted_the_next_day_too(
    exchange: Exchange, hand: Hand
) -> None:
    halted = SYMBOLS[1]
    path = f"/v1/admin/instruments/{halted}/state"
    answer = await exchange.call("PUT", path, {"state": "halted"}, key="admin")
    assert answer.status_code == 200, answer.text
    after = TOMORROW + timedelta(days=1)
    await hand.to(after, "22:00:30")
    await until_all_are(exchange, "closed")
    await hand.to(after, "22:06:00")
    async with asyncio.timeout(WAIT_S):
        while (await book(exchange, halted))["state"] != "halted":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await bid(exchange, SYMBOLS[0])).status_code == 201
    assert (await bid(exchange, halted)).json()["reason"] == "instrument_halted"
    trail = (await exchange.call("GET", "/v1/admin/audit", key="admin")).json()
    by_schedule = [each for each in trail["changes"] if each["by"] == "schedule"]
    assert {each["subject"] for each in by_schedule} == set(SYMBOLS)
