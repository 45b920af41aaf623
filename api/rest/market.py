"""Market data without a key: instruments, books, deltas and trades. Never an account or an
owner."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from msgspec import Struct
from starlette.responses import Response

from api.rest.answers import json_response
from api.rest.orders import services_of
from commands.directory.entries import InstrumentEntry
from commands.validation import instrument_of, price_text
from domain.codes import TradingState

router: Final = APIRouter()
SEQUENCE_MAX: Final = 2**63 - 1

Depth = Annotated[int, Query(ge=1, le=1_000, description="Levels of each side.")]
Limit = Annotated[int, Query(ge=1, le=1_000)]
SequenceQuery = Query(ge=0, le=SEQUENCE_MAX)


class InstrumentInfo(Struct, kw_only=True):
    """What can be traded. Prices in dollars; null is none."""

    symbol: str
    tick_size: str
    lot_size: int
    price_collar: str | None
    reference_price: str | None
    state: str


class InstrumentsInfo(Struct):
    """All instruments."""

    instruments: list[InstrumentInfo]


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


class DeltasInfo(Struct, kw_only=True, tag_field="kind", tag="deltas"):
    """Every change after `since`, in order; ask again with `sequence` as `since`."""

    symbol: str
    since: str
    sequence: str
    position: str
    deltas: list[DeltaInfo]


class SnapshotInfo(Struct, kw_only=True, tag_field="kind", tag="snapshot"):
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
async def get_instruments(request: Request) -> Response:
    """All instruments, in order of listing."""
    view = services_of(request).directory_view
    return json_response(InstrumentsInfo([instrument_info(x) for x in view.instruments()]))


@router.get("/v1/instruments/{symbol:path}")
async def get_instrument(request: Request, symbol: str) -> Response:
    """One instrument."""
    view = services_of(request).directory_view
    return json_response(instrument_info(instrument_of(symbol, view.symbols)))
