"""What a client of the stream makes of the messages: chains, books, resumption, refusals."""

from __future__ import annotations

import json
import random
import zlib
from decimal import Decimal
from typing import Any

import pytest

from crossbook_client.stream_book import BrokenChainError, LiveBook
from crossbook_client.stream_state import StreamRefusedError, StreamState

Levels = dict[int, tuple[int, int]]


def price(ticks: int) -> str:
    return f"{ticks // 10_000}.{ticks % 10_000:04d}"


def rows(levels: Levels, *, bids: bool) -> list[list[Any]]:
    return [[price(ticks), *levels[ticks]] for ticks in sorted(levels, reverse=bids)]


def checksum(bids: Levels, asks: Levels) -> int:
    """As docs/stream.md defines it, from sorted levels."""
    sides = (rows(bids, bids=True)[:10], rows(asks, bids=False)[:10])
    text = "|".join(";".join(f"{row[0]}:{row[1]}" for row in side) for side in sides)
    return zlib.crc32(text.encode())


def message(kind: str, sequence: int, previous: int | None = None, **more: Any) -> dict[str, Any]:
    fields = {"type": kind, "channel": "level2", "symbol": "A", "sequence": str(sequence)}
    if previous is not None:
        fields["previous_sequence"] = str(previous)
    return {"bids": [], "asks": [], **fields, **more}


def taken(state: StreamState, fields: dict[str, Any]) -> tuple[int | None, list[dict[str, Any]]]:
    """The sequence handed out, and the requests to send."""
    handed, requests = state.receive(json.dumps(fields))
    return None if handed is None else handed.sequence, [json.loads(text) for text in requests]


def subscribed() -> StreamState:
    state = StreamState()
    [request] = state.subscribe("level2", ["A"], {})
    assert json.loads(request)["symbols"] == ["A"]
    assert taken(state, message("snapshot", 5, bids=[["1.0000", 7, 1]])) == (5, [])
    return state


@pytest.mark.parametrize("seed", range(5))
def test_a_book_follows_random_changes(seed: int) -> None:
    chance = random.Random(seed)
    book, sides = LiveBook("A"), ({}, {})
    book.take_snapshot(message("snapshot", 0, checksum=checksum(*sides)))
    for sequence in range(1, 400):
        changed: list[list[Any]] = [[], []]
        for _ in range(chance.randint(1, 3)):
            side = chance.randint(0, 1)
            ticks = chance.randint(9_990, 10_010)
            quantity = chance.choice([0, chance.randint(1, 10**9)])
            count = chance.randint(1, 9) if quantity else 0
            sides[side].pop(ticks, None)
            if quantity:
                sides[side][ticks] = (quantity, count)
            changed[side].append([price(ticks), quantity, count])
        told = checksum(*sides)
        fields = message("delta", sequence, sequence - 1, bids=changed[0], asks=changed[1])
        book.take_delta(fields | {"checksum": told})
        assert book.verified == sequence
    assert [[f"{level.price:.4f}", level.quantity, level.order_count] for level in book.bids] == (
        rows(sides[0], bids=True)
    )
    best = min(sides[1])
    assert book.best_ask is not None and book.best_ask.price == Decimal(best) / 10_000


def test_a_wrong_checksum_and_a_gap_are_refused() -> None:
    book = LiveBook("A")
    book.take_snapshot(message("snapshot", 5, bids=[["1.0000", 7, 1]]))
    with pytest.raises(BrokenChainError, match="does not follow"):
        book.take_delta(message("delta", 8, 6))
    with pytest.raises(BrokenChainError, match="checksum"):
        book.take_delta(message("delta", 8, 5, checksum=1))
    assert book.verified == 0


@pytest.mark.parametrize("broken", [{"previous": 4}, {"previous": 5, "checksum": 1}])
def test_a_broken_chain_begins_anew_with_a_snapshot(broken: dict[str, int]) -> None:
    state = subscribed()
    sequence, [request] = taken(state, message("delta", 7, **broken))
    assert sequence is None and "since" not in request and request["op"] == "subscribe"
    assert taken(state, message("delta", 8, 7)) == (None, [])  # was under way
    assert taken(state, message("snapshot", 9, asks=[["2.0000", 1, 1]])) == (9, [])
    assert taken(state, message("delta", 10, 9)) == (10, [])
    assert (state.resyncs, state.books["A"].bids) == (1, [])


def test_a_new_connection_goes_on_where_the_last_one_was() -> None:
    state = subscribed()
    state.subscribe("trades", ["A", "B"], {"B": 3})
    taken(state, message("delta", 6, 5))
    requests = [json.loads(text) for text in state.begin()]
    assert [(x["channel"], x["symbols"], x.get("since")) for x in requests] == [
        ("level2", ["A"], {"A": "6"}),
        ("trades", ["A", "B"], {"B": "3"}),
    ]
    assert taken(state, message("delta", 9, 6)) == (9, [])


def test_many_symbols_are_asked_for_in_parts() -> None:
    state = StreamState()
    names = [f"S{number}" for number in range(1_201)]
    parts = [json.loads(text)["symbols"] for text in state.subscribe("level2", names, {})]
    assert [len(part) for part in parts] == [500, 500, 201]
    assert [name for part in parts for name in part] == names


def test_a_refused_subscription_is_not_asked_for_again() -> None:
    state = StreamState()
    [request] = state.subscribe("level2", ["a"], {})
    error = {"type": "error", "code": "unknown_symbol", "detail": "A", "id": 1, "symbol": "a"}
    with pytest.raises(StreamRefusedError) as refused:
        state.receive(json.dumps(error))
    assert (refused.value.code, refused.value.symbol) == ("unknown_symbol", "a")
    assert json.loads(request)["id"] == 1 and state.begin() == []


def test_an_end_that_may_pass_is_only_noted_and_one_that_stays_is_raised() -> None:
    state = subscribed()
    silent = {"type": "error", "code": "silent", "detail": "read", "closes": True}
    assert taken(state, silent) == (None, []) and state.ended_by == "silent"
    with pytest.raises(StreamRefusedError, match="key_revoked"):
        state.receive(json.dumps(silent | {"code": "key_revoked"}))


def test_what_was_unsubscribed_is_forgotten() -> None:
    state = subscribed()
    [request] = state.unsubscribe("level2", [])
    assert json.loads(request)["symbols"] == ["A"]
    assert taken(state, message("delta", 6, 5)) == (None, [])
    assert (dict(state.books), state.begin()) == ({}, [])


def test_a_conflated_snapshot_replaces_the_book_and_is_counted() -> None:
    state = subscribed()
    assert taken(state, message("snapshot", 90, conflated=True)) == (90, [])
    assert (state.books["A"].conflated, state.books["A"].bids, state.resyncs) == (1, [], 0)
