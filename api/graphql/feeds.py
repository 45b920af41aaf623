"""The stream's messages as values: what subscriptions read, each with a cursor of its own in the
ring that all clients share.

Guarantees: nothing is made or kept for a subscriber but its cursors; a message is decoded once for
all of them; one that is too slow gets the newest state, flagged, and is cut off where that happens
again and again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec

from api.graphql.account_types import Execution
from api.graphql.enums import Liquidity, Side, TradingState
from api.graphql.event_types import (
    BookDelta,
    BookSnapshot,
    ExecutionEvent,
    QuoteEvent,
    Resync,
    TradeEvent,
    TradingStateEvent,
)
from api.graphql.market_types import Ask, Level, Trade
from api.graphql.scalars import price_ticks, time_ns_of
from api.stream import shapes
from api.stream.frames import payload_of
from api.stream.protocol import EXECUTIONS, LEVEL1, LEVEL2, STATUS, TRADES, StreamError
from commands.directory.entries import InstrumentEntry

LISTING_WAIT_S: Final = 2.0
LOOK_S: Final = 0.02
DECODED_KEPT: Final = 4_096

Event: TypeAlias = (
    BookSnapshot | BookDelta | TradeEvent | QuoteEvent | ExecutionEvent | TradingStateEvent
)


async def events_of(
    info: Ask,
    entries: Iterable[InstrumentEntry],
    channel: str,
    *,
    since: Mapping[str, int] | None = None,
    account: int | None = None,
) -> AsyncIterator[Event]:
    """The messages of a channel of these instruments, from now on or after `since`. Raises
    StreamError where the client is too slow, Problem (429) where it has too many subscriptions."""
    services = info.context.services
    hub = services.hub
    assert hub is not None, "the handshake looks"
    chosen = list(entries)
    with info.context.live.subscribed(info.context.connection):
        deadline = time.monotonic() + LISTING_WAIT_S
        for entry in chosen:  # one may be in the directory a moment before it is in the log
            while not hub.knows(entry):
                if time.monotonic() > deadline:
                    detail = "the books of this instrument are not there yet; try again in a moment"
                    raise StreamError("behind", detail, symbol=entry.symbol)
                await asyncio.sleep(LOOK_S)
        subscriber = hub.subscriber()
        try:
            for entry in chosen:
                hub.subscribe(subscriber, entry, channel, (since or {}).get(entry.symbol), account)
            while True:
                for frame in await subscriber.next_frames():
                    yield event_of(frame)
        finally:
            hub.leave(subscriber)


# --- one message ----------------------------------------------------------------------------------


class _Head(msgspec.Struct):
    type: str
    channel: str


def _level(level: shapes.Level | None) -> Level | None:
    if level is None:
        return None
    return Level(price=price_ticks(level[0]), quantity=level[1], order_count=level[2])


def _levels(levels: list[shapes.Level]) -> list[Level]:
    return [
        Level(price=price_ticks(price), quantity=quantity, order_count=count)
        for price, quantity, count in levels
    ]


def _resync(message: Any) -> Resync | None:
    if message.conflated:
        return Resync.CONFLATED
    return None if message.resync is None else Resync(message.resync)


def _begin(message: Any) -> dict[str, Any]:
    """What every message that begins a chain has."""
    return {
        "symbol": message.symbol,
        "sequence": int(message.sequence),
        "previous_sequence": None,
        "resync": _resync(message),
    }


def _next(message: Any) -> dict[str, Any]:
    """What every other has."""
    return {
        "symbol": message.symbol,
        "sequence": int(message.sequence),
        "previous_sequence": int(message.previous_sequence),
        "resync": None,
    }


def _book_snapshot(message: shapes.Level2Snapshot) -> BookSnapshot:
    return BookSnapshot(
        symbol=message.symbol,
        sequence=int(message.sequence),
        resync=_resync(message),
        state=TradingState[message.state.upper()],
        bids=_levels(message.bids),
        asks=_levels(message.asks),
        checksum=message.checksum,
    )


def _book_delta(message: shapes.Level2Delta) -> BookDelta:
    return BookDelta(
        symbol=message.symbol,
        sequence=int(message.sequence),
        previous_sequence=int(message.previous_sequence),
        bids=_levels(message.bids),
        asks=_levels(message.asks),
        checksum=message.checksum,
    )


def _trade(symbol: str, match: Any, sequence: int | None) -> Trade:
    return Trade(
        symbol=symbol,
        sequence=sequence,
        match_number=int(match.match_number),
        price=price_ticks(match.price),
        quantity=match.quantity,
        aggressor_side=Side[match.aggressor_side.upper()],
        time=time_ns_of(match.time),
        trading_time=None,
        position=None,
    )


def _last_trade(message: shapes.TradesSnapshot) -> TradeEvent:
    last = message.last_trade
    trade = None if last is None else _trade(message.symbol, last, None)
    return TradeEvent(**_begin(message), trade=trade)


def _execution(message: shapes.ExecutionMessage) -> ExecutionEvent:
    execution = Execution(
        order_id=int(message.order_id),
        match_number=int(message.match_number),
        symbol=message.symbol,
        side=Side[message.side.upper()],
        liquidity=Liquidity[message.liquidity.upper()],
        price=price_ticks(message.price),
        quantity=message.quantity,
        leaves_quantity=message.leaves_quantity,
        time=time_ns_of(message.time),
        trading_time=None,
        position=None,
        entry=None,
    )
    return ExecutionEvent(**_next(message), execution=execution)


def _state(message: Any, head: dict[str, Any]) -> TradingStateEvent:
    return TradingStateEvent(**head, state=TradingState[message.state.upper()])


def _quote(message: Any, head: dict[str, Any]) -> QuoteEvent:
    return QuoteEvent(**head, bid=_level(message.bid), ask=_level(message.ask))


_head: Final = msgspec.json.Decoder(_Head)
# By type and channel: a message's shape, and what is made of it.
_MADE: Final[dict[tuple[str, str], tuple[type, Callable[[Any], Event]]]] = {
    ("snapshot", LEVEL2): (shapes.Level2Snapshot, _book_snapshot),
    ("delta", LEVEL2): (shapes.Level2Delta, _book_delta),
    ("snapshot", LEVEL1): (shapes.Level1Snapshot, lambda m: _quote(m, _begin(m))),
    ("top", LEVEL1): (shapes.Level1Top, lambda m: _quote(m, _next(m))),
    ("snapshot", TRADES): (shapes.TradesSnapshot, _last_trade),
    ("trade", TRADES): (
        shapes.TradeMessage,
        lambda m: TradeEvent(**_next(m), trade=_trade(m.symbol, m, int(m.sequence))),
    ),
    ("snapshot", STATUS): (shapes.StatusSnapshot, lambda m: _state(m, _begin(m))),
    ("status", STATUS): (shapes.StatusMessage, lambda m: _state(m, _next(m))),
    ("snapshot", EXECUTIONS): (
        shapes.ExecutionsSnapshot,
        lambda m: ExecutionEvent(**_begin(m), execution=None),
    ),
    ("execution", EXECUTIONS): (shapes.ExecutionMessage, _execution),
}


@lru_cache(DECODED_KEPT)
def event_of(frame: bytes) -> Event:
    """A frame of the stream as what GraphQL shows. Shared by all subscribers: not to be changed."""
    payload = payload_of(frame)
    head = _head.decode(payload)
    shape, make = _MADE[head.type, head.channel]
    return make(msgspec.json.decode(payload, type=shape))
