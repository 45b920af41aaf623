"""The newest candle of an instrument, as trades make it.

Guarantees: a candle that is told equals the one that the history has once it has come as far: the
history gives the beginning, and each trade after it is added once, by its match number; where
trades were missed, the candle is read anew from a history that has them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from api.graphql.event_types import CandleEvent, TradeEvent
from api.graphql.feeds import events_of
from api.graphql.market_types import Ask, Candle, Trade, candle_of
from api.stream.protocol import TRADES
from commands.directory.entries import InstrumentEntry

NS: Final = 1_000_000_000
CATCH_UP_S: Final = 5.0
LOOK_S: Final = 0.1
TIME_MAX_NS: Final = 2**62


async def candle_events(
    info: Ask, entry: InstrumentEntry, interval: Any
) -> AsyncIterator[CandleEvent]:
    """The newest candle as it is, then after each trade; the last state of one that is over comes
    once more, complete."""
    candle: Candle | None = None
    async for event in events_of(info, [entry], TRADES):
        assert isinstance(event, TradeEvent)
        if event.previous_sequence is None:
            candle = await _read(info, entry, interval, event.trade)
            if candle is not None:
                yield CandleEvent(complete=False, candle=candle)
            continue
        trade = event.trade
        assert trade is not None
        if candle is not None and (
            trade.match_number <= candle.last_match_number or trade.time < candle.begins
        ):
            continue  # it is in the candle, or, by a gateway's other clock, in one before
        if candle is not None and candle.begins <= trade.time < candle.ends:
            candle = _with(candle, trade)
        else:
            if candle is not None and trade.time >= candle.ends:
                yield CandleEvent(complete=True, candle=candle)
            candle = _begun(entry.symbol, interval, trade)
        yield CandleEvent(complete=False, candle=candle)


async def _read(
    info: Ask, entry: InstrumentEntry, interval: Any, last: Trade | None
) -> Candle | None:
    """The newest candle of a history that has the last trade in it; None where nothing traded."""
    market = info.context.services.market
    deadline = time.monotonic() + CATCH_UP_S
    while True:
        rows = await market.candles(
            entry.number, interval.value, from_ns=0, until_ns=TIME_MAX_NS, limit=1
        )
        found = candle_of(entry.symbol, interval, rows[0]) if rows else None
        reached = 0 if found is None else found.last_match_number
        if last is None or reached >= last.match_number or time.monotonic() > deadline:
            return found
        await asyncio.sleep(LOOK_S)


def _begun(symbol: str, interval: Any, trade: Trade) -> Candle:
    step_ns = interval.value * NS
    begins = trade.time // step_ns * step_ns
    return Candle(
        symbol=symbol,
        interval=interval,
        begins=begins,
        ends=begins + step_ns,
        open=trade.price,
        high=trade.price,
        low=trade.price,
        close=trade.price,
        volume=trade.quantity,
        turnover=trade.price * trade.quantity,
        trade_count=1,
        last_match_number=trade.match_number,
        last_sequence=trade.sequence,
    )


def _with(candle: Candle, trade: Trade) -> Candle:
    return Candle(
        symbol=candle.symbol,
        interval=candle.interval,
        begins=candle.begins,
        ends=candle.ends,
        open=candle.open,
        high=max(candle.high, trade.price),
        low=min(candle.low, trade.price),
        close=trade.price,
        volume=candle.volume + trade.quantity,
        turnover=candle.turnover + trade.price * trade.quantity,
        trade_count=candle.trade_count + 1,
        last_match_number=trade.match_number,
        last_sequence=trade.sequence,
    )
