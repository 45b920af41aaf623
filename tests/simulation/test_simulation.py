"""The simulation itself: a seed is one story, trouble does come, and bugs do not get past it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.run import SEED_VARIABLE, SimulationError, first_failure, simulate
from tests.simulation.weather import quiet
from tests.simulation.world import World

SEEDS_TO_CATCH = 150
SEEDS_TO_MEET_ALL = 60
ON_A_QUIET_DAY = {"snapshots:newest", "batches:applied", "batches:in-parts", "batches:shared"}
EXPECTED = """
crash freeze outage disk_full power_cut events_deleted rival stop sleep clock_back garbage
trading_state died:before-a-call died:after-a-call died:between-steps
commands:refused commands:no-answer commands:written-unsaid commands:there-already
events:refused events:no-answer events:written-unsaid events:there-already
redis:refused redis:no-answer redis:written-unsaid redis:lost-a-race
postgres:refused postgres:no-answer postgres:written-unsaid postgres:lost-a-race
snapshots:newest snapshots:older snapshots:damaged
batches:applied batches:repeat batches:undecodable batches:in-parts batches:shared
claims:done claims:pending claims:not_written claims:outcome_unknown claims:behind claims:None
"""


def test_a_seed_is_the_same_story_every_time() -> None:
    first, again = simulate(11), simulate(11)
    assert first.scheduler.trace() == again.scheduler.trace()
    assert first.scheduler.steps == again.scheduler.steps
    assert [store.rows for store in first.commands] == [store.rows for store in again.commands]
    assert first.scheduler.counts == again.scheduler.counts


def test_on_a_quiet_day_every_request_is_answered_at_once() -> None:
    world = simulate(12, quiet())
    claims = claims_of(world)
    assert claims.keys() <= {"done", "pending", "behind"}
    assert claims["done"] > 10
    assert world.scheduler.counts.keys() <= ON_A_QUIET_DAY


def claims_of(world: World) -> Counter[str | None]:
    """What gateways said, by kind."""
    return Counter(
        attempt.claim
        for client in world.clients
        for request in client.requests
        for attempt in request.attempts
    )


def test_every_trouble_is_met() -> None:
    met: Counter[str] = Counter()
    for seed in range(SEEDS_TO_MEET_ALL):
        world = simulate(seed)
        met += world.scheduler.counts
        met += Counter({f"claims:{claim}": number for claim, number in claims_of(world).items()})
    missing = [each for each in EXPECTED.split() if not met[each]]
    assert not missing, f"never met: {missing}; met: {met}"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_finds(bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """`bug` makes the product wrong; its docstring says how."""
    bug(monkeypatch)
    failure = first_failure(range(SEEDS_TO_CATCH))
    assert failure is not None, f"{SEEDS_TO_CATCH} seeds did not find: {bug.__doc__}"
    assert f"again: {SEED_VARIABLE}=" in failure and "the last steps:" in failure


def test_a_failure_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[0](monkeypatch)
    with pytest.raises(SimulationError) as caught:
        for seed in range(SEEDS_TO_CATCH):
            simulate(seed)
    text = str(caught.value)
    seed = int(text.split(":")[0].removeprefix("seed "))
    with pytest.raises(SimulationError) as again:
        simulate(seed)
    assert str(again.value) == text
