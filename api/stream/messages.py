"""Market data messages as they are sent (`api.stream.shapes` describes them), each made and framed
once for all clients.

Written by hand rather than through the types: a delta takes a microsecond or two this way. Symbols
are of letters, digits, `/`, `^`, `.` and `-`, so nothing needs escaping."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from api.rest.orders_read import time_text
from api.stream.changes import Execution, OrderStep, Trade
from api.stream.frames import text_frame
from domain.codes import TradingState
from projections.market_data.replica import ShardReplica

CHECKSUM_LEVELS: Final = 10
SIDES: Final = ("buy", "sell")
STATES: Final = {state.value: state.name.lower() for state in TradingState}

Level: TypeAlias = tuple[int, int, int]
Best: TypeAlias = tuple[Level | None, Level | None]


def price(ticks: int) -> str:
    """Dollars with 4 decimals."""
    return f"{ticks // 10_000}.{ticks % 10_000:04d}"


def checksum(replica: ShardReplica, instrument: int) -> int:
    """CRC-32 of the top ten levels; docs/stream.md defines it to the byte."""
    sides = [
        ";".join(
            f"{price(ticks)}:{quantity}"
            for ticks, quantity, _ in replica.levels(instrument, side, CHECKSUM_LEVELS)
        )
        for side in (0, 1)
    ]
    return zlib.crc32("|".join(sides).encode("ascii"))


def delta(
    symbol: str, sequence: int, previous: int, levels: Iterable[tuple[int, Level]], crc: int | None
) -> bytes:
    """A `level2` delta; `levels` are (side, level)."""
    bids: list[Level] = []
    asks: list[Level] = []
    for side, level in levels:
        (asks if side else bids).append(level)
    tail = "" if crc is None else f',"checksum":{crc}'
    return _next(
        "delta",
        "level2",
        symbol,
        sequence,
        previous,
        f'"bids":{_levels(bids)},"asks":{_levels(asks)}{tail}',
    )


def top(
    symbol: str, sequence: int, previous: int, best: tuple[Level | None, Level | None]
) -> bytes:
    """A change of the best levels."""
    return _next("top", "level1", symbol, sequence, previous, _best(best))


def trade(symbol: str, previous: int, made: Trade) -> bytes:
    """One execution."""
    return _next("trade", "trades", symbol, made.sequence, previous, _match(made))


def orders(symbol: str, sequence: int, previous: int, steps: Iterable[OrderStep]) -> bytes:
    """What happened to resting orders."""
    changes = ",".join(_step(step) for step in steps)
    return _next("orders", "orders", symbol, sequence, previous, f'"changes":[{changes}]')


def status(symbol: str, sequence: int, previous: int, state: int) -> bytes:
    """A change of the trading state."""
    return _next("status", "status", symbol, sequence, previous, f'"state":"{STATES[state]}"')


def execution(symbol: str, previous: int, done: Execution) -> bytes:
    """One of an account's executions."""
    liquidity = "maker" if done.is_maker else "taker"
    body = (
        f'"order_id":"{done.order_id}","side":"{SIDES[done.side]}","price":"{price(done.price_ticks)}",'
        f'"quantity":{done.quantity},"leaves_quantity":{done.leaves},'
        f'"match_number":"{done.match_number}","liquidity":"{liquidity}",'
        f'"time":"{time_text(done.executed_at_ns)}"'
    )
    return _next("execution", "executions", symbol, done.sequence, previous, body)


def snapshot(
    replica: ShardReplica, instrument: int, symbol: str, channel: str, sequence: int, flags: str
) -> bytes:
    """What a chain begins with, as things are now. `flags` is more of the object, such as
    `"conflated":true,`."""
    body = _state(replica, instrument, channel)
    head = f'{{"type":"snapshot","channel":"{channel}","symbol":"{symbol}","sequence":"{sequence}"'
    return text_frame(f"{head},{flags}{body}".rstrip(",").encode("ascii") + b"}")


def best_of(replica: ShardReplica, instrument: int) -> Best:
    """The best bid and ask."""
    bids, asks = replica.levels(instrument, 0, 1), replica.levels(instrument, 1, 1)
    return bids[0] if bids else None, asks[0] if asks else None


def _state(replica: ShardReplica, instrument: int, channel: str) -> str:
    if channel == "level2":
        bids, asks = replica.levels(instrument, 0), replica.levels(instrument, 1)
        return (
            f'"state":"{STATES[replica.trading_state(instrument)]}","bids":{_levels(bids)},'
            f'"asks":{_levels(asks)},"checksum":{checksum(replica, instrument)}'
        )
    if channel == "level1":
        return _best(best_of(replica, instrument))
    if channel == "orders":
        sides: tuple[list[str], list[str]] = ([], [])
        for order_id, side, ticks, leaves in replica.orders(instrument):
            sides[side].append(f'["{order_id}","{price(ticks)}",{leaves}]')
        return f'"bids":[{",".join(sides[0])}],"asks":[{",".join(sides[1])}]'
    if channel == "status":
        return f'"state":"{STATES[replica.trading_state(instrument)]}"'
    if channel == "trades":
        last = replica.last_trade(instrument)
        return '"last_trade":' + ("null" if last is None else f"{{{_match(Trade(0, *last))}}}")
    assert channel == "executions"
    return ""


def _next(kind: str, channel: str, symbol: str, sequence: int, previous: int, body: str) -> bytes:
    return text_frame(
        f'{{"type":"{kind}","channel":"{channel}","symbol":"{symbol}","sequence":"{sequence}",'
        f'"previous_sequence":"{previous}",{body}}}'.encode("ascii")
    )


def _levels(levels: Sequence[Level]) -> str:
    return "[" + ",".join(_level(level) for level in levels) + "]"


def _level(level: Level) -> str:
    ticks, quantity, count = level
    return f'["{ticks // 10_000}.{ticks % 10_000:04d}",{quantity},{count}]'


def _best(best: Best) -> str:
    bid, ask = ("null" if level is None else _level(level) for level in best)
    return f'"bid":{bid},"ask":{ask}'


def _match(made: Trade) -> str:
    return (
        f'"match_number":"{made.match_number}","price":"{price(made.price_ticks)}",'
        f'"quantity":{made.quantity},"aggressor_side":"{SIDES[made.aggressor_side]}",'
        f'"time":"{time_text(made.executed_at_ns)}"'
    )


def _step(step: OrderStep) -> str:
    more = ""
    if step.match_number:
        more = f',"executed":{step.executed},"match_number":"{step.match_number}"'
    return (
        f'{{"event":"{step.event}","order_id":"{step.order_id}","side":"{SIDES[step.side]}",'
        f'"price":"{price(step.price_ticks)}","quantity":{step.leaves}{more}}}'
    )
