"""The whole exchange under every kind of trouble, one seed after the other: docs/simulation.md."""

from __future__ import annotations

import os

import pytest

from tests.simulation.run import SEED_VARIABLE, SEEDS, SEEDS_VARIABLE, first_failure

BLOCK = 50


def blocks() -> list[range]:
    """The seeds to run: the one that is asked for, or so many from 0."""
    one = os.environ.get(SEED_VARIABLE)
    if one is not None:
        return [range(int(one), int(one) + 1)]
    last = int(os.environ.get(SEEDS_VARIABLE, SEEDS))
    return [range(first, min(first + BLOCK, last)) for first in range(0, last, BLOCK)]


@pytest.mark.parametrize("seeds", blocks(), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_nothing_is_lost_doubled_or_told_wrong(seeds: range) -> None:
    failure = first_failure(seeds)
    assert failure is None, f"\n{failure}"
