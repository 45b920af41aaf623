"""What `/v1/stream` needs of the hub that makes the messages: one hub a process, one subscriber a
connection. All of it is for one event loop.

Guarantees a hub gives: the first message of a subscription is a snapshot, or continues `since`; the
messages of one (instrument, channel) are then a chain without gaps, in order, each framed once for
all subscribers; a subscriber that is too slow gets a snapshot in place of what it missed.
"""

from __future__ import annotations

from typing import Protocol

from commands.directory.entries import InstrumentEntry
from projections.market_data.past import PastBook


class Subscriber(Protocol):
    """One client's place in the hub."""

    async def next_frames(self) -> list[bytes]:
        """Whole WebSocket text frames to send next, at least one, waiting for it where there is
        none.

        Raises StreamError where the client is too slow to be served any longer."""
        ...


class Hub(Protocol):
    """The messages of all instruments."""

    @property
    def ready(self) -> bool:
        """Whether the books have come to where the logs end; before that nobody may subscribe."""
        ...

    def knows(self, instrument: InstrumentEntry) -> bool:
        """Whether the instrument's listing has come through the log; before that nobody may
        subscribe to it."""
        ...

    def book(self, instrument: InstrumentEntry, *, depth: int, queued: int) -> PastBook | None:
        """The book as it is here now: `depth` levels of each side, and `queued` orders of each.
        None where the hub has not caught up or does not know it."""
        ...

    def position(self, shard: int) -> int:
        """How far of the shard's log is in its books; 0 where nothing is."""
        ...

    def trading_time_ns(self, shard: int) -> int:
        """The shard's own clock; 0 before its first tick."""
        ...

    def subscriber(self) -> Subscriber:
        """A place for a new client."""
        ...

    def subscribe(
        self,
        subscriber: Subscriber,
        instrument: InstrumentEntry,
        channel: str,
        since: int | None,
        account: int | None,
    ) -> None:
        """Begin to give a channel of this instrument, anew where the subscriber has it already:
        with what came after book sequence `since`, where that is kept, else with a snapshot.
        `account` is whose executions are meant, None in a public channel."""
        ...

    def unsubscribe(
        self,
        subscriber: Subscriber,
        instrument: InstrumentEntry,
        channel: str,
        account: int | None,
    ) -> None:
        """Give nothing more of a channel of this instrument."""
        ...

    def leave(self, subscriber: Subscriber) -> None:
        """The client has gone: give up its place."""
        ...
