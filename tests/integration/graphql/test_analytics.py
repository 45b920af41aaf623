"""`analytics` beside what REST answers to the same questions, and what it refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from api.graphql.scalars import time_text
from projections.analytics.names import METRIC_NAMES
from projections.read_analytics import AnalyticsReader
from tests.integration.graphql.asking import WAIT_S, ask, code_of
from tests.integration.graphql.conftest import SYMBOL
from tests.integration.stream.serving import Served

pytestmark = pytest.mark.anyio
HOUR_NS = 3_600 * 10**9
ASKED = "($symbol: String, $since: Time, $until: Time, $interval: CandleInterval!)"
GIVEN = "(symbol: $symbol, since: $since, until: $until, interval: $interval)"
Shown = Callable[[Any], Any]


def same(value: Any) -> Any:
    return value


def dollars(ticks: Any) -> str:
    """A sum or a price, to the tick."""
    return f"{Decimal(ticks) / 10_000:.4f}"


def mean(ticks: float | None) -> str | None:
    return None if ticks is None else f"{Decimal(ticks) / 10_000:.8f}"


BEGINS = ("begins_ns", lambda text: time_text(int(text)))
HELD = ("held_ns", lambda text: int(text) / 1e9)
SHARES: dict[str, tuple[str, Shown]] = {
    name: (name, same) for name in ("volume", "bought", "sold")
} | {"tradeCount": ("trade_count", same)}
# For each metric: GraphQL's name for it, and of each of its fields REST's, and how that is shown.
FIELDS: dict[str, tuple[str, dict[str, tuple[str, Shown]]]] = {
    "vwap": (
        "vwap",
        {
            "begins": BEGINS,
            "vwap": ("vwap_ticks", mean),
            "volume": ("volume", same),
            "turnover": ("value", dollars),
        },
    ),
    "twap": ("twap", {"begins": BEGINS, "twap": ("twap_ticks", mean), "heldS": HELD}),
    "candles": (
        "candles",
        {
            "begins": BEGINS,
            "open": ("open_ticks", dollars),
            "high": ("high_ticks", dollars),
            "low": ("low_ticks", dollars),
            "close": ("close_ticks", dollars),
            "volume": ("volume", same),
            "turnover": ("value", dollars),
            "tradeCount": ("trade_count", same),
            "vwap": ("vwap_ticks", mean),
        },
    ),
    "quoted-spread": (
        "quotedSpread",
        {
            "begins": BEGINS,
            "spread": ("spread_ticks", mean),
            "spreadBps": ("spread_bps", same),
            "heldS": HELD,
        },
    ),
    "effective-spread": (
        "effectiveSpread",
        {
            "begins": BEGINS,
            "spread": ("effective_spread_ticks", mean),
            "volume": ("volume", same),
        },
    ),
    "realised-spread": (
        "realisedSpread",
        {
            "begins": BEGINS,
            "spread": ("realised_spread_ticks", mean),
            "volume": ("volume", same),
        },
    ),
    "depth": (
        "depth",
        {
            "begins": BEGINS,
            "bidDepth": ("bid_depth", same),
            "askDepth": ("ask_depth", same),
            "imbalance": ("imbalance", same),
        },
    ),
    "order-to-trade": (
        "orderToTrade",
        {
            "begins": BEGINS,
            "messages": ("messages", same),
            "submitCount": ("submit_count", same),
            "replaceCount": ("replace_count", same),
            "cancelCount": ("cancel_count", same),
            "tradeCount": ("trade_count", same),
            "orderToTrade": ("order_to_trade", same),
        },
    ),
    "fill-rate": (
        "fillRate",
        {
            "begins": BEGINS,
            "orderCount": ("order_count", same),
            "executedCount": ("executed_count", same),
            "quantity": ("quantity", same),
            "executedQuantity": ("executed_quantity", same),
            "fillRate": ("fill_rate", same),
            "executedShare": ("executed_share", same),
        },
    ),
    "volatility": (
        "volatility",
        {"volatility": ("volatility", same), "returnCount": ("return_count", same)},
    ),
    "volume-profile": ("volumeProfile", {"price": ("price_ticks", dollars), **SHARES}),
    "activity": ("activity", {"begins": BEGINS, **SHARES}),
    "movers": (
        "movers",
        {
            "symbol": ("symbol", same),
            "first": ("first_ticks", dollars),
            "last": ("last_ticks", dollars),
            "change": ("change_ticks", dollars),
            "changePercent": ("change", lambda share: round(100 * share, 4)),
            "volume": ("volume", same),
        },
    ),
}
SELECTED = " ".join(f"{name} {{ {' '.join(fields)} }}" for name, fields in FIELDS.values())
EVERYTHING = f"query {ASKED} {{ analytics{GIVEN} {{ {SELECTED} }} }}"


async def rest(served: Served, metric: str, **query: Any) -> list[dict[str, Any]]:
    """The rows of REST."""
    client = served.exchange.client
    answer = await client.get(f"/v1/analytics/{metric}", params=query)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


async def told(served: Served) -> int:
    """Wait until the history has all trades; a time after them."""
    order = await served.exchange.submit(SYMBOL, "buy", 1, price="1.00")
    path = f"/v1/trades/{SYMBOL}?min_position={order.json()['position']}"
    deadline = time.monotonic() + WAIT_S
    while (await served.exchange.client.get(path)).status_code != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    return time.time_ns() + 1


async def test_every_metric_is_that_of_rest(exchange: Served) -> None:
    assert tuple(FIELDS) == METRIC_NAMES
    until = await told(exchange)
    span = {"from": until - HOUR_NS, "to": until}
    found = (
        await ask(
            exchange,
            EVERYTHING,
            symbol=SYMBOL,
            since=time_text(until - HOUR_NS),
            until=time_text(until),
            interval="M5",
        )
    )["analytics"]
    for metric, (name, fields) in FIELDS.items():
        rows = await rest(exchange, metric, symbol=SYMBOL, interval="5m", **span)
        shown = [{key: show(row[of]) for key, (of, show) in fields.items()} for row in rows]
        assert shown, metric
        assert found[name] == (shown[0] if metric == "volatility" else shown), metric
    assert any(row["imbalance"] for row in found["depth"])
    assert sum(row["tradeCount"] for row in found["candles"]) > 20
    assert len(found["volumeProfile"]) > 3


async def test_movers_of_all_and_the_busiest_prices(exchange: Served) -> None:
    until = await told(exchange)
    since = time_text(until - HOUR_NS)
    query = (
        "query ($since: Time, $until: Time) { all: analytics(since: $since, until: $until) {"
        " symbol movers(first: 1) { symbol } } one: analytics(symbol: "
        f'"{SYMBOL}", since: $since, until: $until) {{ volumeProfile(first: 2) {{ price volume }}'
        " } }"
    )
    found = await ask(exchange, query, since=since, until=time_text(until))
    span = {"from": until - HOUR_NS, "to": until}
    movers = await rest(exchange, "movers", **span)
    assert len(movers) == 2
    assert found["all"] == {"symbol": None, "movers": [{"symbol": movers[0]["symbol"]}]}
    rows = await rest(exchange, "volume-profile", symbol=SYMBOL, **span)
    most = sorted(rows, key=lambda row: (-row["volume"], row["price_ticks"]))[:2]
    assert found["one"]["volumeProfile"] == [
        {"price": dollars(row["price_ticks"]), "volume": row["volume"]}
        for row in sorted(most, key=lambda row: int(row["price_ticks"]))
    ]


async def test_where_nothing_was_there_is_nothing(exchange: Served) -> None:
    await told(exchange)
    found = (
        await ask(
            exchange,
            EVERYTHING,
            symbol=SYMBOL,
            since="2001-01-01T00:00:00Z",
            until="2001-01-01T01:00:00Z",
            interval="M5",
        )
    )["analytics"]
    assert found.pop("volatility") == {"volatility": None, "returnCount": 0}
    assert found == {name: [] for name, _ in FIELDS.values() if name != "volatility"}


def of(arguments: str, selected: str = "vwap { vwap }") -> str:
    return f"{{ analytics({arguments}) {{ {selected} }} }}"


AAPL = f'symbol: "{SYMBOL}"'
DAY = f'{AAPL}, since: "2026-01-01T00:00:00Z", until: "2026-01-02T00:00:00Z"'
WIDE = "candles { begins open high low close volume turnover tradeCount vwap }"
REFUSED = {
    "unknown_instrument": of('symbol: "NOPE"'),
    "symbol_required": of("interval: H1"),
    "invalid_range, empty": of(
        f'{AAPL}, since: "2026-01-01T00:00:00Z", until: "2026-01-01T00:00:00Z"'
    ),
    "invalid_range, backwards": of(
        f'{AAPL}, since: "2026-01-02T00:00:00Z", until: "2026-01-01T00:00:00Z"'
    ),
    "invalid_range, 32 days": of(
        f'{AAPL}, since: "2026-01-01T00:00:00Z", until: "2026-02-02T00:00:00Z", interval: H1'
    ),
    "invalid_range, 2,001 intervals": of(
        f'{AAPL}, since: "2026-01-01T00:00:00Z", until: "2026-01-02T09:21:00Z"', "twap { begins }"
    ),
    "invalid_range, beyond 64 bits": of(
        f'{AAPL}, since: "9998-01-01T00:00:00Z", until: "9998-01-02T00:00:00Z", interval: H1'
    ),
    "invalid_range, before 1970": of(
        f'{AAPL}, since: "1960-01-01T00:00:00Z", until: "1960-01-02T00:00:00Z", interval: H1'
    ),
    "page_too_large, prices": of(DAY + ", interval: H1", "volumeProfile(first: 2001) { price }"),
    "page_too_large, movers": of("interval: H1", "movers(first: 2001) { symbol }"),
    "invalid_value": of(AAPL, "movers(first: 0) { symbol }"),
    "invalid_query, time": of(f'{AAPL}, since: "yesterday"'),
    "invalid_query, interval": of(f"{AAPL}, interval: M2"),
    "too_costly, minutes of a day": of(DAY, WIDE),
    "too_costly, questions": "{ "
    + " ".join(
        f"a{n}: analytics(interval: D1) {{ movers(first: 1) {{ symbol }} vwap {{ vwap }} }}"
        for n in range(13)
    )
    + " }",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_says_why(exchange: Served, name: str) -> None:
    await told(exchange)
    answer = await exchange.exchange.client.post("/graphql", json={"query": REFUSED[name]})
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == name.partition(",")[0], error


async def test_a_default_of_a_variable_counts_like_a_value(exchange: Served) -> None:
    range_ = 'interval: $i, since: $s, until: "2026-01-02T00:00:00Z"'
    costly = (
        'query ($i: CandleInterval = M1, $s: Time = "2026-01-01T00:00:00Z") '
        f"{of(f'{AAPL}, {range_}', WIDE)}"
    )
    assert await code_of(exchange, costly) == "too_costly"
    found = await ask(exchange, costly, i="H1")
    assert found["analytics"] == {"candles": []}
    deep = (
        f"query ($depth: Int = 1000) {{ book({AAPL}, depth: $depth) {{ bids {{ price quantity"
        " orderCount } asks { price quantity orderCount } orders(first: 1000) { orderId } } }"
    )
    assert await code_of(exchange, deep) == "too_costly"
    endless = f"{{ book({AAPL}, depth: {'9' * 5_000}) {{ state }} }}"
    answer = await exchange.exchange.client.post("/graphql", json={"query": endless})
    assert answer.json()["errors"][0]["extensions"]["code"] == "invalid_query"


async def test_one_operation_asks_one_thing_at_a_time(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await told(exchange)
    asked, now, most = 0, 0, 0
    answer = AnalyticsReader.ask

    async def counted(self: AnalyticsReader, *given: Any, **more: Any) -> Any:
        nonlocal asked, now, most
        asked, now = asked + 1, now + 1
        most = max(most, now)
        try:
            return await answer(self, *given, **more)
        finally:
            now -= 1

    monkeypatch.setattr(AnalyticsReader, "ask", counted)
    query = of(
        f"{AAPL}, interval: H1", "vwap { vwap } activity { volume } volatility { volatility }"
    )
    found = (await ask(exchange, query))["analytics"]
    assert all(found.values())
    assert (asked, most) == (3, 1)


async def test_a_metric_that_fails_takes_no_other_with_it(exchange: Served) -> None:
    until = await told(exchange)
    query = (
        f'{{ analytics(since: "{time_text(until - HOUR_NS)}", until: "{time_text(until)}",'
        " interval: H1) { vwap { vwap } movers { symbol } } }"
    )
    answer = (await exchange.exchange.client.post("/graphql", json={"query": query})).json()
    [error] = answer["errors"]
    assert error["path"] == ["analytics", "vwap"]
    assert (error["extensions"]["code"], error["extensions"]["status"]) == ("symbol_required", 422)
    assert answer["data"]["analytics"]["vwap"] is None
    assert len(answer["data"]["analytics"]["movers"]) == 2


async def test_busy_and_missing_histories_say_so(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = exchange.exchange.services
    assert services.analytics is not None
    query = {"query": of(f"{AAPL}, interval: H1")}
    monkeypatch.setattr(services.analytics, "_waiting", 1_000)
    answer = (await exchange.exchange.client.post("/graphql", json=query)).json()
    assert answer["errors"][0]["extensions"] == {"code": "busy", "status": 503, "retryAfterS": 1}
    monkeypatch.setattr(services, "analytics", None)
    answer = (await exchange.exchange.client.post("/graphql", json=query)).json()
    assert answer["errors"][0]["extensions"]["code"] == "history_unavailable"
