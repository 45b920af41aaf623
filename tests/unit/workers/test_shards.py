"""A shard's thread: what it looks for in the log, how often, and whom it blames."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

from streams.drivers import GO_ON, Pause
from streams.workers import shards
from streams.workers.ring import CommandDeliveries, Ring
from streams.workers.shards import Beat, Deliveries, ShardFollower

IDLE = Pause(0.01)


class Work:
    """Takes what was delivered, and what lies in the log when it is told to look."""

    def __init__(self, ring: Ring[tuple[int, bytes]]) -> None:
        self.ring = ring
        self.position = 0
        self.in_log = 0
        self.looks: list[float] = []

    def begin(self, beat: Beat) -> None:
        beat(0)

    def turn(self) -> Pause:
        before = self.position
        for position, _ in self.ring.take(self.position, 10):
            self.position = position
        number = self.ring.wants_look(self.position)
        if number:
            self.looks.append(time.monotonic())
            self.ring.looked(number)
            self.position = max(self.position, self.in_log)
        return GO_ON if self.position > before else IDLE

    def end(self, *, clean: bool) -> None:
        pass


class Works:
    """A kind with one piece of work."""

    name = "works"
    topic = "commands"
    transient = (OSError,)

    def __init__(self) -> None:
        self.ring: Ring[tuple[int, bytes]] = Ring()
        self.work = Work(self.ring)

    def inbox(self) -> tuple[Ring[Any], Deliveries]:
        return self.ring, CommandDeliveries(self.ring)

    def open(self, shard: int, ring: Ring[Any]) -> Work:
        assert (shard, ring) == (0, self.ring)
        return self.work

    def head(self, shard: int) -> int:
        return 0


def fail(what: str, error: BaseException | None) -> NoReturn:
    raise AssertionError(what) from error


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@contextmanager
def followed() -> Iterator[tuple[ShardFollower, Work]]:
    works = Works()
    follower = ShardFollower(works, 0, former=None, fatal=fail)
    follower.start()
    try:
        yield follower, works.work
    finally:
        follower.stop(clean=True)
        follower.join(10)
        assert not follower.is_alive()


def test_what_faust_brings_after_a_quiet_time_is_its_own_work() -> None:
    with followed() as (follower, work):
        until(lambda: len(work.looks) > 2)
        follower.deliver(0, b"batch 1")
        until(lambda: follower.position == 1)
        looks = len(work.looks)
        until(lambda: len(work.looks) > looks)
        assert follower.helped_since is None


def test_what_only_the_log_brought_is_noted_until_faust_brings_something() -> None:
    with followed() as (follower, work):
        until(lambda: len(work.looks) > 2)
        work.in_log = 3
        until(lambda: follower.helped_since is not None)
        assert follower.position == 3
        follower.deliver(3, b"batch 4")
        until(lambda: follower.position == 4)
        assert follower.helped_since is None


def test_a_quiet_log_is_looked_at_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "LOOK_S_MIN", 0.05)
    monkeypatch.setattr(shards, "LOOK_S_MAX", 0.4)
    with followed() as (follower, work):
        until(lambda: len(work.looks) > 7)
        pauses = [after - before for before, after in zip(work.looks, work.looks[1:], strict=False)]
        # The first look is the beginning's, the second comes with the first idle turn.
        for pause, least in zip(pauses[1:], (0.05, 0.1, 0.2, 0.4, 0.4), strict=False):
            assert pause >= least
        work.in_log = 1
        until(lambda: follower.position == 1)
        looks = len(work.looks)
        until(lambda: len(work.looks) > looks + 1)
        assert work.looks[looks + 1] - work.looks[looks] < 0.4, "soon again after news"
