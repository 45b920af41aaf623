"""A reader under faults: whatever is answered while something is down must be true.

Guarantees: every book that was answered is kept with the position it claims, so that the judge can
compare it with the engine's at that very position; an order that was acknowledged is never answered
as unknown where its position is asked for. An answer of 503, or none, is always allowed.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from cli.run_state import Credential
from tests.faults.connection import NOT_THERE, Connection, Reply
from tests.faults.journal import positions_of
from tests.faults.load import SYMBOLS, Load

PAUSE_S: Final = 0.02
DEPTH: Final = 1_000
LATELY: Final = 500  # orders of each client
Levels = list[tuple[int, int, int]]


@dataclass(frozen=True)
class SeenBook:
    """A book as the API answered it; levels are (price ticks, quantity, order count)."""

    symbol: str
    shard: int
    position: int
    sequence: int
    bids: Levels
    asks: Levels


def seen_book(body: dict[str, Any]) -> SeenBook:
    """An answer of `GET /v1/books/{symbol}`."""
    ((shard, position),) = positions_of(body["position"]).items()
    sides = [
        [(ticks_of(level["price"]), level["quantity"], level["order_count"]) for level in side]
        for side in (body["bids"], body["asks"])
    ]
    return SeenBook(body["symbol"], shard, position, int(body["sequence"]), *sides)


def ticks_of(price: str) -> int:
    """A price of the API in 1/10,000 dollar."""
    whole, _, decimals = price.partition(".")
    return int(whole) * 10_000 + int(decimals.ljust(4, "0"))


class Observer(threading.Thread):
    """Reads books, and the clients' last orders, until it is stopped."""

    def __init__(self, load: Load, credentials: dict[str, Credential], port: int, seed: int):
        super().__init__(name="observer", daemon=True)
        self.books: list[SeenBook] = []
        self.unexpected: list[str] = []
        self.counts: Counter[str] = Counter()
        self._load = load
        self._public = Connection(port, None)
        self._keys = {each.account: Connection(port, each.key) for each in credentials.values()}
        self._random = random.Random(seed)
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(PAUSE_S):
            try:
                if self._random.random() < 0.5:
                    self._look_at_book()
                else:
                    self._look_at_order()
            except NOT_THERE:
                self.counts["unanswered"] += 1
        for connection in (self._public, *self._keys.values()):
            connection.close()

    def stop(self) -> None:
        """End, with all that was seen."""
        self._stopping.set()
        self.join(timeout=60.0)
        assert not self.is_alive()

    def _look_at_book(self) -> None:
        path = f"/v1/books/{self._random.choice(SYMBOLS)}?depth={DEPTH}"
        wanted = ""
        if self._random.random() < 0.5:
            wanted = self._random.choice(self._load.clients).journal.last_position
            path += f"&min_position={wanted}" if wanted else ""
        reply = self._public.send("GET", path)
        self.counts[f"book {reply.status} {reply.reason}"] += 1
        if reply.status == 200:
            book = seen_book(reply.body)
            self.books.append(book)
            if wanted and book.position < positions_of(wanted).get(book.shard, 0):
                self.unexpected.append(f"{path}: answered {book.position}")
        else:
            self._expect_503(path, reply)

    def _look_at_order(self) -> None:
        """Reading one's own writes: an order that was acknowledged lately must be there."""
        journal = self._random.choice(self._load.clients).journal
        lately = list(journal.orders.values())[-LATELY:]
        known = [order for order in lately if order.order_id is not None]
        if not known:
            return
        order = self._random.choice(known)
        wanted = order.acknowledged[-1].position
        path = f"/v1/orders/{order.order_id}?min_position={wanted}"
        reply = self._keys[order.account].send("GET", path)
        self.counts[f"order {reply.status} {reply.reason}"] += 1
        if reply.status != 200:
            self._expect_503(path, reply)
        elif reply.body["client_order_id"] != order.client_order_id:
            self.unexpected.append(f"{path}: {reply.body}, not {order.client_order_id}")

    def _expect_503(self, path: str, reply: Reply) -> None:
        if reply.status != 503 or reply.retry_after is None:
            self.unexpected.append(f"{path}: {reply.status} {reply.body}")
