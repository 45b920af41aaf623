"""Submit an order, see it in the book, cancel it.

    .venv/bin/python examples/quickstart.py

Needs a running exchange (`crossbook up`). The demo account's key comes from CROSSBOOK_API_KEY, or
from the file in which `up` keeps it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from crossbook_client import ApiError, Crossbook

URL = os.environ.get("CROSSBOOK_URL", "http://127.0.0.1:8000")


def demo_key() -> str:
    """The key of the account `demo`."""
    if "CROSSBOOK_API_KEY" in os.environ:
        return os.environ["CROSSBOOK_API_KEY"]
    stored = Path(os.environ.get("CROSSBOOK_DATA_DIR", "data")) / "credentials.json"
    return str(json.loads(stored.read_text())["demo"]["key"])


def main() -> None:
    """One order's short life."""
    with Crossbook(URL, demo_key()) as exchange:
        book = exchange.book("AAPL", depth=3)
        for ask in reversed(book.asks):
            print(f"{'':>20}  {ask.price:>10} x {ask.quantity}")
        for bid in book.bids:
            print(f"{bid.quantity:>9} x {bid.price:>10}")

        price = book.bids[0].price
        order = exchange.submit("AAPL", "buy", 10, price=price, time_in_force="gtc")
        print(f"order {order.order_id} is {order.state} at {price}, position {order.position}")

        # `min_position` makes the read at least as new as the write.
        assert order.order_id is not None
        seen = exchange.order(order.order_id, min_position=order.position)
        print(f"executed {seen.executed_quantity}, open {seen.leaves_quantity}")

        try:
            exchange.submit("AAPL", "buy", 10, price="230.001")
        except ApiError as refused:
            print(f"refused by {refused.refused_by}: {refused.reason} ({refused.detail})")

        if seen.leaves_quantity:
            print(f"cancel: {exchange.cancel(order.order_id).outcome}")


if __name__ == "__main__":
    main()
