"""Figures of the market's past, without a key: never an account or an owner in them.

Guarantees: computed off the event loop, few at a time, over bounded ranges
(`projections.read_analytics`); where there is nothing to tell a figure is null.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from msgspec import Struct
from starlette.responses import Response

from api.analytics import figures, needs_symbol, range_of
from api.rest.answers import json_response
from api.rest.parameters import Sequence
from api.services import services_of
from commands.validation import instrument_of
from projections.analytics.names import INTERVALS

router: Final = APIRouter()

Metric = Literal[
    "vwap",
    "twap",
    "candles",
    "quoted-spread",
    "effective-spread",
    "realised-spread",
    "depth",
    "order-to-trade",
    "fill-rate",
    "volatility",
    "volume-profile",
    "activity",
    "movers",
]
Interval = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d"]


class AnalyticsAnswer(Struct, kw_only=True, rename={"from_ns": "from", "until_ns": "to"}):
    """One metric's rows, in order of time (`movers`: of change). `…_ticks` are 1/10,000 dollar;
    nanoseconds and values (ticks × shares) are strings; null where there is nothing."""

    metric: str
    symbol: str | None
    from_ns: str
    until_ns: str
    interval: str
    rows: list[dict[str, Any]]


@router.get("/v1/analytics/{metric}")
async def get_analytics(
    request: Request,
    metric: Annotated[Metric, Path(description="What to tell; docs/analytics.md has formulas.")],
    symbol: Annotated[
        str | None, Query(max_length=16, description="In capitals; `movers` alone goes without.")
    ] = None,
    from_ns: Annotated[
        Sequence | None,
        Query(alias="from", description="ns since 1970, UTC; default: a day before `to`."),
    ] = None,
    until_ns: Annotated[
        Sequence | None, Query(alias="to", description="ns since 1970, UTC; default: now.")
    ] = None,
    interval: Annotated[Interval, Query(description="Of each row.")] = "1m",
) -> Response:
    """A figure of the market's past, from trades, quotes and order flow."""
    services = services_of(request)
    needs_symbol(metric, symbol)
    if symbol is not None:
        instrument_of(symbol, services.directory_view.symbols)
    begin, until = range_of(from_ns, until_ns)
    rows = await figures(
        services, metric, symbol, from_ns=begin, until_ns=until, every_ns=INTERVALS[interval]
    )
    return json_response(
        AnalyticsAnswer(
            metric=metric,
            symbol=symbol,
            from_ns=str(begin),
            until_ns=str(until),
            interval=interval,
            rows=rows,
        )
    )
