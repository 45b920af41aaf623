"""The clock: trading time as commands, in a permanent session whose batch number is the tick's own
number of intervals since 1970, so that two clocks at once write each tick once.

A wall clock that goes back repeats numbers that are in the log already, and the engine refuses what
is left (`clock_backwards`): trading time never goes back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from eventsourcing.persistence import IntegrityError, PersistenceError

from domain.commands import ClockTick
from domain.wire import encode_command

CLOCK_SESSION: Final = bytes(15) + b"\x02"
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
        try:
            writer.write_system(shard, CLOCK_SESSION, number, [record])
        except IntegrityError:
            log.debug("tick %d of shard %d was written by another clock", number, shard)
        except PersistenceError as error:
            log.warning("tick %d of shard %d not written: %r", number, shard, error)


def run_clock(writer: SystemWriter, shards: int, interval_ms: int, stop: threading.Event) -> None:
    """Tick until `stop`; `interval_ms` 0 ticks never."""
    if interval_ms == 0:
        stop.wait()
    while not stop.is_set():
        tick(writer, shards, interval_ms)
        now_ms = time.time_ns() / 1e6
        stop.wait((interval_ms - now_ms % interval_ms) / 1000)
