"""Building the books anew beside those that are served, and changing over in an instant, shard by
shard.

Guarantees: readers see the old books until the new ones are at least as far; the running sink then
finds its generation replaced and goes on in the new one, from its position.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.batch import Position, SinkError
from projections.redis.generations import BookLevels
from projections.redis.sink import FRESH, RedisSink


class RedisRebuild(RedisSink):
    """A sink of a fresh generation of each shard. Apply the event log from the start, or `load` a
    snapshot and go on from there; then call `finish`.

    A later rebuild of the same shard takes this one's generation away: the next call raises
    ConflictError or SinkError.
    """

    def __init__(self, url: str, *, stream_length_max: int = 10_000) -> None:
        super().__init__(url, stream_length_max=stream_length_max)
        self._built: dict[int, str] = {}

    def begin(self, shard: int) -> None:
        """Make the shard's fresh generation."""
        self._built[shard] = self._generations.begin(shard)

    def load(self, shard: int, position: Position, books: Iterable[BookLevels]) -> None:
        """Begin with the books of an engine snapshot taken at `position`."""
        self._generations.fill(shard, self._built[shard], position, books)
        self._forget(shard)

    def finish(self, shard: int, *, even_if_behind: bool = False) -> bool:
        """Serve the shard's new books from now on; False where they are not yet as far as those
        served.

        With `even_if_behind` they are served all the same: for a history that forked.
        """
        generation = self._built[shard]
        done = self._generations.flip(shard, generation, even_if_behind=even_if_behind)
        if done:
            del self._built[shard]
        return done

    def _target(self, shard: int, served: str = "") -> tuple[str, str]:
        if shard not in self._built:
            raise SinkError(f"shard {shard}: begin() comes first, and nothing after finish()")
        return self._built[shard], FRESH
