"""Ends a worker that has stopped working without knowing it: consumers can die quietly.

Guarantees: a worker whose shard lags and does not move, whose event loop stands still, whose Faust
brings nothing of what the log holds, or that rebalances for ever, ends; one that waits for a store
or a broker that is down does not."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from streams.workers.shards import Fatal, Kind, ShardFollower

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

CHECK_S: Final = 1.0
STALL_S: Final = 30.0
QUIET_S: Final = 15.0
LOOP_STALL_S: Final = 15.0
REBALANCE_S: Final = 60.0


class Rebalances(Protocol):
    """A Faust application, as far as the watchdog looks."""

    rebalancing: bool


class Watched(Protocol):
    """The shards of a worker."""

    loop_beat_at: float

    @property
    def followers(self) -> Mapping[int, ShardFollower]:
        """By shard."""
        ...


class Watchdog(threading.Thread):
    """Looks once a second."""

    def __init__(self, kind: Kind, app: Rebalances, shards: Watched, fatal: Fatal) -> None:
        super().__init__(name=f"{kind.name}-watchdog", daemon=True)
        self._kind = kind
        self._app = app
        self._shards = shards
        self._fatal = fatal
        self._stopping = threading.Event()
        self._moved: dict[int, tuple[int, float]] = {}
        self._settled_at = time.monotonic()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopping.wait(CHECK_S):
            reason = self.verdict(time.monotonic())
            if reason is not None and not self._stopping.is_set():
                self._fatal(f"{self._kind.name}: {reason}", None)

    def verdict(self, now: float) -> str | None:
        """Why the worker must end, None while it need not."""
        if now - self._shards.loop_beat_at > LOOP_STALL_S:
            return f"the event loop has stood still for {LOOP_STALL_S:.0f} s"
        if not self._app.rebalancing:
            self._settled_at = now
        elif now - self._settled_at > REBALANCE_S:
            return f"rebalancing for {REBALANCE_S:.0f} s"
        for shard, follower in list(self._shards.followers.items()):
            reason = self._verdict_of(shard, follower, now)
            if reason is not None:
                return reason
        return None

    def _verdict_of(self, shard: int, follower: ShardFollower, now: float) -> str | None:
        helped_since = follower.helped_since
        if helped_since is not None and now - helped_since > QUIET_S:
            return f"shard {shard}: Faust has brought nothing for {QUIET_S:.0f} s, the log has more"
        position, since = self._moved.get(shard, (-1, now))
        if follower.position != position or follower.is_waiting_for_store:
            self._moved[shard] = (follower.position, now)
            return None
        if now - since < STALL_S:
            return None
        try:
            head = self._kind.head(shard)
        except self._kind.transient as error:
            log.warning("shard %d: the end of the log is not known: %r", shard, error)
            self._moved[shard] = (position, now)
            return None
        if head > follower.position:
            return f"shard {shard}: at {position} of {head} for {STALL_S:.0f} s"
        # Caught up: the time starts again with the next batch.
        self._moved[shard] = (position, now)
        return None
