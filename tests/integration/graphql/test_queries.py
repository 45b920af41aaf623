"""What queries answer, beside what REST and the logs say."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest

from domain.events import LevelChanged
from streams.logs import SQLiteEventLog
from tests.integration.graphql.asking import ask, code_of
from tests.integration.graphql.conftest import SYMBOL
from tests.integration.stream.serving import Served

pytestmark = pytest.mark.anyio
LEVELS = "bids { price quantity orderCount } asks { price quantity orderCount }"
BOOK = f"sequence position {LEVELS}"


async def test_a_book_is_that_of_rest(exchange: Served) -> None:
    query = f'{{ book(symbol: "{SYMBOL}", depth: 1000) {{ {BOOK} spread bestBid {{ price }} }} }}'
    found = (await ask(exchange, query))["book"]
    answer = await exchange.exchange.client.get(f"/v1/books/{SYMBOL}?depth=1000")
    rest = answer.json()
    assert found["sequence"] == rest["sequence"]
    for side in ("bids", "asks"):
        assert [(x["price"], x["quantity"], x["orderCount"]) for x in found[side]] == [
            (x["price"], x["quantity"], x["order_count"]) for x in rest[side]
        ]
    assert found["bestBid"]["price"] == found["bids"][0]["price"]


def levels_at(served: Served, symbol: str, sequence: int) -> tuple[list[Any], list[Any]]:
    """The levels after an event of the book, from the log's LevelChanged alone: an independent
    replay, one dict a side."""
    entry = served.exchange.services.directory_view.instrument(symbol)
    assert entry is not None
    log = SQLiteEventLog(served.exchange.settings.logs, entry.shard)
    sides: tuple[dict[int, Any], dict[int, Any]] = ({}, {})
    for batch in log.read(0, 100_000):
        for event in batch.events():
            if not isinstance(event, LevelChanged) or event.instrument != entry.number:
                continue
            if event.book_sequence > sequence:
                continue
            side = sides[event.side]
            side[event.price_ticks] = (event.quantity, event.order_count)
            if event.quantity == 0:
                del side[event.price_ticks]
    log.close()
    bids = [(price, *sides[0][price]) for price in sorted(sides[0], reverse=True)]
    return bids, [(price, *sides[1][price]) for price in sorted(sides[1])]


def rows_of(levels: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    return [(int(x["price"].replace(".", "")), x["quantity"], x["orderCount"]) for x in levels]


async def test_a_book_of_the_past_is_that_of_an_independent_replay(exchange: Served) -> None:
    now = (await ask(exchange, f'{{ book(symbol: "{SYMBOL}") {{ sequence }} }}'))["book"]
    newest = int(now["sequence"])
    assert newest > 100
    query = (
        f'query ($at: Sequence!) {{ book(symbol: "{SYMBOL}", depth: 1000, asOf: {{sequence: $at}})'
        f" {{ {BOOK} isPast }} }}"
    )
    sequences = [*random.Random(3).sample(range(1, newest + 1), 25), 1, newest]
    for sequence in sequences:
        book = (await ask(exchange, query, at=str(sequence)))["book"]
        bids, asks = levels_at(exchange, SYMBOL, sequence)
        assert (book["sequence"], book["isPast"]) == (str(sequence), True)
        assert (rows_of(book["bids"]), rows_of(book["asks"])) == (bids, asks), sequence
    assert await code_of(exchange, query, at=str(newest + 1)) == "ahead"
    before = f'{{ book(symbol: "{SYMBOL}", asOf: {{position: "0-0,1-0"}}) {{ sequence }} }}'
    assert await code_of(exchange, before) == "not_listed_then"


async def test_steps_play_a_book_forward_to_what_it_is(exchange: Served) -> None:
    start = (
        await ask(
            exchange,
            f'{{ book(symbol: "{SYMBOL}", depth: 1000, asOf: {{sequence: "40"}}) {{ {BOOK} }} }}',
        )
    )["book"]
    sides = {
        "BUY": {x["price"]: x["quantity"] for x in start["bids"]},
        "SELL": {x["price"]: x["quantity"] for x in start["asks"]},
    }
    query = (
        f'query ($after: Sequence!) {{ bookSteps(symbol: "{SYMBOL}", after: $after, first: 30) {{'
        "sequence newest hasMore steps { sequence previousSequence position events"
        " levels { side price quantity } trades { price } } } }"
    )
    at, more = "40", True
    while more:
        found = (await ask(exchange, query, after=at))["bookSteps"]
        for step in found["steps"]:
            assert step["previousSequence"] == at
            at = step["sequence"]
            for level in step["levels"]:
                sides[level["side"]][level["price"]] = level["quantity"]
        more = found["hasMore"]
        assert found["sequence"] == at
    now = (await ask(exchange, f'{{ book(symbol: "{SYMBOL}", depth: 1000) {{ {BOOK} }} }}'))["book"]
    assert at == now["sequence"]
    for side, levels in (("BUY", now["bids"]), ("SELL", now["asks"])):
        left = {price: quantity for price, quantity in sides[side].items() if quantity}
        assert left == {x["price"]: x["quantity"] for x in levels}


async def test_a_trades_sequence_is_that_of_its_step(exchange: Served) -> None:
    """By the log, by the history, by a book of the past and by its candle."""
    steps_query = (
        f'query ($after: Sequence!) {{ bookSteps(symbol: "{SYMBOL}", after: $after, first: 50) {{'
        " sequence hasMore steps { sequence previousSequence trades { matchNumber sequence } } } }"
    )
    by_log: dict[str, str] = {}
    at, more = "0", True
    while more:
        found = (await ask(exchange, steps_query, after=at))["bookSteps"]
        for step in found["steps"]:
            for trade in step["trades"]:
                by_log[trade["matchNumber"]] = trade["sequence"]
                assert int(step["previousSequence"]) < int(trade["sequence"])
                assert int(trade["sequence"]) <= int(step["sequence"])
        at, more = found["sequence"], found["hasMore"]
    found = await ask(
        exchange,
        f'{{ trades(symbol: "{SYMBOL}", first: 500) {{ edges {{ node {{ matchNumber'
        " sequence } } }"
        f' candles(symbol: "{SYMBOL}", interval: D1) {{ lastMatchNumber lastSequence }} }}',
    )
    rows = [edge["node"] for edge in found["trades"]["edges"]]
    assert {row["matchNumber"]: row["sequence"] for row in rows} == by_log and by_log
    assert found["candles"][-1] == {
        "lastMatchNumber": rows[0]["matchNumber"],
        "lastSequence": rows[0]["sequence"],
    }
    last = rows[0]["sequence"]
    then = f'book(symbol: "{SYMBOL}", asOf: {{sequence: "{last}"}}) {{ lastTrade {{ sequence }} }}'
    assert (await ask(exchange, f"{{ {then} }}"))["book"]["lastTrade"] == {"sequence": last}


async def test_orders_of_a_book_add_up_to_its_levels_and_own_ones_are_marked(
    exchange: Served,
) -> None:
    query = (
        f'{{ book(symbol: "{SYMBOL}", depth: 200) {{ {BOOK}'
        " orders(first: 500) { orderId side price quantity own } } }"
    )
    book = (await ask(exchange, query, key="alice"))["book"]
    mine = (
        await ask(
            exchange,
            "{ orders(first: 500, filter: {states: [OPEN, PARTIALLY_FILLED]})"
            " { edges { node { orderId } } } }",
            key="alice",
        )
    )["orders"]
    own = {edge["node"]["orderId"] for edge in mine["edges"]}
    for side, levels in (("BUY", book["bids"]), ("SELL", book["asks"])):
        sums: dict[str, int] = {}
        for order in book["orders"]:
            if order["side"] == side:
                sums[order["price"]] = sums.get(order["price"], 0) + order["quantity"]
            assert order["own"] == (order["orderId"] in own)
        assert sums == {x["price"]: x["quantity"] for x in levels}
    assert any(order["own"] for order in book["orders"])
    public = (await ask(exchange, query))["book"]
    assert not any(order["own"] for order in public["orders"])


async def test_pages_of_orders_hold_each_once(exchange: Served) -> None:
    query = (
        "query ($after: String) { orders(first: 7, after: $after) { edges { cursor node {"
        " orderId symbol state executedQuantity executions { quantity } } }"
        " pageInfo { hasNextPage hasPreviousPage endCursor } } }"
    )
    seen: list[str] = []
    after, more = None, True
    while more:
        found = (await ask(exchange, query, key="alice", after=after))["orders"]
        for edge in found["edges"]:
            node = edge["node"]
            seen.append(node["orderId"])
            assert node["executedQuantity"] == sum(x["quantity"] for x in node["executions"])
        assert found["pageInfo"]["hasPreviousPage"] == (after is not None)
        after, more = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
    account = exchange.exchange.numbers["alice"]
    rows = await exchange.exchange.services.history.orders(account, limit=1_000)
    assert seen == [str(row.order_id) for row in rows]
    assert await code_of(exchange, query, key="alice", after="bm9uZQ") == "invalid_cursor"


async def test_candles_and_the_day_are_those_of_the_trades(exchange: Served) -> None:
    entry = exchange.exchange.services.directory_view.instrument(SYMBOL)
    assert entry is not None
    trades = await exchange.exchange.services.history.trades(entry.number, 1_000)
    found = await ask(
        exchange,
        f'{{ candles(symbol: "{SYMBOL}", interval: D1) {{ open high low close volume turnover vwap'
        f' tradeCount }} market(symbols: ["{SYMBOL}"]) {{ volume instruments {{ day {{ high low'
        " volume vwap last } sparkline(points: 10) quote { lastTrade { price } } } } }",
    )
    [candle] = found["candles"]
    prices = [row.price_ticks for row in trades]
    volume = sum(row.quantity for row in trades)
    turnover = sum(row.price_ticks * row.quantity for row in trades)

    def text(ticks: int) -> str:
        return f"{ticks // 10_000}.{ticks % 10_000:04d}"

    assert candle == {
        "open": text(prices[-1]),
        "high": text(max(prices)),
        "low": text(min(prices)),
        "close": text(prices[0]),
        "volume": volume,
        "turnover": text(turnover),
        "vwap": text(int(Fraction(turnover, volume) + Fraction(1, 2))),
        "tradeCount": len(trades),
    }
    [row] = found["market"]["instruments"]
    assert row["day"] == {name: candle[name] for name in ("high", "low", "volume", "vwap")} | {
        "last": candle["close"]
    }
    assert row["sparkline"][-1] == candle["close"] == row["quote"]["lastTrade"]["price"]


async def test_profit_and_loss_is_cash_and_value(exchange: Served) -> None:
    """At any mark realised + unrealised is what sales brought less what purchases cost, and what is
    held: reckoned here from the executions alone."""
    found = (
        await ask(
            exchange,
            "{ account { positions { symbol quantity mark realised unrealised total cost }"
            " pnl { realised unrealised total } executions(first: 500) { edges { node {"
            " symbol side price quantity } } } } }",
            key="alice",
        )
    )["account"]
    total = 0
    for position in found["positions"]:
        held, cash = 0, 0
        for edge in found["executions"]["edges"]:
            node = edge["node"]
            if node["symbol"] != position["symbol"]:
                continue
            sign = 1 if node["side"] == "BUY" else -1
            held += sign * node["quantity"]
            cash -= sign * node["quantity"] * int(node["price"].replace(".", ""))
        assert position["quantity"] == held
        worth = cash + held * int(position["mark"].replace(".", ""))
        assert int(position["total"].replace(".", "")) == worth
        total += worth
    assert int(found["pnl"]["total"].replace(".", "")) == total


async def test_an_orders_life_is_that_of_explain_and_shows_no_counterparty(
    exchange: Served,
) -> None:
    executions = (
        await ask(exchange, "{ executions(first: 1) { edges { node { orderId } } } }", key="alice")
    )["executions"]["edges"]
    order_id = executions[0]["node"]["orderId"]
    query = (
        f'{{ orderLife(orderId: "{order_id}") {{ orderId symbol state executedQuantity why'
        " events { kind position sequence text quantity } } }"
    )
    own = (await ask(exchange, query, key="alice"))["orderLife"]
    assert own["events"][0]["kind"] == "order_accepted"
    traded = [x["quantity"] for x in own["events"] if x["kind"] == "order_executed"]
    assert sum(traded) == own["executedQuantity"] > 0
    assert not any("bob" in event["text"] for event in own["events"])
    seen = (await ask(exchange, query, key="admin"))["orderLife"]
    assert any("bob" in event["text"] or "alice" in event["text"] for event in seen["events"])
    assert (await ask(exchange, query, key="bob"))["orderLife"] is None


async def test_many_instruments_quotes_are_read_at_once(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = exchange.exchange.services
    calls: list[int] = []
    read = services.books.tops

    async def counted(shard: int, numbers: Any) -> Any:
        calls.append(shard)
        return await read(shard, numbers)

    monkeypatch.setattr(services.books, "tops", counted)
    await ask(exchange, "{ instruments { quote { bid { price } } day { last } } }")
    assert sorted(calls) == [0, 1]
