"""The simulated flow is a function of seed and outcomes, and keeps books alive."""

from __future__ import annotations

from cli.listings import FIRST_LISTINGS, LOT_SIZE, TICK_SIZE_TICKS
from cli.offline_market import OfflineMarket, accepted
from cli.simulate_flow import (
    OPEN_MIN,
    Flow,
    FlowCommand,
    FlowOutcome,
    SimulatedInstrument,
)
from domain.codes import BUY, SELL

INSTRUMENTS = [
    SimulatedInstrument(each.symbol, TICK_SIZE_TICKS, LOT_SIZE, each.start_price_ticks)
    for each in FIRST_LISTINGS[:8]
]


def run(seed: int, steps: int, batch: int = 7) -> tuple[list[FlowCommand], OfflineMarket, Flow]:
    market = OfflineMarket({each.symbol: each.tick_size_ticks for each in INSTRUMENTS})
    flow = Flow(INSTRUMENTS, seed, "run")
    sent: list[FlowCommand] = []
    commands = flow.opening()
    for _ in range(steps):
        sent += commands
        for command, outcome in zip(commands, market.send([c.body for c in commands]), strict=True):
            flow.report(
                command,
                FlowOutcome(accepted(outcome), outcome.executed_quantity, outcome.leaves_quantity),
            )
        commands = flow.next_commands(batch)
    return sent, market, flow


def test_the_same_seed_gives_the_same_commands_for_the_same_outcomes() -> None:
    assert run(3, 200)[0] == run(3, 200)[0]
    assert run(3, 200)[0] != run(4, 200)[0]


def test_runs_differ_by_their_client_order_ids_alone() -> None:
    one, two = Flow(INSTRUMENTS, 1, "a"), Flow(INSTRUMENTS, 1, "b")
    for left, right in zip(one.opening(), two.opening(), strict=True):
        assert left.client_order_id != right.client_order_id
        assert {**left.body, "client_order_id": ""} == {**right.body, "client_order_id": ""}


def test_books_stay_populated_uncrossed_and_a_few_ticks_apart() -> None:
    _, market, flow = run(11, 1_500)
    spreads = []
    for instrument in INSTRUMENTS:
        number = market.numbers[instrument.symbol]
        bids = market.exchange.levels(number, BUY)
        asks = market.exchange.levels(number, SELL)
        assert bids and asks, instrument.symbol
        assert bids[0][0] < asks[0][0]
        spreads.append((asks[0][0] - bids[0][0]) / instrument.start_price_ticks)
        assert flow.open_count(instrument.symbol, "buy") >= 1
    assert sorted(spreads)[len(spreads) // 2] < 0.001
    assert market.exchange.order_count < 8 * 2 * 45


def test_every_kind_of_command_occurs_and_few_are_refused() -> None:
    sent, market, _ = run(5, 1_500)
    kinds = {(c.body["op"], c.body.get("type"), c.body.get("time_in_force")) for c in sent}
    assert kinds == {
        ("submit", "limit", "gtc"),
        ("submit", "limit", "day"),
        ("submit", "limit", "ioc"),
        ("submit", "limit", "fok"),
        ("submit", "market", "ioc"),
        ("cancel", None, None),
        ("replace", None, None),
    }
    # Only what a fill overtook may be refused: the flow does not hear of its makers' fills.
    assert set(market.reasons) <= {"unknown_order"}
    assert market.reasons["unknown_order"] < len(sent) * 0.02


def test_refused_orders_are_forgotten() -> None:
    flow = Flow(INSTRUMENTS, 1, "run")
    commands = flow.opening()
    for command in commands:
        flow.report(command, FlowOutcome(accepted=False))
    assert flow.open_count(INSTRUMENTS[0].symbol, "buy") == 0
    assert len(commands) == len(INSTRUMENTS) * 2 * OPEN_MIN
