"""A bounded index of the newest records of a partition: which originator's versions lie where.

Guarantees: it covers a contiguous range of offsets [low, high) and holds no states; the oldest
records leave it first."""

from __future__ import annotations

from collections import deque
from typing import Final

from streams.kafka.records import Key

INDEX_RECORDS_MAX: Final = 32_768


class RecentIndex:
    """Not thread-safe. A repeated version (a record written again) counts where it came first."""

    def __init__(self, records_max: int = INDEX_RECORDS_MAX) -> None:
        self.records_max = records_max
        self._keys: deque[Key] = deque()
        self._versions: dict[bytes, deque[tuple[int, int]]] = {}
        self.low = self.high = 0

    def restart(self, offset: int) -> None:
        """Forget all and cover nothing, from `offset` on."""
        self._keys.clear()
        self._versions.clear()
        self.low = self.high = offset

    def add(self, key: Key) -> None:
        """The record at `high`."""
        originator, version = key
        self._keys.append(key)
        self._versions.setdefault(originator, deque()).append((version, self.high))
        self.high += 1
        if len(self._keys) > self.records_max:
            oldest, _ = self._keys.popleft()
            entries = self._versions[oldest]
            entries.popleft()
            if not entries:
                del self._versions[oldest]
            self.low += 1

    def offsets(self, originator: bytes) -> dict[int, int]:
        """The first offset of each version of an originator, in the order of the log."""
        found: dict[int, int] = {}
        for version, offset in self._versions.get(originator, ()):
            found.setdefault(version, offset)
        return found
