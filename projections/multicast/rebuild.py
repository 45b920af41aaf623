"""Building a shard's feed anew beside the one that is served, and changing over in one transaction.

Guarantees: listeners are answered out of the old tables until the new ones are at least as far; the
running sink then finds its position moved, reads it again, and goes on in the new ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from domain.batch import EventBatch, Position, SinkError
from projections.links import check_link
from projections.multicast.store import FRESH, FeedStore

PRUNE_EVERY_MESSAGES = 1_000_000


class FeedRebuild:
    """A sink of one shard's fresh tables. Apply the event log from the start, then call `finish`.
    As a context manager it drops what was not finished. `messages_kept` as the sink's.
    """

    name = "multicast"

    def __init__(self, folder: Path, shard: int, *, messages_kept: int = 0) -> None:
        self._store = FeedStore(folder, shard, part=FRESH)
        self._store.clear()
        self._encoder, self._at = self._store.encoder()
        self._messages_kept = messages_kept
        self._first_sequence = 1
        self._is_finished = False

    def position(self, shard: int) -> Position:
        """The last batch whose packets are in the fresh tables."""
        assert shard == self._store.shard
        self._encoder, self._at = self._store.encoder()
        return self._at

    def apply(self, shard: int, batches: Sequence[EventBatch]) -> Position:
        """Write the batches' packets and the position after them.

        Raises ConflictError where another rebuild took the tables, ForkError, sqlite3.Error."""
        assert shard == self._store.shard
        check_link(self._at, batches)
        encoder = self._encoder
        marks: list[tuple[int, int]] = []
        for batch in batches:
            encoder.apply(batch.record)
            marks.append((encoder.next_sequence, encoder.trading_time_ns))
        self._store.commit(self._at, encoder, batches, marks)
        encoder.packets = []
        encoder.changed.clear()
        self._at = batches[-1].at
        kept = self._messages_kept
        if kept and encoder.next_sequence - self._first_sequence > kept + PRUNE_EVERY_MESSAGES:
            self._first_sequence = self._store.prune(encoder.next_sequence - kept)
        return self._at

    def finish(self, *, even_if_behind: bool = False) -> bool:
        """Serve the new tables from now on; False where they are not yet as far as those served.

        With `even_if_behind` they are served all the same: for a history that forked."""
        if self._is_finished:
            raise SinkError("finish() once")
        self._is_finished = self._store.serve(even_if_behind=even_if_behind)
        return self._is_finished

    def __enter__(self) -> FeedRebuild:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_finished:
            self._store.drop()
        self._store.close()
