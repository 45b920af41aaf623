"""A listener in a namespace of its own, as a thread; and what its books are compared with."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from crossbook_client.feed import FeedListener, FeedStatistics
from domain.exchange import Exchange
from tests.faults.exchange import FaultExchange
from tests.faults.feed.network import inside
from tests.faults.judge import batches_of, heads_of
from tests.feed.compare import rows_of

Rows = dict[int, list[tuple[int, str, int, int]]]
SIDES = ((0, "B"), (1, "S"))


class Listening(threading.Thread):
    """Keeps books until it is told to stop."""

    def __init__(self, namespace: str, url: str, **options: Any) -> None:
        super().__init__(daemon=True)
        self._namespace = namespace
        self._feed = FeedListener(url, **options)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.joined = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with inside(self._namespace), self._feed as feed:
                while not self._stopping.is_set():
                    with self._lock:
                        feed.poll(0.02)
                    if all(shard.joined for shard in feed.shards.values()):
                        self.joined.set()
        except BaseException as error:
            self.error = error
            raise

    def expected(self, shard: int) -> int:
        """The next sequence of a shard that it waits for."""
        with self._lock:
            return self._feed.shards[shard].expected

    def rows(self) -> Rows:
        """Every order of every book, by locate; of one moment."""
        with self._lock:
            return {book.locate: rows_of(book) for book in self._feed.books.values()}

    def levels(self, symbol: str) -> tuple[list[Any], list[Any]]:
        """A book's levels as REST tells them."""
        with self._lock:
            book = self._feed.books[symbol]
            return book.bids, book.asks

    @property
    def statistics(self) -> FeedStatistics:
        """Its counts so far."""
        with self._lock:
            return self._feed.statistics

    def stop(self) -> FeedStatistics:
        """End it; what it counted."""
        self._stopping.set()
        self.join(30.0)
        assert self.error is None, self.error
        assert not self.is_alive()
        return self._feed.statistics


@dataclass
class Truth:
    """The engine's books at the end of the log, by the log's bytes alone."""

    rows: Rows
    symbols: dict[str, int]


def engine_rows(exchange: FaultExchange, shard: int = 0) -> Rows:
    """Run the command log through a fresh engine; every order in the order in which it would trade.
    Nobody may write meanwhile."""
    engine = Exchange(shard)
    commands, _ = heads_of(exchange.logs, shard)
    for position, batch in batches_of(exchange.logs, shard, 0, commands):
        engine.apply(position, batch)
    return {
        number: [
            (order_id, code, price, leaves)
            for side, code in SIDES
            for order_id, _, price, leaves in engine.orders(number, side)
        ]
        for number in engine.instruments()
    }


def published(exchange: FaultExchange, position: int, wait_s: float = 60.0) -> int:
    """Wait until the publisher has come as far as a position; its next sequence."""
    deadline = time.monotonic() + wait_s
    while True:
        shards = exchange.get("/v1/feed").json().get("shards") or []
        if shards and int(shards[0]["position"]) >= position:
            return int(shards[0]["next_sequence"])
        assert time.monotonic() < deadline, f"not published: {position} ({shards})"
        time.sleep(0.02)


def rest_levels(exchange: FaultExchange, symbol: str, position: int) -> tuple[list[Any], list[Any]]:
    """Both sides of a book as REST tells it: (price, quantity, order count) each."""
    quoted = symbol.replace("/", "%2F")
    found = exchange.get(f"/v1/books/{quoted}?depth=1000&min_position=0-{position}").json()
    return tuple(
        [(Decimal(one["price"]), one["quantity"], one["order_count"]) for one in found[side]]
        for side in ("bids", "asks")
    )  # type: ignore[return-value]
