"""Watch a symbol's order flow on the multicast feed: what is added, cancelled and traded.

    .venv/bin/python examples/feed_imbalance.py AAPL 10

Needs a running exchange whose feed is on. Loss on the way is recovered by the listener.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter

from crossbook_client.feed import (
    AddOrder,
    FeedBook,
    FeedListener,
    FeedMessage,
    OrderDeleted,
    OrderExecuted,
    OrderReduced,
)

URL = os.environ.get("CROSSBOOK_URL", "http://127.0.0.1:8000")
KINDS = {
    AddOrder: "added",
    OrderExecuted: "executed",
    OrderReduced: "reduced",
    OrderDeleted: "deleted",
}


def imbalance(book: FeedBook) -> float:
    """The best bid's share of the quantity at the best bid and ask."""
    bid = book.best_bid.quantity if book.best_bid else 0
    ask = book.best_ask.quantity if book.best_ask else 0
    return bid / (bid + ask) if bid + ask else 0.5


def watch(feed: FeedListener, symbol: str, seconds: float) -> None:
    """Count a symbol's messages by kind, and print a line each second."""
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        counts: Counter[str] = Counter()
        while (left_s := now + 1.0 - time.monotonic()) > 0:
            try:
                event = feed.next(left_s)
            except TimeoutError:
                break
            if isinstance(event, FeedMessage) and event.symbol == symbol:
                counts[KINDS.get(type(event.message), "other")] += 1
        if symbol in feed.books:
            flow = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
            print(f"{symbol} imbalance {imbalance(feed.books[symbol]):.2f}  {flow or 'quiet'}")


def main() -> None:
    """Watch the symbol of the command line."""
    symbol = sys.argv[1] if len(sys.argv) > 1 else "AAPL"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    with FeedListener(URL) as feed:
        watch(feed, symbol, seconds)
        print("nothing is missing" if feed.settle() and feed.sound else "messages are missing")


if __name__ == "__main__":
    main()
