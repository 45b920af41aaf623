"""The clock: trading time as commands, in a permanent session whose batch number is the tick's own
number of intervals since 1970, so that two clocks at once write each tick once.

A wall clock that goes back repeats numbers that are in the log already, and the engine refuses what
is left (`clock_backwards`): trading time never goes back. A wall clock that jumps ahead would take
trading time with it for good: a clock that sees its own jump refuses to tick until an admin, who
has looked at the machine, permits it (`crossbook clock resume`)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from eventsourcing.persistence import IntegrityError, PersistenceError

from commands.directory.aggregates import CLOCK_RESUMED
from commands.directory.application import DirectoryApplication
from domain.commands import ClockTick
from domain.wire import encode_command
from streams.metrics import CLOCK_STOPPED, CLOCK_TICKS
from streams.schedule import Schedule

CLOCK_SESSION: Final = bytes(15) + b"\x02"
JUMP_NS_MAX: Final = 60 * 10**9
SAY_EVERY_NS: Final = 60 * 10**9
log = logging.getLogger(__name__)


class SystemWriter(Protocol):
    """Where ticks are written."""

    def write_system(
        self, shard: int, session: bytes, batch_number: int, records: list[bytes]
    ) -> int:
        """Append one batch and return its position."""
        ...


def tick(
    writer: SystemWriter,
    shards: int,
    interval_ms: int,
    clock_ns: Callable[[], int] = time.time_ns,
) -> None:
    """Write the present tick to every shard. What the log refuses is logged; the next tick makes up
    for it.
    """
    number = clock_ns() // (interval_ms * 1_000_000)
    record = encode_command(ClockTick(number * interval_ms * 1_000_000))
    for shard in range(shards):
        result = "written"
        try:
            writer.write_system(shard, CLOCK_SESSION, number, [record])
        except IntegrityError:
            result = "repeated"
            log.debug("tick %d of shard %d was written by another clock", number, shard)
        except PersistenceError as error:
            result = "failed"
            log.warning("tick %d of shard %d not written: %r", number, shard, error)
        CLOCK_TICKS.labels(str(shard), result).inc()


class Permits(Protocol):
    """Where admins permit refusing clocks to tick again (`DirectoryPermits`). Calls block and raise
    PersistenceError."""

    def mark(self) -> int:
        """Now, as a place in the order of permits."""
        ...

    def given_since(self, mark: int) -> bool:
        """Whether a permit was given after `mark`."""
        ...


class DirectoryPermits:
    """Permits are events of the directory, which is their audit trail."""

    def __init__(self, application: DirectoryApplication) -> None:
        self._recorder = application.recorder

    def mark(self) -> int:
        """The directory's last notification."""
        return self._recorder.max_notification_id() or 0

    def given_since(self, mark: int) -> bool:
        """Whether an admin has said so since."""
        found = self._recorder.select_notifications(
            mark, 1, topics=[CLOCK_RESUMED], inclusive_of_start=False
        )
        return bool(found)


def steady_ns() -> int:
    """Time that nobody sets; a machine that sleeps grows older too, where the system can tell."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()


class Clock:
    """One clock. `step` ticks once, or refuses to."""

    def __init__(
        self,
        writer: SystemWriter,
        shards: int,
        interval_ms: int,
        *,
        permits: Permits,
        schedule: Schedule | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = steady_ns,
    ) -> None:
        self._writer = writer
        self._shards = shards
        self._interval_ms = interval_ms
        self._permits = permits
        self._schedule = schedule
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._offset_ns = wall_ns() - steady_ns()
        self._mark: int | None = None
        self._said_at_ns = 0
        self.refuses = False

    def step(self) -> None:
        """Tick, unless the wall clock jumped since the last step and no admin has permitted it."""
        wall_ns, steady = self._wall_ns(), self._steady_ns()
        jump_ns = wall_ns - steady - self._offset_ns
        if self.refuses:
            if not self._permitted():
                self._say(jump_ns, steady)
                return
            log.warning("an admin permits it: ticking again, %+.1f s on", jump_ns / 1e9)
            self.refuses, self._mark = False, None
            CLOCK_STOPPED.set(0)
        elif abs(jump_ns) > JUMP_NS_MAX:
            self.refuses = True
            CLOCK_STOPPED.set(1)
            self._permitted()
            self._say(jump_ns, steady)
            return
        self._offset_ns = wall_ns - steady
        tick(self._writer, self._shards, self._interval_ms, lambda: wall_ns)
        if self._schedule is not None:
            self._schedule.step(wall_ns)

    def _permitted(self) -> bool:
        """Permits count from when the jump was seen, or from when the store could next be read."""
        try:
            if self._mark is None:
                self._mark = self._permits.mark()
            return self._permits.given_since(self._mark)
        except PersistenceError as error:
            log.warning("no permit can be read: %r", error)
            return False

    def _say(self, jump_ns: int, steady: int) -> None:
        if self._said_at_ns and steady - self._said_at_ns < SAY_EVERY_NS:
            return
        self._said_at_ns = steady
        log.critical(
            "this machine's wall clock jumped by %+.1f s: no tick is written from here until "
            "an admin has looked at it and runs `crossbook clock resume`",
            jump_ns / 1e9,
        )


def run_clock(
    writer: SystemWriter,
    shards: int,
    interval_ms: int,
    stop: threading.Event,
    permits: Permits,
    schedule: Schedule | None = None,
) -> None:
    """Tick until `stop`, and keep the schedule; `interval_ms` 0 does neither."""
    if interval_ms == 0:
        stop.wait()
    clock = Clock(writer, shards, max(1, interval_ms), permits=permits, schedule=schedule)
    while not stop.is_set():
        clock.step()
        now_ms = time.time_ns() / 1e6
        stop.wait((interval_ms - now_ms % interval_ms) / 1000)
