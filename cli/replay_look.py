"""What there is to see in a shard: a book of a replayed engine, a batch of its logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cli.replay_places import LogPlace, open_commands, open_events
from cli.replay_rows import Row, command_batch_json, event_batch_json
from domain.codes import BUY, SELL, TradingState
from domain.exchange import Exchange
from domain.wire import NewerVersionError, WireError, join_events
from streams.replay import symbols_of
from streams.replay_logs import LogUnreadableError


class UsageError(Exception):
    """Something asked for that cannot be."""


@dataclass(frozen=True)
class Book:
    """One book; a level is (price ticks, quantity, order count), best first. `bid_count` and
    `ask_count` are of all levels."""

    symbol: str
    instrument: int
    state: str
    book_sequence: int
    bids: list[tuple[int, int, int]]
    asks: list[tuple[int, int, int]]
    bid_count: int
    ask_count: int


def book_of(exchange: Exchange, symbol: str, depth: int) -> Book:
    """One instrument's book. Raises UsageError where it is not listed yet."""
    numbers = symbols_of(exchange)
    number = numbers.get(symbol.upper())
    if number is None:
        listed = ", ".join(sorted(numbers)) or "none"
        raise UsageError(
            f"no instrument {symbol.upper()} at position {exchange.position:,}; listed: {listed}"
        )
    bids, asks = exchange.levels(number, BUY), exchange.levels(number, SELL)
    return Book(
        symbol=symbol.upper(),
        instrument=number,
        state=TradingState(exchange.trading_state(number)).name.lower(),
        book_sequence=exchange.book_sequence(number),
        bids=bids[:depth],
        asks=asks[:depth],
        bid_count=len(bids),
        ask_count=len(asks),
    )


def print_batch(place: LogPlace, shard: int, position: int, symbol: Callable[[int], str]) -> Row:
    """Both batches of one position as one JSON object. Raises LogUnreadableError, UsageError."""
    with open_commands(place, shard) as commands:
        end = commands.end()
        row = next(commands.read(position - 1, position), None)
    if row is None:
        raise UsageError(f"no position {position:,} in the log; it ends at {end:,}")
    printed: Row = {"shard": shard, "position": position}
    try:
        printed["command_batch"] = command_batch_json(position, shard, row.batch, symbol)
        events = open_events(place, shard)
        records: list[bytes] = []
        if events is not None:
            with events:
                records = events.batch(position)
        printed["event_batch"] = _joined_json(records, symbol)
    except NewerVersionError as error:
        raise LogUnreadableError(f"position {position:,}: {error}") from error
    return printed


def _joined_json(records: list[bytes], symbol: Callable[[int], str]) -> Row | None:
    if not records:
        return None
    try:
        whole = join_events(records)
    except WireError as error:
        return {"part_count": len(records), "unsound": str(error)}
    return event_batch_json(whole, len(records), symbol)
