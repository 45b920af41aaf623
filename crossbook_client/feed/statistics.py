"""What a listener counts: how it heard, and what it recovered and how."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

HOW_RECOVERED: Final = {
    "line": "by the other line or late",
    "rerequest": "by re-request",
    "http": "by HTTP",
    "snapshot": "by snapshot (books only)",
}


@dataclass
class FeedStatistics:
    """Counts of one shard, or of all together.

    `packets`, `duplicates` (packets that brought nothing new) and `heartbeats` by line; `messages`
    by where they came from first: a line, `rerequest` or `http`. `recovered`: messages that had
    been found missing, by how they came (`HOW_RECOVERED`); of those by snapshot the books have the
    outcome, and nobody the messages. `unrecovered`: messages that were given up.
    """

    packets: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    heartbeats: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    recovered: Counter[str] = field(default_factory=Counter)
    undecodable: int = 0
    wrong_session: int = 0
    gaps: int = 0
    out_of_order: int = 0
    pending_dropped: int = 0
    requests: int = 0
    fetches: int = 0
    snapshots: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    contradictions: int = 0
    claims_discarded: int = 0
    session_changes: int = 0
    unrecovered: int = 0

    @property
    def message_count(self) -> int:
        """Messages applied, from wherever."""
        return self.messages.total()

    def add(self, other: FeedStatistics) -> None:
        """Count what another counted, too."""
        for name, value in vars(other).items():
            if isinstance(value, Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)

    def as_json(self) -> dict[str, Any]:
        """Names and counts, as `crossbook listen --json` prints them."""
        return {
            name: dict(value) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }
