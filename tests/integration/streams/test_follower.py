"""The follower: every batch once, in order, and never on from another history."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.batch import ForkError, Position
from streams.follower import Follower, FollowerLimits
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from tests.integration.streams.helpers import KeepingSink, fill, matcher_of, run_out


@pytest.fixture
def events(tmp_path: Path) -> SQLiteEventLog:
    fill(SQLiteCommandLog(tmp_path, 0), 30)
    run_out(matcher_of(tmp_path))
    return SQLiteEventLog(tmp_path, 0)


def drive(follower: Follower) -> None:
    while follower.step():
        pass


@pytest.mark.parametrize(
    "limits", [FollowerLimits(), FollowerLimits(4, 1), FollowerLimits(7, 3_000)]
)
def test_applies_every_batch_once_whatever_the_bounds(
    events: SQLiteEventLog, limits: FollowerLimits
) -> None:
    plain, bounded = KeepingSink(), KeepingSink()
    drive(Follower(events, plain, limits=FollowerLimits(1, 1)))
    drive(Follower(events, bounded, limits=limits))
    assert bounded.store == plain.store
    assert bounded.position(0) == events.tail()


def test_the_loser_of_a_race_reads_its_position_again_and_goes_on(events: SQLiteEventLog) -> None:
    alone, first = KeepingSink(), KeepingSink()
    drive(Follower(events, alone, limits=FollowerLimits()))
    second = KeepingSink(first.store)
    one = Follower(events, first, limits=FollowerLimits(4))
    other = Follower(events, second, limits=FollowerLimits(3))
    while one.step() + other.step():
        pass
    assert first.store == alone.store


def test_a_sink_of_another_history_is_stopped_and_left_as_it_is(events: SQLiteEventLog) -> None:
    sink = KeepingSink({"at": Position(7, b"x" * 32), "digest": b"its own"})
    with pytest.raises(ForkError, match="crossbook rebuild keeping"):
        Follower(events, sink, limits=FollowerLimits()).step()
    assert sink.store["digest"] == b"its own"


def test_a_sink_ahead_of_a_log_that_is_being_made_again_waits(events: SQLiteEventLog) -> None:
    sink = KeepingSink({"at": Position(31, b"x" * 32), "digest": b""})
    assert Follower(events, sink, limits=FollowerLimits()).step() == 0
