"""Keep a copy of a book from its deltas, and check it against the exchange's own.

    .venv/bin/python examples/follow_book.py AAPL 10

Needs a running exchange; market data needs no key.
"""

from __future__ import annotations

import os
import sys
import time
from decimal import Decimal

from crossbook_client import Book, BookSnapshot, Crossbook

URL = os.environ.get("CROSSBOOK_URL", "http://127.0.0.1:8000")
DEPTH = 1_000


class LocalBook:
    """Quantity by price of both sides, as of `sequence`."""

    def __init__(self, book: Book | BookSnapshot) -> None:
        self.sequence = book.sequence
        self.sides: dict[str, dict[Decimal, int]] = {
            "buy": {level.price: level.quantity for level in book.bids},
            "sell": {level.price: level.quantity for level in book.asks},
        }

    def put(self, side: str, price: Decimal, quantity: int) -> None:
        """A level's new absolute quantity; 0 removes it."""
        if quantity:
            self.sides[side][price] = quantity
        else:
            self.sides[side].pop(price, None)


def follow(exchange: Crossbook, symbol: str, seconds: float) -> LocalBook:
    """Apply deltas for some seconds."""
    local = LocalBook(exchange.book(symbol, depth=DEPTH))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        page = exchange.deltas(symbol, local.sequence)
        if isinstance(page, BookSnapshot):
            print(f"too far behind ({page.fallback}): beginning anew from {page.sequence}")
            local = LocalBook(page)
            continue
        for delta in page.deltas:
            local.put(delta.side, delta.price, delta.quantity)
        local.sequence = page.sequence
        if page.deltas:
            bid, ask = max(local.sides["buy"], default=None), min(local.sides["sell"], default=None)
            print(f"sequence {local.sequence}: {len(page.deltas)} changes, bid {bid}, ask {ask}")
        time.sleep(0.2)
    return local


def main() -> None:
    """Follow, then compare at the same sequence."""
    symbol = sys.argv[1] if len(sys.argv) > 1 else "AAPL"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    with Crossbook(URL) as exchange:
        local = follow(exchange, symbol, seconds)
        while (book := exchange.book(symbol, depth=DEPTH)).sequence != local.sequence:
            page = exchange.deltas(symbol, local.sequence)
            if isinstance(page, BookSnapshot):
                raise SystemExit("too far behind")
            for delta in page.deltas:
                local.put(delta.side, delta.price, delta.quantity)
            local.sequence = page.sequence
    same = LocalBook(book).sides == local.sides
    print(f"at sequence {book.sequence} the two books are {'equal' if same else 'DIFFERENT'}")
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
