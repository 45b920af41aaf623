"""The books in Redis against the engine's, and against those of a fresh projection.

Guarantees: levels, sequences, states and last trades are compared whole; of the deltas, which Redis
keeps only so many of, all that both have.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import redis

from domain.exchange import Exchange
from projections.read_books import Delta
from projections.redis import RedisSink
from projections.redis.keys import live_key, shard_prefix
from streams.logs import SQLiteEventLog

FRESH_DB: Final = 1
PAGE: Final = 64
SIDES: Final = ("bids", "asks")
DECODER: Final = msgspec.msgpack.Decoder(Delta)


@dataclass(frozen=True)
class StoredBook:
    """One book with all that Redis holds of it; changes are in order of sequence."""

    sequence: int
    state: int
    last_trade: bytes | None
    levels: tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]
    changes_after: int
    changes: list[Any]


def check_books(url: str, logs: Path, engines: dict[int, Exchange]) -> int:
    """Compare; `engines` stand where the log ends. Returns how many delta entries were compared."""
    fresh_url = f"{url}?db={FRESH_DB}"
    with redis.Redis.from_url(fresh_url) as client:
        client.flushdb()
    sink = RedisSink(fresh_url)
    compared = 0
    with redis.Redis.from_url(url) as served, redis.Redis.from_url(fresh_url) as built:
        for shard, engine in engines.items():
            _project(sink, logs, shard, engine.position)
            for number in engine.instruments():
                found = stored_book(served, shard, number)
                expected = stored_book(built, shard, number)
                compared += _compare(f"instrument {number}", found, expected, engine, number)
    sink.close()
    return compared


def _project(sink: RedisSink, logs: Path, shard: int, upto: int) -> None:
    source = SQLiteEventLog(logs, shard)
    at = sink.position(shard).position
    while at < upto:
        batches = [batch for batch in source.read(at, PAGE) if batch.position <= upto]
        at = sink.apply(shard, batches).position
    source.close()


def _compare(
    name: str, found: StoredBook, expected: StoredBook, engine: Exchange, number: int
) -> int:
    own = (engine.levels(number, 0), engine.levels(number, 1))
    assert found.levels == own, f"{name}: not the engine's levels"
    assert expected.levels == own, f"{name}: the fresh projection has not the engine's levels"
    assert found.sequence == expected.sequence == engine.book_sequence(number), name
    assert found.state == expected.state == engine.trading_state(number), name
    if found.last_trade is not None:  # books that were loaded from a snapshot have none
        assert found.last_trade == expected.last_trade, name
    since = max(found.changes_after, expected.changes_after)
    first, second = (
        [change for change in book.changes if change[1].sequence > since]
        for book in (found, expected)
    )
    assert first == second, f"{name}: not the changes of a fresh projection"
    return len(first)


def stored_book(client: redis.Redis, shard: int, number: int) -> StoredBook:
    """All that Redis holds of one book, read key by key."""
    generation = client.get(live_key(shard))
    assert isinstance(generation, bytes), "no books are served"
    base = f"{shard_prefix(shard)}{generation.decode()}:{number}:"
    head: Any = client.hgetall(f"{base}book")
    entries: Any = client.xrange(f"{base}deltas")
    deltas = [DECODER.decode(next(iter(fields.values()))) for _, fields in entries]
    changes: list[Any] = []
    for delta in deltas:
        changes += [("level", change) for change in delta.levels]
        changes += [("trade", trade) for trade in delta.trades]
        changes += [("state", state) for state in delta.states]
    for earlier, entry, later in zip(deltas, entries, deltas[1:], strict=False):
        reached = int(entry[0].partition(b"-")[0])
        assert later.previous_sequence == reached >= earlier.previous_sequence, "a gap"
    return StoredBook(
        int(head[b"sequence"]),
        int(head[b"state"]),
        head.get(b"last_trade"),
        (_side(client, f"{base}bids", True), _side(client, f"{base}asks", False)),
        deltas[0].previous_sequence if deltas else int(head[b"sequence"]),
        sorted(changes, key=lambda change: (change[1].sequence, change[0])),
    )


def _side(client: redis.Redis, key: str, best_is_highest: bool) -> list[tuple[int, int, int]]:
    prices: Any = client.zrange(f"{key}:prices", 0, -1)
    texts: Any = client.hgetall(f"{key}:levels")
    assert set(prices) == set(texts), f"{key}: prices and levels differ"
    levels = []
    for price, text in texts.items():
        quantity, _, count = text.partition(b":")
        levels.append((int(price), int(quantity), int(count)))
    return sorted(levels, reverse=best_is_highest)
