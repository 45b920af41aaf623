"""Packets that came too early, bounded, and the holes between them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Final

from crossbook_client.feed.mold import Packet

PENDING_PACKETS_MAX: Final = 8_192
"""Packets kept out of order for one shard: some 11 MB of the wire. Of more, those furthest ahead
are let go and asked for again in their turn."""


class PendingPackets:
    """Packets by their first sequence, each with the source that brought it."""

    def __init__(self, packets_max: int = PENDING_PACKETS_MAX) -> None:
        assert packets_max > 0
        self._packets_max = packets_max
        self._starts: list[int] = []
        self._kept: dict[int, tuple[Packet, str]] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, packet: Packet, source: str) -> bool:
        """Keep a packet; False where it is there, at least as long, or there is no room for it."""
        start = packet.sequence
        known = self._kept.get(start)
        if known is not None:
            if len(known[0].messages) >= len(packet.messages):
                return False
            self._kept[start] = (packet, source)
            return True
        if len(self._starts) >= self._packets_max:
            self.dropped += 1
            if start > self._starts[-1]:
                return False
            del self._kept[self._starts.pop()]
        insort(self._starts, start)
        self._kept[start] = (packet, source)
        return True

    def take_upto(self, sequence: int) -> tuple[Packet, str] | None:
        """Take out the first packet where it begins at or before `sequence`."""
        if not self._starts or self._starts[0] > sequence:
            return None
        return self._kept.pop(self._starts.pop(0))

    def holes(self, expected: int, end: int) -> Iterator[tuple[int, int]]:
        """What is missing from `expected` to before `end`: (first, past the last) each."""
        reached = expected
        for start in self._starts:
            if start >= end:
                break
            if start > reached:
                yield reached, start
            reached = max(reached, self._kept[start][0].next_sequence)
        if reached < end:
            yield reached, end

    def drop_from(self, sequence: int) -> None:
        """Let go of packets that begin at `sequence` or later."""
        at = bisect_left(self._starts, sequence)
        for start in self._starts[at:]:
            del self._kept[start]
        del self._starts[at:]

    @property
    def first(self) -> int | None:
        """The first sequence that is here."""
        return self._starts[0] if self._starts else None

    def clear(self) -> None:
        """Let go of everything."""
        self._starts.clear()
        self._kept.clear()
