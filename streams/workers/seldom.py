"""Log lines that would repeat many times a second while a broker is away, told now and then.

Guarantees: the first of a kind is always told; the kinds remembered are bounded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

EVERY_S: Final = 10.0
KINDS_MAX: Final = 256
# Each logs by itself: a filter on "aiokafka" alone would not see what its modules say.
LOGGERS: Final = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
)


class Seldom(logging.Filter):
    """Passes one line of each kind (its text before values are put in) within `EVERY_S`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to tell this one."""
        kind, now = str(record.msg), self._clock()
        told_at = self._told_at.get(kind)
        if told_at is not None and now - told_at < EVERY_S:
            return False
        if len(self._told_at) >= KINDS_MAX:
            self._told_at.clear()
        self._told_at[kind] = now
        return True


def tell_seldom() -> None:
    """Have the Kafka client beneath Faust say each thing seldom."""
    seldom = Seldom()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(seldom)
