"""What the receiver of a shard and those around it say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from crossbook_client.feed.books import ShardBooks
from crossbook_client.feed.messages import Message
from crossbook_client.feed.pending import PENDING_PACKETS_MAX

REREQUEST: Final = "rerequest"
HTTP: Final = "http"
SNAPSHOT: Final = "snapshot"
MEANS: Final = (REREQUEST, HTTP, SNAPSHOT)
"""How missing messages are got, in the order in which it is tried."""


@dataclass(frozen=True)
class Patience:
    """How long things are waited for, in seconds, and how often they are tried.

    `reorder_s`: before a hole is asked for, so that the other line may bring it. `rerequest_s`: for
    an answer, doubling with each attempt. More than `rerequest_messages_max` missing messages are
    not re-requested but fetched, `fetch_messages_max` at a time. `retry_s`: between attempts at
    HTTP and snapshot. `give_up_s`: after which, without a snapshot service, a gap is skipped.
    `silence_s`: of the own session, before another one is believed.
    """

    reorder_s: float = 0.02
    rerequest_s: float = 0.05
    rerequest_tries: int = 4
    rerequest_messages_max: int = 5_000
    holes_at_once: int = 32
    fetch_messages_max: int = 8_192
    tries: int = 3
    retry_s: float = 0.2
    give_up_s: float = 10.0
    silence_s: float = 3.0
    pending_packets_max: int = PENDING_PACKETS_MAX


@dataclass(frozen=True)
class Rerequest:
    """Send a request packet for these messages."""

    session: bytes
    sequence: int
    count: int


@dataclass(frozen=True)
class Fetch:
    """Get a block over HTTP; answer by `took_block`."""

    sequence: int
    count: int


@dataclass(frozen=True)
class TakeSnapshot:
    """Take a snapshot; answer by `took_snapshot`."""


@dataclass(frozen=True)
class Discover:
    """Ask the API which session this shard has; answer by `took_session`."""


Action = Rerequest | Fetch | TakeSnapshot | Discover


@dataclass
class Snapshot:
    """Books as of before `next_sequence`; `body` is the messages that they were made of, each after
    its length."""

    session: bytes
    next_sequence: int
    books: ShardBooks
    body: bytes = b""


class Taker(Protocol):
    """Who is told what was applied: a recording, a program's queue."""

    def messages(self, shard: int, sequence: int, messages: list[Message], body: bytes) -> None:
        """Messages from `sequence` on; `body` is them as they came, each after its length."""

    def snapshot(self, shard: int, snapshot: Snapshot, before: ShardBooks) -> None:
        """Books are about to be replaced by the snapshot's."""

    def session_changed(self, shard: int, session: bytes) -> None:
        """The books are about to be emptied: another session, another log."""
