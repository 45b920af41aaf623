"""What a listener hands to a program that iterates, and the queue that it waits in."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from msgspec import Struct

from crossbook_client.feed.books import ShardBooks
from crossbook_client.feed.messages import Message
from crossbook_client.feed.shard import ShardFeed
from crossbook_client.feed.terms import Snapshot


class FeedMessage(Struct, frozen=True, gc=False):
    """One message that was applied. `symbol` is "" for those of no instrument."""

    shard: int
    sequence: int
    symbol: str
    message: Message


class BooksReplaced(Struct, frozen=True, gc=False):
    """The shard's books are now those as of before `sequence`, without the messages that led there:
    by a snapshot (`missed` messages, 0 where it is the first), or empty, in a new `session`."""

    shard: int
    session: str
    sequence: int
    missed: int


FeedEvent = FeedMessage | BooksReplaced


class EventQueue:
    """Events in order. Messages stay in the lists that they came in until they are taken.

    It grows by what one round reads, and is emptied before the next.
    """

    def __init__(self, feeds: Mapping[int, ShardFeed]) -> None:
        self._feeds = feeds
        self._waiting: deque[tuple[int, int, list[Message]] | BooksReplaced] = deque()
        self._at = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._at = 0

    def take(self) -> FeedEvent:
        """The next event. There must be one."""
        first = self._waiting[0]
        if isinstance(first, BooksReplaced):
            self._waiting.popleft()
            return first
        shard, sequence, messages = first
        at = self._at
        message = messages[at]
        self._at += 1
        if self._at == len(messages):
            self._waiting.popleft()
            self._at = 0
        book = self._feeds[shard].books.by_locate.get(message.locate)
        symbol = book.symbol if book is not None else ""
        return FeedMessage(shard, sequence + at, symbol, message)

    # --- as a Taker -------------------------------------------------------------------------------

    def messages(self, shard: int, sequence: int, messages: list[Message], body: bytes) -> None:
        """Messages were applied."""
        self._waiting.append((shard, sequence, messages))

    def snapshot(self, shard: int, snapshot: Snapshot, before: ShardBooks) -> None:
        """A snapshot takes the books' place."""
        expected = self._feeds[shard].expected
        missed = snapshot.next_sequence - expected if expected else 0
        session = snapshot.session.decode("ascii").strip()
        self._waiting.append(BooksReplaced(shard, session, snapshot.next_sequence, missed))

    def session_changed(self, shard: int, session: bytes) -> None:
        """The books are emptied."""
        self._waiting.append(BooksReplaced(shard, session.decode("ascii").strip(), 1, 0))
