"""The books in Redis: levels, state and last trade of each instrument, and its stream of deltas.

Guarantees: the effects of a group of batches and the position after them are one atomic script,
which begins by comparing the position; so two instances never apply a batch twice, and no reader
ever sees a book of one position beside another of the next. A Redis that lost its data, or some of
it, stands at START: its books are served again once they are loaded or replayed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from domain.batch import START, ConflictError, EventBatch, Position, SinkError
from projections.links import check_link
from projections.redis.fold import fold
from projections.redis.generations import BookLevels, Generations
from projections.redis.keys import live_key, script, shard_prefix

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
LIVE: Final = "live"
FRESH: Final = "fresh"


class RedisSink:
    """The sink `redis`. Safe for one thread a shard.

    `stream_length_max` bounds each instrument's stream of deltas, in entries (one an `apply`).
    """

    name = "redis"

    def __init__(self, url: str, *, stream_length_max: int = 10_000) -> None:
        # No retries here: a failure may have been a success, and only the position tells.
        self._redis: redis.Redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=5.0, retry=Retry(NoBackoff(), 0)
        )
        self._stream_length_max = stream_length_max
        self._apply = self._redis.register_script(script("apply"))
        self._read_position = self._redis.register_script(script("position"))
        self._generations = Generations(self._redis)
        self._known: dict[int, Position] = {}
        self._served: dict[int, str] = {}
        self._lock = threading.Lock()

    def position(self, shard: int) -> Position:
        """The last batch applied; START where Redis holds nothing. Raises redis.RedisError."""
        generation, _ = self._target(shard)
        arguments = [shard_prefix(shard), generation]
        found = self._read_position(keys=[live_key(shard)], args=arguments)
        with self._lock:
            self._served[shard] = found[0].decode() if found else ""
            sound = len(found) == 3 and found[1] is not None
            self._known[shard] = Position(int(found[1]), found[2]) if sound else START
            return self._known[shard]

    def apply(self, shard: int, batches: Sequence[EventBatch]) -> Position:
        """Write the batches' books, deltas and the new position in one script.

        Raises ConflictError, ForkError, or redis.RedisError where the server is away (the batches
        may be written or not: read the position again).
        """
        if not batches:
            return self.position(shard)
        blob = fold([batch.record for batch in batches])
        before = self._check(shard, batches)
        after = batches[-1].at
        try:
            answer = self._call(shard, before, after, blob)
        except redis.RedisError:
            self._forget(shard)
            raise
        self._judge(shard, before, answer)
        with self._lock:
            self._known[shard] = after
            self._served[shard] = answer[1].decode()
        if before == START and self._target(shard)[1] == LIVE:
            self._generations.remove_others(shard, self._served[shard])
        return after

    def load(self, shard: int, position: Position, books: Iterable[BookLevels]) -> None:
        """Replace all books of a shard by those of an engine snapshot taken at `position`.

        Readers see the old ones until all are there. Raises ConflictError where another instance
        has got further than the snapshot.
        """
        generation = self._generations.begin(shard)
        self._generations.fill(shard, generation, position, books)
        flipped = self._generations.flip(shard, generation)
        self._forget(shard)
        if not flipped:
            raise ConflictError(f"shard {shard} is past the snapshot of {position.position}")

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _target(self, shard: int, served: str = "") -> tuple[str, str]:
        """The generation to write, and its kind; `served` is the live one as last seen."""
        return served, LIVE

    def _call(self, shard: int, before: Position, after: Position, blob: bytes) -> list[Any]:
        arguments: list[Any] = [shard_prefix(shard), *self._target(shard, self._served[shard])]
        arguments += [before.position, before.chain, after.position, after.chain]
        arguments += [self._stream_length_max, blob]
        answer: list[Any] = self._apply(keys=[live_key(shard)], args=arguments)
        return answer

    def _judge(self, shard: int, before: Position, answer: list[Any]) -> None:
        if answer[0] == b"ok":
            return
        self._forget(shard)
        if answer[0] == b"damaged":
            log.error(
                "redis, shard %d: book %s stands at sequence %s; the books are made anew",
                shard,
                answer[1].decode(),
                answer[2].decode(),
            )
        raise ConflictError(f"shard {shard} moved from {before.position} meanwhile")

    def _check(self, shard: int, batches: Sequence[EventBatch]) -> Position:
        """The position before `batches`. Our own idea may be old: only what is stored is blamed."""
        known = self._known.get(shard)
        if known is not None:
            try:
                check_link(known, batches)
                return known
            except SinkError:
                self._forget(shard)
        stored = self.position(shard)
        check_link(stored, batches)
        return stored

    def _forget(self, shard: int) -> None:
        with self._lock:
            self._known.pop(shard, None)
            self._served.pop(shard, None)
