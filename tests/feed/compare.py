"""Whether a listener's books are those of a plain market."""

from __future__ import annotations

from collections.abc import Mapping

from crossbook_client.feed import FeedBook
from tests.feed.market import ROW, PlainBook

SIDES = {"buy": "B", "sell": "S"}


def rows_of(book: FeedBook) -> list[ROW]:
    """A listener's book as `PlainBook.rows` gives them."""
    return [
        (int(one.order_id), SIDES[one.side], int(one.price * 10_000), one.quantity)
        for one in book.orders
    ]


def assert_same_books(
    books: Mapping[str, FeedBook], plain: Mapping[str, PlainBook], *, trades: bool = True
) -> None:
    """Every order in its place, every level's sum, states, and the last trades."""
    assert set(books) == set(plain)
    for symbol, expected in plain.items():
        book = books[symbol]
        assert rows_of(book) == expected.rows(), symbol
        assert book.state_code == expected.state, symbol
        for levels, side in ((book.bids, "B"), (book.asks, "S")):
            of_side = [one for one in expected.rows() if one[1] == side]
            sums = {price: [0, 0] for _, _, price, _ in of_side}
            for _, _, price, quantity in of_side:
                sums[price][0] += quantity
                sums[price][1] += 1
            found = {int(one.price * 10_000): [one.quantity, one.order_count] for one in levels}
            assert found == sums, symbol
        if trades:
            seen = [(one.match_number, one.price_ticks, one.quantity) for one in book.trades]
            assert seen == expected.trades[-100:], symbol
            assert book.trade_count == len(expected.trades), symbol
