"""Reads the event logs of all shards in a thread, for an event loop that must not wait for them.

Guarantees: batches are delivered in order, each once; whoever takes them slows the reading, and
nothing piles up; a broker that does not answer costs time and nothing else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from eventsourcing.persistence import PersistenceError

from domain.batch import EventBatch
from streams.follower import EventSource

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.5
RETRY_S: Final = 0.5


class EventReader:
    """Reads event batches of all shards in a thread, from where it begins, and delivers them.

    `deliver(shard, batches)` is called in that thread, and may block it. A broker that does not
    answer is asked again; what else goes wrong (a fork, a newer release's batch) ends the thread,
    and `failure` says what.
    """

    def __init__(
        self,
        sources: Sequence[EventSource],
        begins: Sequence[int],
        news: threading.Event,
        *,
        batches_max: int,
        deliver: Callable[[int, list[EventBatch]], None],
    ) -> None:
        """`news` is set by whoever hears that there may be something new."""
        self._sources = sources
        self._at = list(begins)
        self._batches_max = batches_max
        self._deliver = deliver
        self._news = news
        self._closing = False
        self._troubled = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="event-reader", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look(self) -> None:
        """There may be something new. Callable from any thread."""
        self._news.set()

    def close(self) -> None:
        """Stop reading."""
        self._closing = True
        self._news.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._closing:
                self._news.clear()
                if not self._read_all():
                    self._news.wait(LOOK_EVERY_S)
        except Exception as error:  # noqa: BLE001 - whoever has the reader raises it again
            log.critical("the event log cannot be followed: %r", error)
            self.failure = error

    def _read_all(self) -> bool:
        """One slice of each shard; whether there was any."""
        try:
            moved = [self._read(shard) for shard in range(len(self._sources))]
        except PersistenceError as error:
            if not self._troubled:
                log.warning("the event log cannot be read: %s", error)
            self._troubled = True
            self._news.wait(RETRY_S)
            return False
        if self._troubled:
            log.info("the event log can be read again")
        self._troubled = False
        return any(moved)

    def _read(self, shard: int) -> bool:
        batches = self._sources[shard].read(self._at[shard], self._batches_max)
        if not batches or self._closing:
            return False
        self._at[shard] = batches[-1].position
        self._deliver(shard, batches)
        return True
