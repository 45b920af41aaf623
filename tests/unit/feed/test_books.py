"""Books from messages, against books kept the plainest way; and messages that do not fit."""

from __future__ import annotations

import pytest

from crossbook_client.feed import ShardBooks, decode
from tests.feed import standards as itch
from tests.feed.compare import assert_same_books, rows_of
from tests.feed.market import Market


@pytest.mark.parametrize("seed", range(5))
def test_a_random_market_gives_the_same_books(seed: int) -> None:
    market, books = Market(seed), ShardBooks()
    for _ in range(20):
        assert books.apply(decode(body) for body in market.messages(250)) == []
        assert_same_books(books.by_symbol, market.books)


def test_the_checksum_is_that_of_the_stream() -> None:
    books = ShardBooks()
    rows = [("B", 60, 1_872_400), ("B", 250, 1_872_300), ("S", 100, 1_872_600)]
    for reference, (side, quantity, price) in enumerate(rows, start=1):
        books.apply([decode(itch.add_order(1, 0, reference, side, quantity, "AAPL", price))])
    assert books.by_symbol["AAPL"].checksum == 2306971065  # docs/stream.md works it out


def _two_orders() -> ShardBooks:
    books = ShardBooks()
    added = [
        itch.stock_directory(1, 0, "AAPL"),
        itch.add_order(1, 0, 10, "B", 100, "AAPL", 1_000),
        itch.add_order(1, 0, 11, "B", 50, "AAPL", 1_000),
        itch.add_order(2, 0, 20, "S", 5, "MSFT", 2_000),
    ]
    assert books.apply(decode(body) for body in added) == []
    return books


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (itch.add_order(1, 0, 10, "S", 1, "AAPL", 5), "10 is added twice"),
        (itch.add_order(1, 0, 12, "S", 1, "MSFT", 5), "instrument 1 is AAPL, and now MSFT"),
        (itch.add_order(3, 0, 12, "S", 1, "AAPL", 5), "AAPL is listed already, and now as 3"),
        (itch.executed(1, 0, 99, 1, 1), "99 is not there"),
        (itch.executed(1, 0, 10, 101, 1), "10 has 100, not 101"),
        (itch.executed(2, 0, 10, 1, 1), "10 is of another instrument than 2"),
        (itch.executed_with_price(1, 0, 10, 101, 1, "Y", 5), "10 has 100, not 101"),
        (itch.reduced(1, 0, 10, 101), "10 has 100, not 101"),
        (itch.deleted(1, 0, 99), "99 is not there"),
        (itch.replaced(1, 0, 99, 12, 1, 5), "99 is not there"),
        (itch.replaced(1, 0, 10, 11, 1, 5), "11 replaces another and is there already"),
    ],
    ids=lambda each: each if isinstance(each, str) else chr(each[0]),
)
def test_what_does_not_fit_changes_nothing_and_is_told(body: bytes, why: str) -> None:
    books = _two_orders()
    before = _state(books)
    misfits = books.apply([decode(body)])
    assert len(misfits) == 1 and why in misfits[0]
    assert _state(books) == before
    assert set(books.orders) == {10, 11, 20}


def _state(books: ShardBooks) -> list[object]:
    return [(symbol, rows_of(book), book.bids) for symbol, book in books.by_symbol.items()]


def test_a_replaced_order_goes_to_the_back_and_a_reduced_one_keeps_its_place() -> None:
    books = _two_orders()
    books.apply([decode(itch.reduced(1, 0, 10, 40))])
    book = books.by_symbol["AAPL"]
    assert rows_of(book) == [(10, "B", 1_000, 60), (11, "B", 1_000, 50)]
    books.apply([decode(itch.replaced(1, 0, 10, 12, 60, 1_000))])
    assert rows_of(book) == [(11, "B", 1_000, 50), (12, "B", 1_000, 60)]


def test_partial_books_pass_over_orders_that_they_never_saw() -> None:
    books = ShardBooks(partial=True)
    unknown = [itch.executed(1, 0, 9, 1, 1), itch.deleted(1, 0, 9), itch.replaced(1, 0, 9, 8, 1, 5)]
    assert books.apply(decode(body) for body in unknown) == []
    assert books.unknown_orders == 3 and not books.orders


def test_a_book_that_is_held_stays_the_book_when_a_snapshot_comes() -> None:
    market, held, fresh = Market(3), ShardBooks(), ShardBooks()
    held.apply(decode(body) for body in market.messages(500))
    book = held.by_symbol["AAPL"]
    market.messages(500)
    fresh.apply(decode(body) for body in market.snapshot())
    held.become(fresh)
    assert held.by_symbol["AAPL"] is book
    assert_same_books(held.by_symbol, market.books, trades=False)
    held.apply(decode(body) for body in market.messages(500))
    assert_same_books(held.by_symbol, market.books, trades=False)
