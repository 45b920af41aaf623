"""The watchdog: when a worker must end, and when it need not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from confluent_kafka import KafkaException

from streams.workers.watchdog import LOOP_STALL_S, QUIET_S, REBALANCE_S, STALL_S, Watchdog


@dataclass
class SomeFollower:
    position: int = 0
    helped_since: float | None = None
    is_waiting_for_store: bool = False


@dataclass
class SomeShards:
    followers: dict[int, SomeFollower] = field(default_factory=lambda: {0: SomeFollower()})
    loop_beat_at: float = 0.0


@dataclass
class SomeApp:
    rebalancing: bool = False


class SomeKind:
    name = "some"
    transient = (KafkaException,)

    def __init__(self) -> None:
        self.last = 0
        self.broker_is_up = True

    def head(self, shard: int) -> int:
        if not self.broker_is_up:
            raise KafkaException
        return self.last


class Watch:
    """A watchdog over a worker of one shard, looked at once a second of a made-up clock."""

    def __init__(self) -> None:
        self.kind, self.app, self.shards = SomeKind(), SomeApp(), SomeShards()
        self.follower = self.shards.followers[0]
        kind: Any = self.kind
        shards: Any = self.shards
        self.dog = Watchdog(kind, self.app, shards, never)
        self.now = 0.0
        self.loop_runs = True
        self.passes(1)

    def passes(self, seconds: float) -> str | None:
        """The first verdict within some seconds."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1.0
            if self.loop_runs:
                self.shards.loop_beat_at = self.now
            reason = self.dog.verdict(self.now)
            if reason is not None:
                return reason
        return None


def never(what: str, error: BaseException | None) -> NoReturn:
    raise AssertionError(what)


def test_a_follower_that_moves_or_has_caught_up_may_go_on() -> None:
    watch = Watch()
    watch.kind.last = 1_000
    for position in range(100):
        watch.follower.position = position
        assert watch.passes(STALL_S - 5) is None
    watch.kind.last = 99
    assert watch.passes(10 * STALL_S) is None


def test_lag_without_progress_ends_the_worker() -> None:
    watch = Watch()
    watch.kind.last = 7
    watch.follower.position = 3
    assert watch.passes(STALL_S - 2) is None
    reason = watch.passes(10)
    assert reason is not None and "at 3 of 7" in reason


def test_a_store_or_a_broker_that_is_down_is_waited_for() -> None:
    watch = Watch()
    watch.kind.last = 7
    watch.follower.is_waiting_for_store = True
    assert watch.passes(10 * STALL_S) is None
    watch.follower.is_waiting_for_store = False
    watch.kind.broker_is_up = False
    assert watch.passes(10 * STALL_S) is None
    watch.kind.broker_is_up = True
    assert watch.passes(2 * STALL_S) is not None


def test_a_consumer_that_died_quietly_ends_the_worker_though_it_still_moves() -> None:
    watch = Watch()
    watch.follower.helped_since = watch.now
    assert watch.passes(QUIET_S - 2) is None
    watch.follower.helped_since = None
    assert watch.passes(QUIET_S) is None
    watch.follower.helped_since = watch.now
    assert "Faust" in str(watch.passes(QUIET_S + 3))


def test_an_event_loop_that_stands_still_ends_the_worker() -> None:
    watch = Watch()
    watch.loop_runs = False
    assert "event loop" in str(watch.passes(LOOP_STALL_S + 3))


def test_a_rebalance_may_take_a_while_but_not_for_ever() -> None:
    watch = Watch()
    watch.app.rebalancing = True
    assert watch.passes(REBALANCE_S - 2) is None
    watch.app.rebalancing = False
    assert watch.passes(2) is None
    watch.app.rebalancing = True
    assert "rebalancing" in str(watch.passes(REBALANCE_S + 3))
