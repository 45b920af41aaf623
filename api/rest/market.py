"""Market data without a key: instruments, books, deltas and trades. Never an account or an
owner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from fastapi import APIRouter, Request
from msgspec import Struct
from starlette.responses import Response

from api.errors import behind
from api.positions import parse_positions
from api.rest.answers import json_response
from api.rest.entity_tags import tagged_book, tagged_response
from api.rest.orders_read import history_at, time_text
from api.rest.pages import page_of
from api.rest.parameters import (
    PAGE_MAX,
    BeforeMatch,
    Cursor,
    Depth,
    Limit,
    MinPosition,
    Since,
)
from api.services import Services, services_of
from commands.directory.entries import InstrumentEntry
from commands.validation import instrument_of, price_text
from domain.codes import TradingState
from projections.read_books import AHEAD, TRIMMED, BookSnapshot, Deltas, Level, Resync

router: Final = APIRouter()
REREAD_S: Final = 0.02
SIDE_NAMES: Final = ("buy", "sell")
FALLBACKS: Final = {TRIMMED: "too_old", AHEAD: "ahead"}


class InstrumentInfo(Struct, kw_only=True):
    """What can be traded. Prices in dollars; null is none."""

    symbol: str
    tick_size: str
    lot_size: int
    price_collar: str | None
    reference_price: str | None
    state: str


class InstrumentsInfo(Struct):
    """A page of instruments, in order of listing; `next_cursor` asks for the next."""

    instruments: list[InstrumentInfo]
    next_cursor: str | None


class LevelInfo(Struct):
    """One price level."""

    price: str
    quantity: int
    order_count: int


class BookInfo(Struct, kw_only=True):
    """Levels of both sides, best first, as of `sequence`."""

    symbol: str
    sequence: str
    position: str
    state: str
    bids: list[LevelInfo]
    asks: list[LevelInfo]


class DeltaInfo(Struct):
    """The new absolute quantity of one level; 0 removes it."""

    sequence: str
    side: str
    price: str
    quantity: int
    order_count: int


class DeltasAnswer(Struct, kw_only=True, tag_field="kind", tag="deltas"):
    """Every change after `since`, in order; ask again with `sequence` as `since`, at once where
    there is `more`."""

    symbol: str
    since: str
    sequence: str
    position: str
    deltas: list[DeltaInfo]
    more: bool


class SnapshotAnswer(Struct, kw_only=True, tag_field="kind", tag="snapshot"):
    """The whole book instead of deltas: `since` is older than what is kept, or ahead of the
    book."""

    symbol: str
    fallback: str
    sequence: str
    position: str
    state: str
    bids: list[LevelInfo]
    asks: list[LevelInfo]


class TradeInfo(Struct, kw_only=True):
    """One execution, without who traded."""

    match_number: str
    price: str
    quantity: int
    aggressor_side: str
    time: str
    position: str


class TradesInfo(Struct, kw_only=True):
    """Trades, newest first; `next_before` asks for older ones."""

    symbol: str
    trades: list[TradeInfo]
    next_before: str | None


def instrument_info(entry: InstrumentEntry) -> InstrumentInfo:
    """An entry as everybody sees it."""
    return InstrumentInfo(
        symbol=entry.symbol,
        tick_size=price_text(entry.tick_size),
        lot_size=entry.lot_size,
        price_collar=price_text(entry.price_collar) if entry.price_collar else None,
        reference_price=price_text(entry.reference_price) if entry.reference_price else None,
        state=TradingState(entry.state).name.lower(),
    )


@router.get("/v1/instruments")
async def get_instruments(
    request: Request, limit: Limit = PAGE_MAX, cursor: Cursor = None
) -> Response:
    """Instruments, in order of listing."""
    view = services_of(request).directory_view
    page, following = page_of(view.instruments(), limit, cursor)
    answer = InstrumentsInfo([instrument_info(entry) for entry in page], following)
    return tagged_response(request, answer)


@router.get("/v1/instruments/{symbol:path}")
async def get_instrument(request: Request, symbol: str) -> Response:
    """One instrument."""
    view = services_of(request).directory_view
    return tagged_response(request, instrument_info(instrument_of(symbol, view.symbols)))


@router.get("/v1/books/{symbol:path}/deltas")
async def get_deltas(
    request: Request,
    symbol: str,
    since: Since,
    limit: Limit = 1_000,
    min_position: MinPosition = None,
) -> Response:
    """Every level change after a book sequence, in order, or the whole book where that is no longer
    (or not yet) possible."""
    services = services_of(request)
    instrument = instrument_of(symbol, services.directory_view.symbols)
    wanted = _wanted(services, instrument, min_position)

    async def read() -> Deltas | Resync | None:
        return await services.books.deltas(instrument.shard, instrument.number, since, limit)

    found: Deltas | Resync = await read_at_least(services, instrument.shard, wanted, read)
    if isinstance(found, Deltas):
        return json_response(_deltas_answer(symbol, found))

    async def read_book() -> BookSnapshot | None:
        return await services.books.book(instrument.shard, instrument.number)

    book = await read_at_least(services, instrument.shard, wanted, read_book)
    return json_response(_snapshot_answer(symbol, book, FALLBACKS[found.reason]))


@router.get("/v1/books/{symbol:path}")
async def get_book(
    request: Request, symbol: str, depth: Depth = 10, min_position: MinPosition = None
) -> Response:
    """The book as it is now: the best levels of both sides."""
    services = services_of(request)
    instrument = instrument_of(symbol, services.directory_view.symbols)
    wanted = _wanted(services, instrument, min_position)

    async def read() -> BookSnapshot | None:
        return await services.books.book(instrument.shard, instrument.number, depth)

    book = await read_at_least(services, instrument.shard, wanted, read)
    answer = BookInfo(
        symbol=symbol,
        sequence=str(book.sequence),
        position=f"{book.shard}-{book.position}",
        state=TradingState(book.state).name.lower(),
        bids=_levels(book.bids),
        asks=_levels(book.asks),
    )
    return tagged_book(request, answer)


P = TypeVar("P", bound=BookSnapshot | Deltas | Resync)


async def read_at_least(
    services: Services, shard: int, wanted: int, read: Callable[[], Awaitable[P | None]]
) -> P:
    """Read until the answer is there and at least as new as `wanted`.

    The answer's own position decides: what was heard of the sink may be older than its loss of
    data. Raises Problem (503 `behind`) after the read's waiting time.
    """
    deadline = time.monotonic() + services.settings.read_wait_s
    while True:
        found = await read()
        if found is not None and found.position >= wanted:
            return found
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise behind(f"the books of shard {shard} have not come so far yet")
        if not await services.progress.reached("redis", shard, wanted, remaining):
            continue
        await asyncio.sleep(min(REREAD_S, remaining))


def _wanted(services: Services, instrument: InstrumentEntry, min_position: str | None) -> int:
    positions = parse_positions(min_position, services.settings.shards)
    return positions.get(instrument.shard, 0)


def _levels(levels: list[Level]) -> list[LevelInfo]:
    return [LevelInfo(price_text(price), quantity, count) for price, quantity, count in levels]


def _deltas_answer(symbol: str, found: Deltas) -> DeltasAnswer:
    return DeltasAnswer(
        symbol=symbol,
        since=str(found.since),
        sequence=str(found.sequence),
        position=f"{found.shard}-{found.position}",
        deltas=[
            DeltaInfo(
                str(change.sequence),
                SIDE_NAMES[change.side],
                price_text(change.price_ticks),
                change.quantity,
                change.order_count,
            )
            for entry in found.entries
            for change in entry.levels
        ],
        more=found.more,
    )


def _snapshot_answer(symbol: str, book: BookSnapshot, fallback: str) -> SnapshotAnswer:
    return SnapshotAnswer(
        symbol=symbol,
        fallback=fallback,
        sequence=str(book.sequence),
        position=f"{book.shard}-{book.position}",
        state=TradingState(book.state).name.lower(),
        bids=_levels(book.bids),
        asks=_levels(book.asks),
    )


@router.get("/v1/trades/{symbol:path}")
async def get_trades(
    request: Request,
    symbol: str,
    limit: Limit = 100,
    before: BeforeMatch = None,
    min_position: MinPosition = None,
) -> Response:
    """Trades, newest first."""
    services = services_of(request)
    instrument = instrument_of(symbol, services.directory_view.symbols)
    shard = instrument.shard
    history = await history_at(services, {shard: _wanted(services, instrument, min_position)})
    rows = await history.trades(instrument.number, limit, before)
    trades = [
        TradeInfo(
            match_number=str(row.match_number),
            price=price_text(row.price_ticks),
            quantity=row.quantity,
            aggressor_side=SIDE_NAMES[row.aggressor_side],
            time=time_text(row.executed_at_ns),
            position=f"{row.shard}-{row.position}",
        )
        for row in rows
    ]
    more = trades[-1].match_number if len(trades) == limit else None
    return json_response(TradesInfo(symbol=symbol, trades=trades, next_before=more))
