"""Recorded ITCH files: what itchfeed, a stranger's parser, makes of them; and damaged files."""

from __future__ import annotations

import gzip
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from itch.parser import MessageParser

from crossbook_client.feed import (
    Patience,
    ShardBooks,
    ShardFeed,
    UnreadableItchError,
    decode,
    read_itch,
)
from crossbook_client.feed.recording import Recording
from crossbook_client.feed.terms import Snapshot
from tests.feed import standards
from tests.feed.compare import assert_same_books
from tests.feed.market import ROW, Market

SESSION = b"TEST000001"


def strangers_books(path: Path) -> dict[str, list[ROW]]:
    """Books rebuilt from what itchfeed reads, each order in its place."""
    orders: dict[int, list[Any]] = {}
    with path.open("rb") as file:
        for message in MessageParser().parse_file(file):
            _apply(orders, message)
    books: dict[str, list[ROW]] = defaultdict(list)
    for reference, (symbol, side, price, quantity) in orders.items():
        books[symbol].append((reference, side, price, quantity))
    return {
        symbol: sorted(rows, key=lambda row: (row[1] == "S", -row[2] if row[1] == "B" else row[2]))
        for symbol, rows in books.items()
    }


def _apply(orders: dict[int, list[Any]], message: Any) -> None:
    kind = message.message_type
    if kind == b"A":
        orders[message.order_reference_number] = [
            message.stock.decode().strip(),
            message.buy_sell_indicator.decode(),
            message.price,
            message.shares,
        ]
    elif kind in (b"E", b"C", b"X"):
        gone = message.cancelled_shares if kind == b"X" else message.executed_shares
        order = orders[message.order_reference_number]
        order[3] -= gone
        if not order[3]:
            del orders[message.order_reference_number]
    elif kind == b"D":
        del orders[message.order_reference_number]
    elif kind == b"U":
        symbol, side, _, _ = orders.pop(message.order_reference_number)
        new = [symbol, side, message.price, message.shares]
        orders[message.new_order_reference_number] = new


def recorder(path: Path, **more: Any) -> tuple[ShardFeed, Recording]:
    recording = Recording(path, 1)
    more.setdefault("means", ("rerequest",))
    return ShardFeed(0, ShardBooks(), session=SESSION, takers=[recording], **more), recording


def test_a_stranger_rebuilds_the_same_books(tmp_path: Path) -> None:
    market, path = Market(4), tmp_path / "day.itch"
    feed, recording = recorder(path)
    for packet in standards.packets(SESSION, 1, market.messages(5_000)):
        feed.receive(packet, "A", 1.0)
        feed.receive(packet, "B", 1.0)
    recording.close()
    assert strangers_books(path) == {symbol: book.rows() for symbol, book in market.books.items()}
    books = ShardBooks()
    assert books.apply(read_itch(path)) == []
    assert_same_books(books.by_symbol, market.books)


def test_a_snapshot_in_the_middle_leaves_a_file_with_the_same_books(tmp_path: Path) -> None:
    market, path = Market(4), tmp_path / "day.itch"
    feed, recording = recorder(path, means=("snapshot",), beginning=True)
    history = market.messages(1_000)
    for packet in standards.packets(SESSION, 1, history):
        feed.receive(packet, "A", 1.0)
    history += market.messages(700)  # nobody hears these
    fresh, bodies = ShardBooks(), market.snapshot()
    fresh.apply(decode(body) for body in bodies)
    following = len(history) + 1
    feed.receive(standards.packet(SESSION, following, []), "A", 1.0)
    assert feed.due(2.0)
    feed.took_snapshot(Snapshot(SESSION, following, fresh, standards.framed(bodies)), 2.0)
    for packet in standards.packets(SESSION, following, market.messages(500)):
        feed.receive(packet, "A", 3.0)
    recording.close()
    assert strangers_books(path) == {symbol: book.rows() for symbol, book in market.books.items()}
    books = ShardBooks()
    assert books.apply(read_itch(path)) == []
    assert_same_books(books.by_symbol, market.books, trades=False)


def test_another_session_and_another_shard_have_files_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "day.itch"
    feed, recording = recorder(path, means=(), patience=Patience(silence_s=0.0))
    feed.receive(standards.packet(SESSION, 1, [standards.system_event(1, "O")]), "A", 1.0)
    for _ in range(3):
        again = standards.packet(b"TEST000002", 1, [standards.system_event(2, "O")])
        feed.receive(again, "A", 2.0)
    recording.close()
    assert recording.paths == [path, tmp_path / "day-TEST000002.itch"]
    assert [message.time_ns for message in read_itch(recording.paths[1])] == [2]
    several = Recording(path, 2)
    several.messages(1, 1, [], standards.framed([standards.system_event(3, "O")]))
    several.close()
    assert several.paths == [tmp_path / "day-shard1.itch"]


def test_a_packed_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "day.itch.gz"
    path.write_bytes(gzip.compress(standards.framed([standards.system_event(1, "O")])))
    assert len(list(read_itch(path))) == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (standards.framed([standards.system_event(1, "O")])[:-1], "ends in the middle"),
        (b"\0", "ends in the middle"),
        (standards.framed([b"Zabc"]), "byte 0: type 0x5a of 4 bytes"),
        (standards.framed([standards.system_event(1, "O"), b""]), "byte 14: "),
    ],
)
def test_a_damaged_file_says_where(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "day.itch"
    path.write_bytes(content)
    with pytest.raises(UnreadableItchError, match=told):
        list(read_itch(path))


def test_no_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UnreadableItchError, match="No such file"):
        list(read_itch(tmp_path / "none.itch"))
