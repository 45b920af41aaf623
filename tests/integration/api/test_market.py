"""Market data over HTTP against the real read models."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.exchange import SYMBOLS, Exchange

pytestmark = pytest.mark.anyio


async def read(exchange: Exchange, path: str, **query: Any) -> Any:
    answer = await exchange.call("GET", path, key=None, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_book_at_the_position_of_a_write(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    for price, quantity in (("9.99", 10), ("9.98", 20), ("9.99", 5)):
        await exchange.submit(symbol, "buy", quantity, price=price)
    last = (await exchange.submit(symbol, "sell", 7, price="10.01")).json()
    book = await read(exchange, f"/v1/books/{symbol}", min_position=last["position"])
    assert book["bids"] == [
        {"price": "9.9900", "quantity": 15, "order_count": 2},
        {"price": "9.9800", "quantity": 20, "order_count": 1},
    ]
    assert book["asks"] == [{"price": "10.0100", "quantity": 7, "order_count": 1}]
    assert (book["symbol"], book["state"]) == (symbol, "open")
    assert isinstance(book["sequence"], str) and int(book["sequence"]) > 0

    top = await read(exchange, f"/v1/books/{symbol}", depth=1)
    assert (len(top["bids"]), len(top["asks"])) == (1, 1)


@pytest.mark.parametrize("path", ["BRK/A", "BRK%2FA", "^GSPC", "%5EGSPC"])
async def test_symbols_with_slash_and_caret(exchange: Exchange, path: str) -> None:
    symbol = "BRK/A" if path.startswith("BRK") else "^GSPC"
    order = (await exchange.submit(symbol, "buy", 1, price="1.00")).json()
    at = order["position"]
    assert (await read(exchange, f"/v1/instruments/{path}"))["symbol"] == symbol
    assert (await read(exchange, f"/v1/books/{path}", min_position=at))["bids"]
    assert (await read(exchange, f"/v1/books/{path}/deltas", since=0))["kind"] == "deltas"
    assert (await read(exchange, f"/v1/trades/{path}"))["symbol"] == symbol


async def test_deltas_rebuild_the_book(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    at = ""
    for index in range(10):
        side, price = ("buy", 100 + index) if index % 3 else ("sell", 104)
        order = await exchange.submit(symbol, side, index + 1, price=price)
        at = order.json()["position"]
    book = await read(exchange, f"/v1/books/{symbol}", min_position=at, depth=1_000)

    levels: dict[str, dict[str, tuple[int, int]]] = {"buy": {}, "sell": {}}
    since, more = "0", True
    while more:
        page = await read(exchange, f"/v1/books/{symbol}/deltas", since=since, limit=3)
        assert page["kind"] == "deltas"
        for delta in page["deltas"]:
            assert int(since) < int(delta["sequence"]) <= int(page["sequence"])
            side = levels[delta["side"]]
            side[delta["price"]] = (delta["quantity"], delta["order_count"])
            if delta["quantity"] == 0:
                del side[delta["price"]]
        since, more = page["sequence"], page["more"]
    assert since == book["sequence"]
    for side, levels_of_side in (("buy", book["bids"]), ("sell", book["asks"])):
        assert levels[side] == {
            level["price"]: (level["quantity"], level["order_count"]) for level in levels_of_side
        }


async def test_deltas_from_nowhere_fall_back_to_the_book(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    order = (await exchange.submit(symbol, "buy", 1, price="1.00")).json()
    page = await read(
        exchange, f"/v1/books/{symbol}/deltas", since=2**63 - 1, min_position=order["position"]
    )
    assert (page["kind"], page["fallback"]) == ("snapshot", "ahead")
    assert page["bids"] == [{"price": "1.0000", "quantity": 1, "order_count": 1}]


async def test_trades_in_pages_without_who_traded(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    at = ""
    for price in ("1.00", "1.01", "1.02"):
        await exchange.submit(symbol, "sell", 5, price=price, key="bob")
        at = (await exchange.submit(symbol, "buy", 5, price=price)).json()["position"]
    first = await read(exchange, f"/v1/trades/{symbol}", limit=2, min_position=at)
    assert [trade["price"] for trade in first["trades"]] == ["1.0200", "1.0100"]
    trade = first["trades"][0]
    assert (trade["quantity"], trade["aggressor_side"]) == (5, "buy")
    assert set(trade) == {
        "match_number",
        "price",
        "quantity",
        "aggressor_side",
        "time",
        "position",
    }
    rest = await read(exchange, f"/v1/trades/{symbol}", limit=2, before=first["next_before"])
    assert [trade["price"] for trade in rest["trades"]] == ["1.0000"]
    assert rest["next_before"] is None


async def test_instruments(exchange: Exchange) -> None:
    listed = (await read(exchange, "/v1/instruments"))["instruments"]
    assert [info["symbol"] for info in listed][: len(SYMBOLS)] == list(SYMBOLS)
    assert await read(exchange, "/v1/instruments/AAPL") == {
        "symbol": "AAPL",
        "tick_size": "0.0100",
        "lot_size": 1,
        "price_collar": None,
        "reference_price": None,
        "state": "open",
    }


async def test_a_new_instrument_has_an_empty_book(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    book = await read(exchange, f"/v1/books/{symbol}")
    assert (book["bids"], book["asks"]) == ([], [])
    assert (await read(exchange, f"/v1/trades/{symbol}"))["trades"] == []


async def test_redis_that_lost_everything_is_behind_not_wrong(exchange: Exchange) -> None:
    """The sink loads it again; until then there is no book rather than a wrong one."""
    symbol = await exchange.new_symbol()
    order = (await exchange.submit(symbol, "buy", 1, price="1.00")).json()
    await read(exchange, f"/v1/books/{symbol}", min_position=order["position"])
    await exchange.services.books._redis.flushall()
    answer = await exchange.call("GET", f"/v1/books/{symbol}", key=None)
    assert answer.status_code in (200, 503)
    if answer.status_code == 200:
        assert answer.json()["bids"] == [{"price": "1.0000", "quantity": 1, "order_count": 1}]
    else:
        assert answer.json()["reason"] == "behind"
