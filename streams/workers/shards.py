"""The shards that a worker holds: a thread each, which follows its log and nothing else.

Guarantees: a shard's work begins anew at each assignment and ends at once when it is revoked; the
event loop that delivers is never kept waiting by a shard's work for longer than `ROOM_WAIT_S`; an
error of the broker or a store is met by beginning anew, any other ends the process with the
position in the log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from eventsourcing.persistence import IntegrityError

from streams.drivers import GO_ON, Pause
from streams.workers.ring import Ring

log = logging.getLogger(__name__)

RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 2.0
FORMER_WAIT_S: Final = 2.0
# Without news the log is asked whether Faust left something out: soon, then less and less often.
LOOK_S_MIN: Final = 0.5
LOOK_S_MAX: Final = 2.0

Fatal = Callable[[str, BaseException | None], NoReturn]
Beat = Callable[[int], None]


class StoppedError(Exception):
    """The shard was revoked, or the worker stops."""


class Deliveries(Protocol):
    """Takes over what Faust delivers of one shard."""

    def deliver(self, offset: int, record: bytes) -> None:
        """Take over one record of the shard's partition; never waits."""
        ...


class ShardWork(Protocol):
    """What is done along one shard's log. Used by one thread."""

    def begin(self, beat: Beat) -> None:
        """Get to where the work went on last. `beat(position)` now and then shows that it goes
        on, and raises StoppedError when it should not."""
        ...

    def turn(self) -> Pause:
        """One step."""
        ...

    @property
    def position(self) -> int:
        """How far it got."""
        ...

    def end(self, *, clean: bool) -> None:
        """Release everything; `clean`: the worker stops, and this shard's work is sound."""
        ...


class Kind(Protocol):
    """What a worker does with each of its shards."""

    name: str
    topic: str
    transient: tuple[type[BaseException], ...]

    def inbox(self) -> tuple[Ring[Any], Deliveries]:
        """Where the records of a shard are delivered."""
        ...

    def open(self, shard: int, ring: Ring[Any]) -> ShardWork:
        """The work of one shard, connected to its logs."""
        ...

    def head(self, shard: int) -> int:
        """The last position that the shard's log holds, by a connection of its own."""
        ...


class ShardFollower(threading.Thread):
    """One shard's thread, from its assignment to its revocation."""

    def __init__(
        self, kind: Kind, shard: int, *, former: ShardFollower | None, fatal: Fatal
    ) -> None:
        super().__init__(name=f"{kind.name}-{shard}", daemon=True)
        self.shard = shard
        self.ring, self._deliveries = kind.inbox()
        self.position = 0
        self.beat_at = time.monotonic()
        self.is_waiting_for_store = False
        self.helped_since: float | None = None
        self._kind = kind
        self._former = former
        self._fatal = fatal
        self._stop_asked = threading.Event()
        self._clean = False

    def deliver(self, offset: int, record: bytes) -> None:
        """Take over a record that Faust delivered."""
        self.helped_since = None
        self._deliveries.deliver(offset, record)

    def stop(self, *, clean: bool) -> None:
        """Have it end after the step under way."""
        self._clean = clean
        self._stop_asked.set()
        self.ring.news.set()

    def run(self) -> None:
        """Follow until stopped."""
        try:
            if self._former is not None:
                self._former.join(FORMER_WAIT_S)
                self._former = None
            self._run()
        except BaseException as error:  # noqa: BLE001 - half a worker alive would hide it
            self._fatal(f"{self.name} stopped behind position {self.position}", error)

    def _run(self) -> None:
        retry_s = RETRY_S_MIN
        while not self._stop_asked.is_set():
            begun_at = self.position
            try:
                self._work_on()
            except StoppedError:
                return
            except IntegrityError:
                raise  # the log lost what it had acknowledged
            except self._kind.transient as error:
                if self.position > begun_at:
                    retry_s = RETRY_S_MIN
                log.warning("%s: %r; beginning anew in %.1f s", self.name, error, retry_s)
                self.is_waiting_for_store = True
                self._stop_asked.wait(retry_s)
                retry_s = min(retry_s * 2, RETRY_S_MAX)

    def _work_on(self) -> None:
        work = self._kind.open(self.shard, self.ring)
        sound = False
        try:
            self.ring.look()
            work.begin(self._beat)
            self._follow(work)
            sound = True
        finally:
            work.end(clean=sound and self._clean)

    def _follow(self, work: ShardWork) -> None:
        ring = self.ring
        has_looked = False
        look_s = LOOK_S_MIN
        look_at = 0.0
        while not self._stop_asked.is_set():
            ring.news.clear()
            pause = work.turn()
            self.position = work.position
            self.beat_at = time.monotonic()
            self.is_waiting_for_store = not pause.until_news
            if pause is GO_ON:
                if has_looked and self.helped_since is None:
                    # The log held what Faust had not brought.
                    self.helped_since = self.beat_at
                has_looked = False
                look_s = LOOK_S_MIN
                continue
            if not pause.until_news:
                self._stop_asked.wait(pause.seconds)
            elif ring.news.wait(pause.seconds):
                has_looked = False
            elif time.monotonic() >= look_at:
                ring.look()
                has_looked = True
                look_at = time.monotonic() + look_s
                look_s = min(look_s * 2, LOOK_S_MAX)

    def _beat(self, position: int) -> None:
        if self._stop_asked.is_set():
            raise StoppedError
        self.position = position
        self.beat_at = time.monotonic()
        self.is_waiting_for_store = False
