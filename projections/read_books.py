"""Books, best prices and deltas as Redis holds them, for the API.

Guarantees: what one call returns is of one instant: levels, sequence and position belong together.
Where Redis has lost its data, or a book, None is returned until it is there again: never a wrong
book.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from domain.batch import START, Position
from projections.redis.connections import shared_redis
from projections.redis.keys import live_key, script, shard_prefix

Level: TypeAlias = tuple[int, int, int]
TIMEOUT_S: Final = 2.0
CONNECTION_WAIT_S: Final = 5.0
TRIMMED: Final = "trimmed"
AHEAD: Final = "ahead"


CHANGES_PER_ANSWER_MAX = 10_000


class BooksUnavailableError(Exception):
    """Redis does not answer."""


@dataclass(frozen=True, slots=True)
class LastTrade:
    """The newest match of a book."""

    match_number: int
    price_ticks: int
    quantity: int
    aggressor_side: int
    executed_at_ns: int


@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """One book: `bids` and `asks` are (price ticks, quantity, order count), best first.

    `sequence` is the book's own, `position` the shard's; `last_trade` is None where none is known.
    """

    shard: int
    instrument: int
    position: int
    sequence: int
    state: int
    bids: list[Level]
    asks: list[Level]
    last_trade: LastTrade | None


@dataclass(frozen=True, slots=True)
class Top:
    """The best level of each side, None where a side is empty; the rest as in `BookSnapshot`."""

    shard: int
    instrument: int
    position: int
    sequence: int
    state: int
    bid: Level | None
    ask: Level | None
    last_trade: LastTrade | None


class LevelDelta(msgspec.Struct, array_like=True, frozen=True):
    """A level is now so; a quantity of 0 means that it is gone."""

    sequence: int
    side: int
    price_ticks: int
    quantity: int
    order_count: int


class TradeDelta(msgspec.Struct, array_like=True, frozen=True):
    """A match."""

    sequence: int
    match_number: int
    price_ticks: int
    quantity: int
    aggressor_side: int
    executed_at_ns: int


class StateDelta(msgspec.Struct, array_like=True, frozen=True):
    """The trading state is now so."""

    sequence: int
    state: int


class Delta(msgspec.Struct, array_like=True, frozen=True):
    """All that a group of batches did to one book, up to and including book sequence `sequence`.

    The sequences of the changes lie above `previous_sequence`; each list is in order. Sequences in
    between belong to events that change no level, such as an order's acceptance.
    """

    previous_sequence: int
    position: int
    audit_timestamp_ns: int
    levels: list[LevelDelta]
    trades: list[TradeDelta]
    states: list[StateDelta]
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Deltas:
    """Every change after `since`, up to `sequence`; ask again from there. `more`: there are more
    now."""

    shard: int
    instrument: int
    position: int
    since: int
    sequence: int
    entries: list[Delta]
    more: bool


@dataclass(frozen=True, slots=True)
class Resync:
    """Deltas cannot bridge from the sequence asked for: begin again with a snapshot.

    `reason` is TRIMMED (too old) or AHEAD (the book has not got there: it was reset).
    """

    shard: int
    instrument: int
    position: int
    sequence: int
    reason: str


class BookReader:
    """Reads books. A few connections; safe for many tasks of one event loop, which wait for
    each other's.

    Every method returns None for an instrument that has no book here (yet), and raises
    BooksUnavailableError where Redis does not answer in time.
    """

    def __init__(self, url: str) -> None:
        self._redis: redis.asyncio.Redis = shared_redis(
            url,
            answer_s=TIMEOUT_S,
            free_s=CONNECTION_WAIT_S,
            retry=Retry(ExponentialBackoff(cap=0.1, base=0.01), 2),
        )
        self._read_book = self._redis.register_script(script("read_book"))
        self._read_deltas = self._redis.register_script(script("read_deltas"))
        self._read_tops = self._redis.register_script(script("read_tops"))
        self._read_position = self._redis.register_script(script("position"))
        self._decoder = msgspec.msgpack.Decoder(Delta)

    async def book(self, shard: int, instrument: int, depth: int = 0) -> BookSnapshot | None:
        """The best `depth` levels of each side; 0: all."""
        found = await self._call(self._read_book, shard, instrument, depth)
        if len(found) < 8:
            return None
        position, sequence, state, last_trade, bid_prices, bids, ask_prices, asks = found
        return BookSnapshot(
            shard,
            instrument,
            int(position),
            int(sequence),
            int(state),
            [_level(price, text) for price, text in zip(bid_prices, bids, strict=True)],
            [_level(price, text) for price, text in zip(ask_prices, asks, strict=True)],
            _last_trade(last_trade),
        )

    async def top(self, shard: int, instrument: int) -> Top | None:
        """The best bid and offer of one book."""
        return (await self.tops(shard, [instrument]))[0]

    async def tops(self, shard: int, instruments: Sequence[int]) -> list[Top | None]:
        """The best bid and offer of several books of one shard, all of one instant, in order."""
        found = await self._call(self._read_tops, shard, *instruments)
        if not found:
            return [None] * len(instruments)
        position = int(found[0])
        return [
            _top(shard, instrument, position, fields)
            for instrument, fields in zip(instruments, found[1], strict=True)
        ]

    async def deltas(
        self, shard: int, instrument: int, since: int, limit: int = 1_000
    ) -> Deltas | Resync | None:
        """What changed after book sequence `since`: at most `limit` entries of the stream, and none
        after the one that reaches CHANGES_PER_ANSWER_MAX."""
        found = await self._call(self._read_deltas, shard, instrument, since, limit)
        if len(found) < 3:
            return None
        position, sequence = int(found[0]), int(found[1])
        entries = [self._delta(entry) for entry in found[2]]
        if since > sequence:
            return Resync(shard, instrument, position, sequence, AHEAD)
        if since < sequence and (not entries or entries[0].previous_sequence > since):
            return Resync(shard, instrument, position, sequence, TRIMMED)
        if entries and entries[0].previous_sequence < since:
            entries[0] = _after(entries[0], since)
        taken = 0
        for count, entry in enumerate(entries, start=1):
            taken += len(entry.levels) + len(entry.trades)
            if taken > CHANGES_PER_ANSWER_MAX:
                del entries[count:]
                break
        reached = entries[-1].sequence if entries else since
        return Deltas(shard, instrument, position, since, reached, entries, reached < sequence)

    async def stands_at(self, shard: int) -> Position:
        """The last batch in the shard's books; START where there are none."""
        found = await self._call(self._read_position, shard, "")
        if len(found) < 3 or found[1] is None:
            return START
        return Position(int(found[1]), bytes(found[2]))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _call(self, called: Any, shard: int, *arguments: Any) -> list[Any]:
        try:
            found: list[Any] = await called(
                keys=[live_key(shard)], args=[shard_prefix(shard), *arguments]
            )
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise BooksUnavailableError(str(error)) from error
        return found

    def _delta(self, entry: Any) -> Delta:
        entry_id, fields = entry
        delta = self._decoder.decode(fields[1])
        return msgspec.structs.replace(delta, sequence=int(entry_id.partition(b"-")[0]))


def _level(price: bytes, text: bytes) -> Level:
    quantity, _, order_count = text.partition(b":")
    return int(price), int(quantity), int(order_count)


def _last_trade(text: bytes | None) -> LastTrade | None:
    if text is None:
        return None
    return LastTrade(*(int(part) for part in text.split(b":")))


def _top(shard: int, instrument: int, position: int, fields: list[Any]) -> Top | None:
    if not fields:
        return None
    sequence, state, last_trade, bid_price, bid, ask_price, ask = fields
    return Top(
        shard,
        instrument,
        position,
        int(sequence),
        int(state),
        None if bid_price is None else _level(bid_price, bid),
        None if ask_price is None else _level(ask_price, ask),
        _last_trade(last_trade),
    )


def _after(delta: Delta, since: int) -> Delta:
    """The part of a delta above book sequence `since`."""
    return msgspec.structs.replace(
        delta,
        previous_sequence=since,
        levels=[change for change in delta.levels if change.sequence > since],
        trades=[trade for trade in delta.trades if trade.sequence > since],
        states=[state for state in delta.states if state.sequence > since],
    )
