"""Reads the market for its fields."""

from __future__ import annotations

from typing import Any

from api.graphql.inputs import PAGE_MAX, Page, TradeFilter, bounded, cursor_of, read_cursor
from api.graphql.market_types import (
    Ask,
    Candle,
    Day,
    Instrument,
    Market,
    candle_of,
    day_of,
    trade_of,
)
from api.graphql.scalars import TIME_MAX_NS
from commands.directory.entries import InstrumentEntry
from projections.read_market import CANDLES_MAX
from projections.read_pages import TradesWanted

TRADE = "t"
SYMBOLS_MAX = 1_000
MOVERS_MAX = 50


def entries_named(info: Ask, symbols: list[str] | None) -> list[InstrumentEntry]:
    """Those with these symbols, or all. Raises Refusal (404)."""
    if symbols is None:
        return info.context.services.directory_view.instruments()
    bounded("symbols", max(1, len(symbols)), SYMBOLS_MAX)
    return [info.context.instrument(symbol) for symbol in dict.fromkeys(symbols)]


def instruments_named(info: Ask, symbols: list[str] | None) -> list[Instrument]:
    """The same, as GraphQL shows them."""
    return [Instrument.of(entry) for entry in entries_named(info, symbols)]


async def trades_page(
    info: Ask, symbol: str, first: int, after: str | None, wanted: TradeFilter | None
) -> Page:
    """A page of trades."""
    limit = bounded("first", first, PAGE_MAX)
    before = read_cursor(TRADE, after, 1)
    wanted = wanted or TradeFilter()
    entry = info.context.instrument(symbol)
    rows = await info.context.services.pages.trades(
        TradesWanted(
            instrument=entry.number,
            aggressor_side=None if wanted.aggressor_side is None else wanted.aggressor_side.value,
            quantity_min=wanted.quantity_min,
            from_ns=wanted.since,
            until_ns=wanted.until,
        ),
        limit + 1,
        None if before is None else before[0],
    )
    nodes = [(cursor_of(TRADE, row.match_number), trade_of(symbol, row)) for row in rows[:limit]]
    return Page(nodes, len(rows) > limit, before is not None)


async def candles_between(
    info: Ask, symbol: str, interval: Any, since: int | None, until: int | None, first: int
) -> list[Candle]:
    """The newest candles of a range."""
    limit = bounded("first", first, CANDLES_MAX)
    entry = info.context.instrument(symbol)
    rows = await info.context.services.market.candles(
        entry.number,
        interval.value,
        from_ns=max(0, since or 0),
        until_ns=TIME_MAX_NS if until is None else min(until, TIME_MAX_NS),
        limit=limit,
    )
    return [candle_of(symbol, interval, row) for row in rows]


async def market_overview(info: Ask, symbols: list[str] | None, movers: int) -> Market:
    """All instruments at a glance."""
    count = bounded("movers", movers, MOVERS_MAX)
    loaders = info.context.loaders
    entries = entries_named(info, symbols)
    rows = await loaders.days.load_many([entry.number for entry in entries])
    tops = await loaders.tops.load_many(entries)
    begins = loaders.market.day_begins_ns
    days: list[tuple[InstrumentEntry, Day]] = [
        (entry, day_of(entry, row, None if top is None else top.last_trade, begins))
        for entry, row, top in zip(entries, rows, tops, strict=True)
    ]
    moved = [(day.change_percent(), entry) for entry, day in days]
    rose = sorted(((by, entry) for by, entry in moved if by and by > 0), key=lambda each: -each[0])
    fell = sorted(((by, entry) for by, entry in moved if by and by < 0), key=lambda each: each[0])
    busy = sorted(
        ((day.turnover, entry) for entry, day in days if day.turnover), key=lambda each: -each[0]
    )
    return Market(
        instruments=[Instrument.of(entry) for entry in entries],
        day_begins=begins,
        gainers=[Instrument.of(entry) for _, entry in rose[:count]],
        losers=[Instrument.of(entry) for _, entry in fell[:count]],
        most_active=[Instrument.of(entry) for _, entry in busy[:count]],
        volume=sum(day.volume for _, day in days),
        turnover=sum(day.turnover for _, day in days),
        trade_count=sum(day.trade_count for _, day in days),
    )
