"""Which batches are repeats: the last batch number of each session (docs/matching.md, Batches)."""

from __future__ import annotations

from dataclasses import dataclass

from domain.codes import SESSION_MEMORY_NS, SESSIONS_MAX


@dataclass
class Heard:
    """A session's last batch, its position, and the first clock tick since."""

    batch_number: int
    position: int
    time_ns: int | None = None


def is_permanent(session: bytes) -> bool:
    """Whether a session may begin with any number and is never forgotten."""
    return session[:8] == bytes(8)


class Sessions:
    """The sessions that a shard remembers."""

    def __init__(self) -> None:
        self.heard: dict[bytes, Heard] = {}

    def is_repeat(self, session: bytes, batch_number: int) -> bool:
        """Whether this batch was here before, or its session is not remembered (any more)."""
        known = self.heard.get(session)
        if known is not None:
            return batch_number <= known.batch_number
        return not is_permanent(session) and batch_number != 1

    def hear(self, session: bytes, batch: Heard) -> None:
        """Remember a batch that is no repeat, making room where there is none."""
        others = [s for s in self.heard if not is_permanent(s)]
        if not is_permanent(session) and session not in others and len(others) >= SESSIONS_MAX:
            del self.heard[min(others, key=lambda s: self.heard[s].position)]
        self.heard[session] = batch

    def tick(self, time_ns: int) -> None:
        """Date the sessions heard of since the last tick; forget those of a day ago."""
        for session, known in list(self.heard.items()):
            if known.time_ns is None:
                known.time_ns = time_ns
            if not is_permanent(session) and time_ns - known.time_ns >= SESSION_MEMORY_NS:
                del self.heard[session]
