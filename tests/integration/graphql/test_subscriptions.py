"""What subscriptions send, beside the books and the stream."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import pytest

from crossbook_client import AsyncCrossbook, GraphQLError
from tests.integration.graphql.asking import ask, messages
from tests.integration.graphql.conftest import trade
from tests.integration.stream.serving import Served, until

pytestmark = pytest.mark.anyio
DELTAS = """subscription ($symbol: String!, $since: Sequence) {
  bookDeltas(symbol: $symbol, since: $since) {
    ... on BookSnapshot {
      kind: __typename sequence resync checksum bids { price quantity } asks { price quantity }
    }
    ... on BookDelta {
      kind: __typename sequence previousSequence checksum
      bids { price quantity } asks { price quantity }
    }
  }
}"""


def apply(book: dict[str, dict[str, int]], message: dict[str, Any]) -> None:
    """Take a message into a book."""
    for side in ("bids", "asks"):
        if message["kind"] == "BookSnapshot":
            book[side] = {}
        for level in message[side]:
            book[side][level["price"]] = level["quantity"]
            if level["quantity"] == 0:
                del book[side][level["price"]]


def checksum(book: dict[str, dict[str, int]]) -> int:
    """As docs/stream.md defines it."""
    bids = sorted(book["bids"].items(), key=lambda x: float(x[0]), reverse=True)[:10]
    asks = sorted(book["asks"].items(), key=lambda x: float(x[0]))[:10]
    sides = [";".join(f"{price}:{quantity}" for price, quantity in side) for side in (bids, asks)]
    return zlib.crc32("|".join(sides).encode())


async def test_deltas_make_the_book_of_rest(exchange: Served) -> None:
    book: dict[str, dict[str, int]] = {"bids": {}, "asks": {}}
    source = messages(exchange, DELTAS, symbol="MSFT")
    first = (await anext(source))["bookDeltas"]
    assert (first["kind"], first["resync"]) == ("BookSnapshot", None)
    apply(book, first)
    assert checksum(book) == first["checksum"]
    await trade(exchange.exchange, seed=11, batches=6)
    answer = (await exchange.exchange.client.get("/v1/books/MSFT?depth=1000")).json()
    at, checked = first["sequence"], 0
    while int(at) < int(answer["sequence"]) and at != answer["sequence"]:
        message = (await anext(source))["bookDeltas"]
        assert message["previousSequence"] == at
        apply(book, message)
        at = message["sequence"]
        if message["checksum"] is not None:
            assert checksum(book) == message["checksum"]
            checked += 1
        if await _is_now(exchange, at):
            break
    for side in ("bids", "asks"):
        assert book[side] == {x["price"]: x["quantity"] for x in answer[side]}
    await source.aclose()

    # Back after `since`: what came after it, without a snapshot; too far ahead: a resync.
    again = messages(exchange, DELTAS, symbol="MSFT", since=first["sequence"])
    message = (await anext(again))["bookDeltas"]
    assert (message["kind"], message["previousSequence"]) == ("BookDelta", first["sequence"])
    await again.aclose()
    ahead = messages(exchange, DELTAS, symbol="MSFT", since="999999")
    message = (await anext(ahead))["bookDeltas"]
    assert (message["kind"], message["resync"]) == ("BookSnapshot", "AHEAD")
    await ahead.aclose()


async def _is_now(exchange: Served, at: str) -> bool:
    """Whether the level messages have come to the book's end: its last events may change none."""
    query = f'{{ bookSteps(symbol: "MSFT", after: "{at}") {{ steps {{ levels {{ side }} }} }} }}'
    steps = (await ask(exchange, query))["bookSteps"]["steps"]
    return not any(step["levels"] for step in steps)


async def test_trades_quotes_executions_and_candles_tell_of_one_match(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    texts = {
        "trades": f'trades(symbols: ["{symbol}"]) {{ sequence trade {{ price quantity'
        " sequence } }",
        "quotes": f'quotes(symbols: ["{symbol}"]) {{ bid {{ price quantity }} }}',
        "executions": f'executions(symbols: ["{symbol}"]) {{ execution {{ side quantity'
        " leavesQuantity liquidity } }",
        "candles": f'candles(symbol: "{symbol}") {{ complete candle {{ open close volume'
        " lastSequence } }",
    }
    sources = {
        name: messages(
            exchange,
            f"subscription {{ {text} }}",
            key="alice" if name == "executions" else None,
        )
        for name, text in texts.items()
    }
    for name in ("trades", "quotes", "executions"):
        await anext(sources[name])
    candle = asyncio.ensure_future(anext(sources["candles"]))
    await exchange.exchange.submit(symbol, "buy", 10, price="50.00")
    assert (await anext(sources["quotes"]))["quotes"]["bid"] == {"price": "50.0000", "quantity": 10}
    live = (await exchange.server.config.app.state.graphql.made()).live
    await until(lambda: live.subscription_count == 4)
    await exchange.exchange.submit(symbol, "sell", 4, price="50.00", key="bob")
    told = (await anext(sources["trades"]))["trades"]
    at = told["sequence"]
    assert told["trade"] == {"price": "50.0000", "quantity": 4, "sequence": at}
    assert (await anext(sources["executions"]))["executions"]["execution"] == {
        "side": "BUY",
        "quantity": 4,
        "leavesQuantity": 6,
        "liquidity": "MAKER",
    }
    assert (await candle)["candles"] == {
        "complete": False,
        "candle": {"open": "50.0000", "close": "50.0000", "volume": 4, "lastSequence": at},
    }
    for source in sources.values():
        await source.aclose()


async def test_the_client_asks_and_subscribes(exchange: Served) -> None:
    async with AsyncCrossbook(exchange.url, api_key=exchange.exchange.keys["alice"]) as client:
        found = await client.graphql("{ account { name } }")
        assert found == {"account": {"name": "alice"}}
        with pytest.raises(GraphQLError) as refused:
            await client.graphql("{ accounts { name } status { mode } }")
        assert refused.value.reason == "missing_scope"
        assert refused.value.data["status"] == {"mode": "embedded"}
        text = "subscription ($symbol: String!) { bookDeltas(symbol: $symbol) { __typename } }"
        async for message in client.subscribe(text, {"symbol": "AAPL"}):
            assert message == {"bookDeltas": {"__typename": "BookSnapshot"}}
            break
        with pytest.raises(GraphQLError) as unknown:
            async for _ in client.subscribe(text, {"symbol": "NONE"}):
                pass
        assert unknown.value.reason == "unknown_instrument"
    async with AsyncCrossbook(exchange.url, api_key="nonsense") as client:
        with pytest.raises(Exception, match="invalid_key"):
            await client.graphql("{ status { mode } }")
