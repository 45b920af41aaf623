"""A whole exchange in one process: the real logs, matcher, sinks, PostgreSQL, Redis and API.

Only HTTP is short-cut: requests go to the app itself. Every answer is held against the OpenAPI
document (`tests.integration.api.conformance`).
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from api.rest.app import create_app
from api.services import Services
from cli.roles.api import services_of
from cli.roles.projections import STORE_ERRORS
from cli.settings import Settings
from commands.directory.entries import InstrumentTerms, Limits
from projections.postgres import PostgresSink
from projections.redis import RedisSink
from streams.embedded import drive_matchers, drive_sinks
from streams.follower import Follower, FollowerLimits
from streams.gateway import EmbeddedGateway
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from streams.matcher import Matcher, MatcherLimits
from tests.integration.api.conformance import Contract

_numbers = itertools.count(1)
START_S = 60.0
SYMBOLS = ("AAPL", "MSFT", "BRK/A", "^GSPC")


@dataclass
class Exchange:
    """A running exchange and a client of it."""

    services: Services
    gateway: EmbeddedGateway
    client: httpx.AsyncClient
    settings: Settings
    contract: Contract
    keys: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = "alice", **more: Any
    ) -> httpx.Response:
        """Send one request with the key of this name; `more` goes to httpx."""
        headers = dict(more.pop("headers", {}))
        if key is not None:
            headers |= self.key_of(key)
        if body is not None:
            more["json"] = body
        return await self.client.request(method, path, headers=headers, **more)

    def key_of(self, name: str) -> dict[str, str]:
        """The header that carries the key of this name."""
        return {"Authorization": f"Bearer {self.keys[name]}"}

    async def until_readable(self) -> None:
        """Wait until the history has its tables."""
        async with asyncio.timeout(START_S):
            while (await self.call("GET", "/v1/orders")).is_error:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def submit(self, symbol: str, side: str, quantity: int, **more: Any) -> httpx.Response:
        """Submit one order; `key` names whose."""
        key = more.pop("key", "alice")
        body = {"symbol": symbol, "side": side, "quantity": quantity, **more}
        return await self.call("POST", "/v1/orders", body, key=key)

    async def open_account(self, name: str, *scopes: str, limits: Limits | None = None) -> None:
        """Open an account, in the directory itself, and make a key of it."""
        directory = self.services.directory
        change = directory.create_account(name, limits, by="test")
        made, key = directory.create_key(change.entry.number, list(scopes), by="test")
        self.keys[name] = key.text
        self.numbers[name] = change.entry.number
        await self.settle(made.notification_id)

    async def new_symbol(self, **terms: int) -> str:
        """List an instrument that no other test knows."""
        symbol = f"T{next(_numbers)}"
        await self.list_instruments(symbol, **terms)
        return symbol

    async def settle(self, notification_id: int) -> None:
        """Wait until a directory change is in the view and the logs."""
        self.services.directory_view.refresh()
        positions = await self.services.directory_writes.positions_of(notification_id, 10)
        assert positions is not None

    async def list_instruments(self, *symbols: str, **terms: int) -> None:
        """List instruments, in the directory itself."""
        for symbol in symbols:
            change = self.services.directory.list_instrument(
                InstrumentTerms(symbol, **({"tick_size": 100} | terms)), by="test"
            )
            await self.settle(change.notification_id)


@asynccontextmanager
async def running_exchange(
    folder: Path, dsn: str, redis_url: str, shards: int
) -> AsyncIterator[Exchange]:
    """Start everything, with accounts alice and bob, an admin, and `SYMBOLS` listed."""
    settings = Settings(
        data_dir=folder, postgres_dsn=dsn, redis_url=redis_url, shards=shards, clock_interval_ms=0
    )
    settings.logs.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    async with services_of(settings) as (services, _):
        threads = _start_roles(settings, stop)
        app = create_app(services)
        contract = Contract(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)

        async def check(answer: httpx.Response) -> None:
            contract.check(answer, await answer.aread())

        async with httpx.AsyncClient(
            transport=transport, base_url="http://exchange", event_hooks={"response": [check]}
        ) as client:
            exchange = Exchange(services, services.gateway, client, settings, contract)
            try:
                for name in ("alice", "bob"):
                    await exchange.open_account(name, "trade")
                await exchange.open_account("reader", "read")
                await exchange.open_account("admin", "admin")
                await exchange.list_instruments(*SYMBOLS)
                await exchange.until_readable()
                yield exchange
            finally:
                stop.set()
                for thread in threads:
                    thread.join()


def _start_roles(settings: Settings, stop: threading.Event) -> list[threading.Thread]:
    matchers = [
        Matcher(
            SQLiteCommandLog(settings.logs, shard),
            SQLiteEventLog(settings.logs, shard),
            snapshots=None,
            limits=MatcherLimits(),
        )
        for shard in range(settings.shards)
    ]
    assert settings.redis_url is not None and settings.postgres_dsn is not None
    sinks = (RedisSink(settings.redis_url), PostgresSink(settings.postgres_dsn))
    followers = [
        Follower(SQLiteEventLog(settings.logs, shard), sink, limits=FollowerLimits())
        for sink in sinks
        for shard in range(settings.shards)
    ]

    def project() -> None:
        drive_sinks(
            followers, settings.run_dir, stop, transient=STORE_ERRORS, prepare=lambda _: None
        )
        for sink in sinks:
            sink.close()

    threads = [
        threading.Thread(target=drive_matchers, args=(matchers, settings.run_dir, stop)),
        threading.Thread(target=project),
    ]
    for thread in threads:
        thread.start()
    return threads
