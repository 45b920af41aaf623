"""The one store of messages that every client of `/v1/stream` reads with cursors of its own.

Guarantees: publishing appends once, whatever the number of readers; what is kept is bounded over
all chains together, and what goes first is the oldest; a reader whose place is gone is told so."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final, NamedTuple

COMPACT_MIN: Final = 64


class Entry(NamedTuple):
    """One message of a chain: its sequence, the one before it, and its frame."""

    sequence: int
    previous_sequence: int
    frame: bytes


class Chain:
    """The messages of one (instrument, channel), or of one account's there, in order. Entries are
    named by how many came before them."""

    def __init__(self, begins_at: int) -> None:
        self.last_sequence = begins_at
        self._entries: list[Entry] = []
        self._dropped = 0  # of `_entries`, from its start
        self._first = 0
        # What was read last: those who keep up all read from the same place to the same end.
        self._read_from = self._read_to = -1
        self._read: list[bytes] = []
        self._read_bytes = 0

    @property
    def begin(self) -> int:
        """The first entry that is still here."""
        return self._first

    @property
    def end(self) -> int:
        """What the next entry will be."""
        return self._first + len(self._entries) - self._dropped

    def since(self, sequence: int) -> int | None:
        """The entry that follows the message with this sequence; None where that cannot be told, or
        is gone."""
        if sequence == self.last_sequence:
            return self.end
        at = bisect_right(self._entries, sequence, self._dropped, key=lambda entry: entry.sequence)
        if at == len(self._entries) or self._entries[at].previous_sequence != sequence:
            return None
        return self._first + at - self._dropped

    def frames(self, at: int, bytes_max: int) -> tuple[list[bytes], int]:
        """The frames from entry `at` on, which must not be gone: up to the one that reaches
        `bytes_max`; and their bytes. The list is shared: it is not to be changed."""
        end = self._first + len(self._entries) - self._dropped
        if at == self._read_from and end == self._read_to and self._read_bytes <= bytes_max:
            return self._read, self._read_bytes
        assert self._first <= at <= end
        found: list[bytes] = []
        size = 0
        for number in range(self._dropped + at - self._first, len(self._entries)):
            frame = self._entries[number].frame
            found.append(frame)
            size += len(frame)
            if size >= bytes_max:
                break
        if at + len(found) == end:
            self._read_from, self._read_to = at, end
            self._read, self._read_bytes = found, size
        return found, size

    def _append(self, sequence: int, frame: bytes) -> None:
        self._entries.append(Entry(sequence, self.last_sequence, frame))
        self.last_sequence = sequence

    def _drop_oldest(self) -> None:
        if self._dropped == len(self._entries):
            return  # was cleared
        self._dropped += 1
        self._first += 1
        if self._dropped >= COMPACT_MIN and self._dropped * 2 >= len(self._entries):
            del self._entries[: self._dropped]
            self._dropped = 0

    def clear(self) -> None:
        """Keep nothing; nobody reads this chain any more."""
        self._first = self.end
        self._entries.clear()
        self._read_from, self._read = -1, []
        self._dropped = 0


class Ring:
    """All chains' messages, in the order in which they were published, up to `bytes_max`."""

    def __init__(self, bytes_max: int) -> None:
        assert bytes_max > 0
        self._bytes_max = bytes_max
        self._order: deque[tuple[Chain, int]] = deque()
        self.bytes_held = 0

    def publish(self, chain: Chain, sequence: int, frame: bytes) -> None:
        """Append one message, and let the oldest go where they are too many."""
        chain._append(sequence, frame)
        self._order.append((chain, len(frame)))
        self.bytes_held += len(frame)
        while self.bytes_held > self._bytes_max:
            oldest, size = self._order.popleft()
            oldest._drop_oldest()
            self.bytes_held -= size
