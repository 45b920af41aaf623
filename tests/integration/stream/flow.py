"""Random orders through the API itself, and books compared with the exchange's."""

from __future__ import annotations

import random
from typing import Any

from crossbook_client import LiveBook
from tests.integration.stream.serving import Served, until


async def random_orders(exchange: Served, symbols: list[str], batches: int, seed: int) -> str:
    """Submit batches of random orders of alice and bob; the position of the last write."""
    chance = random.Random(seed)
    position = ""
    for _ in range(batches):
        commands: list[dict[str, Any]] = [
            {
                "op": "submit",
                "symbol": chance.choice(symbols),
                "side": chance.choice(["buy", "sell"]),
                "quantity": chance.randint(1, 50),
                "price": f"{chance.randint(990, 1010) / 100:.2f}",
                "time_in_force": chance.choice(["day", "gtc", "ioc"]),
            }
            for _ in range(chance.randint(1, 20))
        ]
        answer = await exchange.exchange.call(
            "POST", "/v1/orders/batch", {"commands": commands}, key=chance.choice(["alice", "bob"])
        )
        assert answer.status_code == 200
        position = answer.json()["position"]
    return position


async def the_exchanges_book(exchange: Served, symbol: str, position: str) -> dict[str, Any]:
    """The book over REST, at least as new as this position."""
    path = f"/v1/books/{symbol}"
    more = {"params": {"depth": "1000", "min_position": position}}
    answer = await exchange.exchange.call("GET", path, key=None, **more)
    assert answer.status_code == 200, answer.text
    book: dict[str, Any] = answer.json()
    return book


def levels_of(book: LiveBook) -> list[list[tuple[str, int, int]]]:
    """Both sides as REST writes them."""
    return [
        [(f"{level.price:.4f}", level.quantity, level.order_count) for level in side]
        for side in (book.bids, book.asks)
    ]


def levels_in(answer: dict[str, Any]) -> list[list[tuple[str, int, int]]]:
    """The same of REST's answer."""
    return [
        [(level["price"], level["quantity"], level["order_count"]) for level in answer[side]]
        for side in ("bids", "asks")
    ]


async def comes_to_equal(exchange: Served, symbol: str, position: str, book: LiveBook) -> None:
    """Wait until the client's book is the exchange's; TimeoutError where it does not come to."""
    wanted = levels_in(await the_exchanges_book(exchange, symbol, position))
    await until(lambda: levels_of(book) == wanted)
