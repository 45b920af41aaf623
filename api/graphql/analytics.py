"""`analytics`: every metric of one range, over one instrument or all.

Guarantees: each metric answers what `GET /v1/analytics/{metric}` does, from the same reader; one
operation has one question there at a time, however many it asks; a metric that fails is null and
takes none of the others with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import strawberry
from graphql import GraphQLError

from api.analytics import figures, needs_symbol, range_of
from api.graphql.analytics_types import (
    ActivityRow,
    CandleRow,
    DepthRow,
    FillRateRow,
    Mover,
    OrderToTradeRow,
    QuotedSpreadRow,
    Row,
    TradedSpreadRow,
    TwapRow,
    Volatility,
    VolumeProfileRow,
    VwapRow,
)
from api.graphql.enums import CandleInterval
from api.graphql.inputs import bounded
from api.graphql.market_types import Ask
from api.graphql.scalars import TIME_MAX_NS, Time, time_ns_of
from projections.read_analytics import INTERVALS_MAX

NS: Final = 1_000_000_000
FIRST_MAX: Final = 2_000
Made = TypeVar("Made")


@strawberry.type(
    description="Figures of [since, until), each with its formula and source in docs/analytics.md. "
    "An interval without anything to tell has no row. Each is a question to the history by itself: "
    "ask for those that you need."
)
class Analytics:
    """Of one range."""

    symbol: str | None = strawberry.field(
        description="The instrument's symbol; null: all, which `movers` alone tells of."
    )
    since: Time = strawberry.field(description="The range's first instant.")
    until: Time = strawberry.field(description="The first instant after it.")
    interval: CandleInterval = strawberry.field(description="How long each row's interval is.")

    @strawberry.field(description="Volume-weighted average prices.")
    async def vwap(self, info: Ask) -> list[VwapRow] | None:
        """In order of time."""
        return await self._rows(info, "vwap", VwapRow.of)

    @strawberry.field(description="Time-weighted average prices.")
    async def twap(self, info: Ask) -> list[TwapRow] | None:
        """In order of time."""
        return await self._rows(info, "twap", TwapRow.of)

    @strawberry.field(description="Open, high, low, close and volume.")
    async def candles(self, info: Ask) -> list[CandleRow] | None:
        """In order of time."""
        return await self._rows(info, "candles", CandleRow.of)

    @strawberry.field(description="Best ask less best bid, weighted by time.")
    async def quoted_spread(self, info: Ask) -> list[QuotedSpreadRow] | None:
        """In order of time."""
        return await self._rows(info, "quoted-spread", QuotedSpreadRow.of)

    @strawberry.field(
        description="Twice the distance of price and midpoint just before each trade, weighted by "
        "volume: what takers paid."
    )
    async def effective_spread(self, info: Ask) -> list[TradedSpreadRow] | None:
        """In order of time."""
        return await self._rows(info, "effective-spread", TradedSpreadRow.effective)

    @strawberry.field(
        description="The same against the midpoint 5 s after each trade, signed: what makers kept."
    )
    async def realised_spread(self, info: Ask) -> list[TradedSpreadRow] | None:
        """In order of time."""
        return await self._rows(info, "realised-spread", TradedSpreadRow.realised)

    @strawberry.field(description="Shares on the best five levels of each side.")
    async def depth(self, info: Ask) -> list[DepthRow] | None:
        """In order of time."""
        return await self._rows(info, "depth", DepthRow.of)

    @strawberry.field(description="Orders beside trades.")
    async def order_to_trade(self, info: Ask) -> list[OrderToTradeRow] | None:
        """In order of time."""
        return await self._rows(info, "order-to-trade", OrderToTradeRow.of)

    @strawberry.field(description="How much of the orders executed.")
    async def fill_rate(self, info: Ask) -> list[FillRateRow] | None:
        """In order of time."""
        return await self._rows(info, "fill-rate", FillRateRow.of)

    @strawberry.field(description="Realised volatility of the range.")
    async def volatility(self, info: Ask) -> Volatility | None:
        """One figure."""
        [found] = await self._rows(info, "volatility", Volatility.of)
        return found

    @strawberry.field(
        description="Volume by price, lowest first: of the `first` (2,000 at most) buckets of a "
        "cent that most shares traded in."
    )
    async def volume_profile(self, info: Ask, first: int = 200) -> list[VolumeProfileRow] | None:
        """In order of price."""
        limit = bounded("first", first, FIRST_MAX)
        rows = await self._rows(info, "volume-profile", VolumeProfileRow.of)
        most = sorted(rows, key=lambda row: (-row.volume, row.price))[:limit]
        return sorted(most, key=lambda row: row.price)

    @strawberry.field(description="Trades and volume.")
    async def activity(self, info: Ask) -> list[ActivityRow] | None:
        """In order of time."""
        return await self._rows(info, "activity", ActivityRow.of)

    @strawberry.field(
        description="The `first` (2,000 at most) instruments that moved most, either way, greatest "
        "first."
    )
    async def movers(self, info: Ask, first: int = 10) -> list[Mover] | None:
        """In order of change."""
        limit = bounded("first", first, FIRST_MAX)
        return (await self._rows(info, "movers", Mover.of))[:limit]

    async def _rows(self, info: Ask, metric: str, shown: Callable[[Row], Made]) -> list[Made]:
        needs_symbol(metric, self.symbol)
        async with info.context.analytics_turn:
            rows = await figures(
                info.context.services,
                metric,
                self.symbol,
                from_ns=self.since,
                until_ns=self.until,
                every_ns=self.interval.value * NS,
            )
        return [shown(row) for row in rows]


def analytics_of(
    info: Ask, symbol: str | None, since: int | None, until: int | None, interval: Any
) -> Analytics:
    """What can be asked of a range. Raises Refusal (404)."""
    if symbol is not None:
        info.context.instrument(symbol)
    since, until = (None if at is None else min(max(0, at), TIME_MAX_NS) for at in (since, until))
    begin, end = range_of(since, until)
    return Analytics(symbol=symbol, since=begin, until=end, interval=interval)


def intervals_in(given: Mapping[str, Any]) -> int:
    """How many intervals the arguments of `analytics` ask for, before anything is validated: what
    is no time or interval counts as if it were left out, for validation refuses it."""
    since, until = (_time_in(given.get(name)) for name in ("since", "until"))
    begin, end = range_of(since, until)
    named = given.get("interval")
    known = CandleInterval.__members__
    every = known[named if isinstance(named, str) and named in known else "M1"].value * NS
    return max(1, min((end - 1) // every - begin // every + 1, INTERVALS_MAX + 1))


def _time_in(value: Any) -> int | None:
    try:
        return time_ns_of(value)
    except GraphQLError:
        return None
