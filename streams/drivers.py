"""What a role does in one turn, without threads, sockets or time; `streams.embedded` adds those.

Guarantees: a turn never waits; it says for how long whoever drives it should, and what ends that
wait early."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.batch import ConflictError, SinkError
from streams.follower import Follower
from streams.matcher import Matcher
from streams.metrics import CONFLICT, STOPPED, STORE, SinkMetrics, age_s

log = logging.getLogger(__name__)

EVENT_READERS = ("api", "projections", "multicast")
IDLE_S = 0.5
MAILBOX_FULL_S = 0.005
RETRY_S_MIN, RETRY_S_MAX = 0.05, 2.0


@dataclass(frozen=True)
class Pause:
    """How long to wait before the next turn; `until_news`: or until a wake comes."""

    seconds: float
    until_news: bool = True


GO_ON = Pause(0.0)


class Waker(Protocol):
    """How a role wakes another."""

    def send(self, name: str, topic: str, shard: int, position: int) -> bool:
        """Wake `name`; False where its mailbox is full."""
        ...


class Unheard:
    """A `Waker` for those whom everybody follows by the log alone."""

    def send(self, name: str, topic: str, shard: int, position: int) -> bool:
        """Nothing."""
        return True


class MatcherDriver:
    """Drives every shard's matcher of one process, from where `Matcher.recover` left it.

    Errors pass through: the matchers are then ahead of their event logs, and of no more use."""

    def __init__(self, matchers: Sequence[Matcher], waker: Waker) -> None:
        self._matchers = matchers
        self._waker = waker
        self._untold: list[Matcher] = []

    def turn(self) -> Pause:
        """Step every matcher once and tell who reads the event log."""
        moved = [matcher for matcher in self._matchers if matcher.step()]
        untold = [each for each in self._untold if each not in moved]
        self._untold = [each for each in untold + moved if not self._tell(each)]
        if moved:
            return GO_ON
        return Pause(MAILBOX_FULL_S if self._untold else IDLE_S)

    def _tell(self, matcher: Matcher) -> bool:
        shard, position = matcher.shard, matcher.exchange.position
        told = [self._waker.send(name, "events", shard, position) for name in EVENT_READERS]
        return all(told)


class SinkDriver:
    """Drives one follower: an error of its store is met by waiting and asking the store again; a
    fork by saying so.

    `transient` are the store's errors; `prepare` runs before the first step and after each error
    (to load an empty store from a snapshot). Other errors pass through."""

    def __init__(
        self,
        follower: Follower,
        waker: Waker,
        *,
        transient: tuple[type[BaseException], ...],
        prepare: Callable[[Follower], None],
    ) -> None:
        self._follower = follower
        self._waker = waker
        self._transient = transient
        self._prepare = prepare
        self._name = f"{follower.sink.name}, shard {follower.source.shard}"
        self._context = {"sink": follower.sink.name, "shard": follower.source.shard}
        self.metrics = SinkMetrics(follower.sink.name, follower.source.shard)
        self._retry_s = RETRY_S_MIN
        self._prepared = self._told = self._idle = False

    def turn(self) -> Pause:
        """Take the sink one step further and tell how far it got."""
        follower = self._follower
        began = time.perf_counter()
        try:
            if not self._prepared:
                self._prepare(follower)
                self._prepared = True
            moved = follower.step()
            self._prepared = not follower.is_lost
        except ConflictError as error:
            self.metrics.failed(CONFLICT)
            log.info("%s: another instance was quicker: %s", self._name, error, extra=self._context)
            return self._ask_again(RETRY_S_MIN)
        except SinkError as error:
            self.metrics.failed(STOPPED)
            log.critical("%s stopped: %s", self._name, error, extra=self._context)
            return self._ask_again(RETRY_S_MAX)
        except self._transient as error:
            self.metrics.failed(STORE)
            pause = self._ask_again(self._retry_s)
            text = "%s: %r; trying again in %.2f s"
            log.warning(text, self._name, error, pause.seconds, extra=self._context)
            self._retry_s = min(self._retry_s * 2, RETRY_S_MAX)
            return pause
        self._retry_s = RETRY_S_MIN
        self._measure(moved, time.perf_counter() - began)
        if moved or self._idle or not self._told:
            # Told again when idle: whoever starts later, or missed it, would not hear otherwise.
            shard = follower.source.shard
            self._told = self._waker.send("api", follower.sink.name, shard, follower.position)
        self._idle = not moved
        if moved:
            return GO_ON
        return Pause(IDLE_S if self._told else MAILBOX_FULL_S)

    def _measure(self, moved: int, seconds: float) -> None:
        follower = self._follower
        if not follower.is_lost:
            delay_s = age_s(follower.last_timestamp_ns) if moved else 0.0
            self.metrics.stepped(moved, follower.position, seconds=seconds, delay_s=delay_s)
        elif moved:
            self.metrics.failed(CONFLICT)  # the follower met it and asks its sink again

    def _ask_again(self, after_s: float) -> Pause:
        """The sink's position is in doubt: its store is asked before the next step."""
        self._follower.forget()
        self._prepared = False
        return Pause(after_s, until_news=False)
