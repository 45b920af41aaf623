"""Which holes are re-requested when: each waits a moment for the other line, then is asked for a
bounded number of times, twice as patiently each time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from crossbook_client.feed.mold import MESSAGES_MAX
from crossbook_client.feed.terms import Patience


class NotAnsweredError(Exception):
    """A hole was asked for as often as it may be."""


@dataclass
class _Hole:
    ask_at: float
    tries: int = 0


class Rerequests:
    """The attempts at each hole, by its first sequence."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._holes: dict[int, _Hole] = {}

    def clear(self) -> None:
        """Forget all attempts."""
        self._holes.clear()

    def at_once(self, sequence: int, now: float) -> None:
        """The hole that begins here is what remains of one that is being filled."""
        self._holes[sequence] = _Hole(now)

    def due(self, holes: Iterable[tuple[int, int]], now: float) -> list[tuple[int, int]]:
        """(first sequence, count) to ask for now. Raises NotAnsweredError."""
        asked: list[tuple[int, int]] = []
        present: dict[int, _Hole] = {}
        for first, end in holes:
            if len(present) >= self._patience.holes_at_once:
                break
            hole = self._holes.get(first) or _Hole(now + self._patience.reorder_s)
            present[first] = hole
            if now < hole.ask_at:
                continue
            if hole.tries >= self._patience.rerequest_tries:
                self._holes.clear()
                raise NotAnsweredError
            hole.ask_at = now + self._patience.rerequest_s * 2**hole.tries
            hole.tries += 1
            asked.append((first, min(end - first, MESSAGES_MAX)))
        self._holes = present
        return asked

    @property
    def next_at(self) -> float:
        """When the next attempt is due."""
        return min((hole.ask_at for hole in self._holes.values()), default=float("inf"))
