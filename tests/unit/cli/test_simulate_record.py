"""Recorded flow: repeatable, in LOBSTER's format, and the shipped example is what it makes."""

from __future__ import annotations

from pathlib import Path

from cli.play_books import PriceTimeBook, distinct
from cli.play_compare import compare
from cli.play_lobster import LobsterFile, read_states
from cli.simulate_record import record

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def test_the_shipped_example_is_what_the_simulator_records(tmp_path: Path) -> None:
    messages, orderbook, count = record(tmp_path / "XBOK", rate=20, duration_s=120, seed=7)
    assert messages.read_bytes() == (EXAMPLES / "XBOK_message_1.csv").read_bytes()
    assert orderbook.read_bytes() == (EXAMPLES / "XBOK_orderbook_1.csv").read_bytes()
    assert count > 2_000


def test_a_recorded_file_plays_back_to_the_same_book(tmp_path: Path) -> None:
    messages, orderbook, _ = record(tmp_path / "x", rate=50, duration_s=60, seed=11)
    played = LobsterFile(messages)
    engine = PriceTimeBook()
    own = list(distinct(engine.apply(command) for command in played.commands()))
    reference = read_states(orderbook)
    assert own == reference == played.reference_states()
    assert compare(own, reference).share == 1.0
    assert not played.skipped.reasons
