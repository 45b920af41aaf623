"""The benchmarks of scale still run, at a size that says nothing about speed."""

from __future__ import annotations

import pytest

from benchmarks import books, memory, swings
from benchmarks.adapters import CANCEL, MODIFY, NEW, flow_of_tape, measure
from benchmarks.flows import Market, run
from benchmarks.profiles import read_samples
from domain.event_records import decode_events
from domain.events import OrderCancelled, OrderExecuted, OrderRejected, OrderReplaced
from domain.exchange import Exchange


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "ROUND_COMMANDS", 500)
    monkeypatch.setattr(books, "ROUNDS", 1)
    monkeypatch.setattr(books, "GROUP_BATCHES", 16)


def test_books_gives_rates_and_a_ratio() -> None:
    for figures in (books.instruments(10), books.resting(1_500)):
        assert figures["rate"] > 0
        assert figures["rate_small"] > 0
        assert figures["ratio"] > 0
    ids = books.client_ids(2_000)
    assert ids["ids"] >= 2_000
    assert ids["vector_bytes_an_id"] > 0


@pytest.mark.parametrize("case", ["orders", "named_orders", "wide_orders", "levels", "wide_levels"])
def test_memory_counts_what_rests(case: str) -> None:
    figures = getattr(memory, case)(1_000)
    assert figures["vector_bytes_each"] > 64


def test_a_flow_is_what_it_says() -> None:
    """Few commands come too late, and all kinds are there."""
    market, exchange = Market(3, levels=50), Exchange(0)
    run(exchange, market.opening())
    run(exchange, market.resting(2_000))
    seen = {OrderCancelled: 0, OrderExecuted: 0, OrderRejected: 0, OrderReplaced: 0}
    for batch in market.flow(10_000):
        for event in decode_events(exchange.apply(exchange.position + 1, batch)):
            if type(event) in seen:
                seen[type(event)] += 1
    assert seen[OrderCancelled] > 3_000
    assert seen[OrderExecuted] > 900
    assert seen[OrderReplaced] > 300
    assert seen[OrderRejected] < 1_500


def test_swings_move_as_far_as_they_say() -> None:
    """The same seed gives the same tape; its messages are of all kinds, and the engine takes it."""
    tape = swings.tape_of("swing-40", 2_000)
    assert tape == swings.tape_of("swing-40", 2_000)
    assert tape != swings.tape_of("swing-40", 2_000, seed=24)
    kinds = [message[0] for message in tape.messages()]
    assert kinds.count(NEW) == 2_000
    assert kinds.count(CANCEL) > 1_500
    assert kinds.count(MODIFY) > 250
    prices = [message[6] for message in tape.messages()]
    assert max(prices) / min(prices) > 1.15
    still = [message[6] for message in swings.tape_of("static", 2_000).messages()]
    assert max(still) / min(still) < 1.06
    assert measure(flow_of_tape(tape), 2).best > 0


def test_samples_are_told_by_our_innermost_function() -> None:
    stages, leaves = read_samples(
        [
            "main (cli/main.py:1);step (streams/matcher.py:9);commit (sqlite.py:8) 3",
            "main (cli/main.py:1);step (streams/matcher.py:10) 2",
            "run (threading.py:9);Condition.wait (threading.py:331) 50",
        ]
    )
    assert stages == {"`step` (streams/matcher.py)": 5}
    assert leaves == {"`commit (sqlite.py)`": 3, "`step (streams/matcher.py)`": 2}
