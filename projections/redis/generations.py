"""Generations of one shard's books: built beside the one that is served, then served in its place.

Guarantees: readers go from one whole generation to another whole one in an instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import redis

from domain.batch import Position, SinkError
from projections.redis.keys import BOOK_KEYS, live_key, script, shard_prefix

# An instrument, its book sequence and trading state, then bids and asks as (price ticks, quantity,
# order count).
BookLevels = tuple[int, int, int, Sequence[tuple[int, int, int]], Sequence[tuple[int, int, int]]]
LEVELS_AT_ONCE = 2_000


class Generations:
    """Makes, fills, serves and removes generations."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._flip = client.register_script(script("flip"))

    def begin(self, shard: int) -> str:
        """A new generation without any keys. What an earlier builder left unfinished is removed."""
        prefix = shard_prefix(shard)
        served = self._redis.get(live_key(shard))
        self.remove_others(shard, _text(served) if served is not None else "")
        generation = str(self._redis.incr(f"{prefix}generation_number"))
        self._redis.sadd(f"{prefix}generations", generation)
        return generation

    def fill(
        self, shard: int, generation: str, position: Position, books: Iterable[BookLevels]
    ) -> None:
        """Write whole books and their position into a generation."""
        base = f"{shard_prefix(shard)}{generation}:"
        for instrument, sequence, state, bids, asks in books:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.sadd(f"{base}instruments", instrument)
            fields: dict[Any, Any] = {"sequence": sequence, "state": state}
            pipeline.hset(f"{base}{instrument}:book", mapping=fields)
            for side, levels in (("bids", bids), ("asks", asks)):
                self._fill_side(pipeline, f"{base}{instrument}:{side}", levels)
            pipeline.execute()
        fields_of_position: dict[Any, Any] = {
            "position": position.position,
            "chain": position.chain,
        }
        self._redis.hset(f"{base}position", mapping=fields_of_position)

    def _fill_side(
        self, pipeline: redis.client.Pipeline, key: str, levels: Sequence[tuple[int, int, int]]
    ) -> None:
        rest = iter(levels)
        while part := list(islice(rest, LEVELS_AT_ONCE)):
            texts: dict[Any, Any] = {
                price: f"{quantity}:{count}" for price, quantity, count in part
            }
            pipeline.hset(f"{key}:levels", mapping=texts)
            pipeline.zadd(f"{key}:prices", {str(price): price for price in texts})

    def flip(self, shard: int, generation: str, *, even_if_behind: bool = False) -> bool:
        """Serve a generation from now on, and remove the others; False where it is behind.

        Raises SinkError where the generation is gone.
        """
        arguments = [shard_prefix(shard), generation, "1" if even_if_behind else "0"]
        answer = self._flip(keys=[live_key(shard)], args=arguments)
        if answer == b"lost":
            raise SinkError(f"shard {shard}: generation {generation} was taken away meanwhile")
        if answer == b"behind":
            return False
        self.remove_others(shard, generation)
        return True

    def remove_others(self, shard: int, kept: str) -> None:
        """Remove every generation but `kept`."""
        prefix = shard_prefix(shard)
        for member in self._redis.smembers(f"{prefix}generations"):
            generation = _text(member)
            if generation != kept:
                self._remove(f"{prefix}{generation}:")
                self._redis.srem(f"{prefix}generations", generation)

    def _remove(self, base: str) -> None:
        for member in self._redis.smembers(f"{base}instruments"):
            book = f"{base}{_text(member)}:"
            self._redis.unlink(*(f"{book}{name}" for name in BOOK_KEYS))
        self._redis.unlink(f"{base}position", f"{base}instruments")


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
