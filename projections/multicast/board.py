"""What the services of one process know of its feeds: how far each is. Written by the sink, read by
everybody."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """How far one shard's feed is: everything before `next_sequence` is on disk. `session` is 10
    bytes.
    """

    shard: int
    session: bytes
    position: int
    next_sequence: int
    first_sequence: int


class FeedBoard:
    """The feeds of this process; one that has no message yet is not on it. One writer a shard; each
    entry is replaced whole, so reading needs no lock.
    """

    def __init__(self) -> None:
        self._feeds: dict[int, Published] = {}

    def put(self, feed: Published) -> None:
        """A feed has come so far."""
        self._feeds[feed.shard] = feed

    def drop(self, shard: int) -> None:
        """This process no longer publishes a shard."""
        self._feeds.pop(shard, None)

    def get(self, shard: int) -> Published | None:
        """One shard's feed."""
        return self._feeds.get(shard)

    def of_session(self, session: bytes) -> Published | None:
        """The feed of a session."""
        for feed in list(self._feeds.values()):
            if feed.session == session:
                return feed
        return None

    def all(self) -> list[Published]:
        """Every feed, by shard."""
        return [feed for _, feed in sorted(self._feeds.items())]
