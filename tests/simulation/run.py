"""One seed, or many: what the tests and `make soak` have in common."""

from __future__ import annotations

from tests.simulation.judge import judge
from tests.simulation.weather import Chances
from tests.simulation.world import World

SEED_VARIABLE = "CROSSBOOK_SIMULATION_SEED"
SEEDS_VARIABLE = "CROSSBOOK_SIMULATION_SEEDS"
SEEDS = 500  # of `make test`


class SimulationError(AssertionError):
    """What a seed found, how to see it again, and the steps that led there."""


def simulate(seed: int, chances: Chances | None = None) -> World:
    """Run one seed and judge it. Raises SimulationError."""
    world = World(seed, chances)
    try:
        world.run()
    finally:
        world.scheduler.dispose()
    problems = list(world.scheduler.problems)
    if not problems:
        try:
            judge(world)
        except AssertionError as error:
            problems.append(str(error))
    if problems:
        raise SimulationError(report(world, problems))
    return world


def report(world: World, problems: list[str]) -> str:
    """What a person needs to begin."""
    command = f"{SEED_VARIABLE}={world.seed} python -m pytest tests/simulation -k seeds"
    lines = [f"seed {world.seed}: {problems[0]}", *problems[1:], f"again: {command}"]
    return "\n".join([*lines, "the last steps:", *world.scheduler.trace()])


def first_failure(seeds: range) -> str | None:
    """The report of the first seed that fails, None where none does."""
    for seed in seeds:
        try:
            simulate(seed)
        except SimulationError as error:
            return str(error)
    return None
