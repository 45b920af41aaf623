"""How long a sequencer waits for its next batch to fill."""

from __future__ import annotations

import pytest

from commands.sequencer import GATHER_RATE, GATHER_WRITES, RATE_OVER_S, Pace

LOAD = int(GATHER_RATE * RATE_OVER_S)


def test_one_batch_after_a_quiet_time_is_no_load() -> None:
    pace = Pace(0.04)
    for second in range(5):
        pace.wrote(LOAD - 1, second * 10.0, second * 10.0 + 0.003)
        assert pace.wait_s(second * 10.0 + 0.003) == 0.0


def test_under_load_it_waits_as_its_last_write_bids() -> None:
    pace = Pace(0.04)
    pace.wrote(LOAD, 5.0, 5.002)
    assert pace.wait_s(5.002) == pytest.approx(GATHER_WRITES * 0.002)
    assert pace.wait_s(5.004) == pytest.approx(GATHER_WRITES * 0.002 - 0.002)
    assert pace.wait_s(6.0) == 0.0


def test_it_never_waits_longer_than_it_may() -> None:
    pace = Pace(0.04)
    pace.wrote(LOAD, 5.0, 7.0)
    assert pace.wait_s(7.0) == pytest.approx(0.04)
    never = Pace(0.0)
    never.wrote(LOAD, 5.0, 7.0)
    assert never.wait_s(7.0) == 0.0


@pytest.mark.parametrize(("rate", "waits"), [(GATHER_RATE * 0.8, False), (GATHER_RATE * 1.3, True)])
def test_small_batches_count_by_their_rate(rate: float, waits: bool) -> None:
    pace = Pace(0.04)
    at = 0.0
    for _ in range(500):
        at += 0.01
        pace.wrote(int(rate * 0.01), at - 0.002, at)
    assert (pace.wait_s(at) > 0) is waits
