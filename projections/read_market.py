"""Candles, the day's figures and small series, from the trades that PostgreSQL holds.

Guarantees: every query is bounded in rows and time; what all readers ask for alike is asked of
PostgreSQL once a second at most, whatever their number. Times are the gateway's clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from projections.read_history import HistoryReader, TradeRow

NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * NS
CANDLES_MAX: Final = 1_000
POINTS_MAX: Final = 100
FURTHER_BACK: Final = 8
DAY_KEPT_S: Final = 1.0
SERIES_KEPT_S: Final = 5.0
SERIES_KEPT_MAX: Final = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CandleRow:
    """One candle: `begins_ns` since 1970; prices in ticks, `turnover` in ticks × shares, as
    text: it may pass 64 bits."""

    begins_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume: int
    turnover: str
    trade_count: int
    last_match_number: int
    last_book_sequence: int | None


@dataclass(frozen=True, slots=True)
class DayRow:
    """One instrument's day so far. `previous_ticks` is its last price before the day, or None."""

    instrument: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume: int
    turnover: str
    trade_count: int
    last_match_number: int
    previous_ticks: int | None


@dataclass(frozen=True, slots=True)
class PointRow:
    """The last price of one instrument within one slice of time."""

    instrument: int
    slice: int
    price_ticks: int


@dataclass(frozen=True, slots=True)
class TradedRow:
    """When an instrument first and last traded, as far as match numbers tell."""

    first_ns: int
    last_ns: int


TRADED: Final = """
    SELECT a.executed_at_ns AS first_ns, z.executed_at_ns AS last_ns
    FROM (SELECT executed_at_ns FROM trades WHERE instrument = %(instrument)s
            ORDER BY match_number LIMIT 1) a,
        (SELECT executed_at_ns FROM trades WHERE instrument = %(instrument)s
            ORDER BY match_number DESC LIMIT 1) z"""
CANDLES: Final = """
    SELECT c.bucket * %(step_ns)s AS begins_ns, o.price_ticks AS open_ticks, c.high_ticks,
        c.low_ticks, l.price_ticks AS close_ticks, c.volume, c.turnover, c.trade_count,
        c.last_match AS last_match_number, l.book_sequence AS last_book_sequence
    FROM (
        SELECT executed_at_ns / %(step_ns)s AS bucket, min(match_number) AS first_match,
            max(match_number) AS last_match, max(price_ticks) AS high_ticks,
            min(price_ticks) AS low_ticks, sum(quantity)::bigint AS volume,
            sum(price_ticks::numeric * quantity)::text AS turnover, count(*) AS trade_count
        FROM trades
        WHERE instrument = %(instrument)s AND executed_at_ns >= %(from_ns)s
            AND executed_at_ns < %(until_ns)s
        GROUP BY bucket ORDER BY bucket DESC LIMIT %(limit)s
    ) c
    JOIN trades o ON o.instrument = %(instrument)s AND o.match_number = c.first_match
    JOIN trades l ON l.instrument = %(instrument)s AND l.match_number = c.last_match
    ORDER BY c.bucket"""
# A summary whose first trade is of the day is of the day as a whole; trades are added up only
# where one reaches back before it, such as where trading time stands still.
DAYS: Final = """
    WITH summed AS (
        SELECT instrument, min(first_match_number) AS first_match,
            max(last_match_number) AS last_match, max(high_ticks) AS high_ticks,
            min(low_ticks) AS low_ticks, sum(volume)::bigint AS volume, sum(value) AS turnover,
            sum(trade_count)::bigint AS trade_count,
            bool_and(first_executed_at_ns >= %(from_ns)s) AS whole
        FROM daily_summaries WHERE last_executed_at_ns >= %(from_ns)s GROUP BY instrument
    ), days AS (
        SELECT instrument, first_match, last_match, high_ticks, low_ticks, volume, turnover,
            trade_count
        FROM summed WHERE whole
        UNION ALL
        SELECT s.instrument, t.* FROM summed s CROSS JOIN LATERAL (
            SELECT min(match_number) AS first_match, max(match_number) AS last_match,
                max(price_ticks) AS high_ticks, min(price_ticks) AS low_ticks,
                sum(quantity)::bigint AS volume, sum(price_ticks::numeric * quantity) AS turnover,
                count(*) AS trade_count
            FROM trades WHERE instrument = s.instrument AND executed_at_ns >= %(from_ns)s
        ) t WHERE NOT s.whole
    )
    SELECT d.instrument, o.price_ticks AS open_ticks, d.high_ticks, d.low_ticks,
        l.price_ticks AS close_ticks, d.volume, d.turnover::text AS turnover, d.trade_count,
        d.last_match AS last_match_number,
        (SELECT p.price_ticks FROM trades p
            WHERE p.instrument = d.instrument AND p.match_number < d.first_match
            ORDER BY p.match_number DESC LIMIT 1) AS previous_ticks
    FROM days d
    JOIN trades o ON o.instrument = d.instrument AND o.match_number = d.first_match
    JOIN trades l ON l.instrument = d.instrument AND l.match_number = d.last_match"""
POINTS: Final = """
    SELECT s.instrument, s.slice, t.price_ticks
    FROM (
        SELECT instrument, (executed_at_ns - %(from_ns)s) / %(step_ns)s AS slice,
            max(match_number) AS last_match
        FROM trades WHERE executed_at_ns >= %(from_ns)s GROUP BY instrument, slice
    ) s
    JOIN trades t ON t.instrument = s.instrument AND t.match_number = s.last_match
    ORDER BY s.instrument, s.slice"""
LAST_BEFORE: Final = """
    SELECT instrument, match_number, shard, aggressor_side, price_ticks, quantity, position,
        executed_at_ns, trading_time_ns, book_sequence
    FROM trades WHERE instrument = %(instrument)s AND match_number <= %(match_number)s
    ORDER BY match_number DESC LIMIT 1"""


class Kept(Generic[T]):
    """The answer to one question, kept for `kept_s`: those who ask meanwhile share one asking."""

    def __init__(self, ask: Callable[[], Awaitable[T]], kept_s: float) -> None:
        self._ask = ask
        self._kept_s = kept_s
        self._asked_at = float("-inf")
        self._asking: asyncio.Future[T] | None = None
        self._answer: T | None = None

    async def get(self) -> T:
        """The answer. What asking raises, all who share it get, and the next asks again."""
        asking = self._asking
        old = time.monotonic() - self._asked_at > self._kept_s
        if asking is None or (asking.done() and (old or asking.exception() is not None)):
            self._asked_at = time.monotonic()
            asking = self._asking = asyncio.ensure_future(self._ask())
        return await asyncio.shield(asking)

    def latest(self) -> T | None:
        """The newest answer that there is already, None where there is none; what is old is asked
        again meanwhile."""
        asking = self._asking
        if asking is None or asking.done():
            if asking is not None and asking.exception() is None:
                self._answer = asking.result()
            if asking is None or time.monotonic() - self._asked_at > self._kept_s:
                self._asked_at = time.monotonic()
                self._asking = asyncio.ensure_future(self._ask())
        return self._answer


class MarketReader:
    """Reads the market's past. For one event loop. Every method raises as `HistoryReader` does."""

    def __init__(
        self, history: HistoryReader, *, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._history = history
        self._clock_ns = clock_ns
        self._days = Kept(self._read_days, DAY_KEPT_S)
        self._series: dict[int, Kept[dict[int, list[int]]]] = {}

    @property
    def day_begins_ns(self) -> int:
        """When the present day (UTC) began."""
        return self._clock_ns() // DAY_NS * DAY_NS

    async def candles(
        self, instrument: int, step_s: int, *, from_ns: int, until_ns: int, limit: int
    ) -> list[CandleRow]:
        """The newest `limit` candles that begin within the range, oldest first; a step without a
        trade has none."""
        if not 1 <= limit <= CANDLES_MAX:
            raise ValueError(f"limit is 1 to {CANDLES_MAX}")
        traded = await self._history.fetch(TradedRow, TRADED, instrument=instrument)
        if not traded:
            return []
        step_ns = step_s * NS
        first_ns = max(-(-from_ns // step_ns), traded[0].first_ns // step_ns) * step_ns
        end_ns = min(-(-until_ns // step_ns), traded[0].last_ns // step_ns + 1) * step_ns
        span_ns = limit * step_ns
        while True:  # as far back as it takes, where many steps have no trade
            begins_ns = max(first_ns, end_ns - span_ns)
            rows = await self._history.fetch(
                CandleRow,
                CANDLES,
                instrument=instrument,
                step_ns=step_ns,
                from_ns=begins_ns,
                until_ns=end_ns,
                limit=limit,
            )
            if len(rows) == limit or begins_ns <= first_ns:
                return rows
            span_ns *= FURTHER_BACK

    async def days(self) -> dict[int, DayRow]:
        """The day so far (UTC) of every instrument that traded in it; a second old at most."""
        return await self._days.get()

    async def series(self, points: int) -> dict[int, list[int]]:
        """Each instrument's last prices over 24 hours in `points` slices, oldest first, from
        its first trade on; a slice without a trade repeats the one before. Seconds old at most."""
        if not 2 <= points <= POINTS_MAX:
            raise ValueError(f"points are 2 to {POINTS_MAX}")
        kept = self._series.get(points)
        if kept is None:
            while len(self._series) >= SERIES_KEPT_MAX:
                del self._series[next(iter(self._series))]
            kept = self._series[points] = Kept(lambda: self._read_series(points), SERIES_KEPT_S)
        return await kept.get()

    async def last_trade(self, instrument: int, match_number: int) -> TradeRow | None:
        """The newest trade of an instrument whose match number is not above this one."""
        found = await self._history.fetch(
            TradeRow, LAST_BEFORE, instrument=instrument, match_number=match_number
        )
        return found[0] if found else None

    async def _read_days(self) -> dict[int, DayRow]:
        rows = await self._history.fetch(DayRow, DAYS, from_ns=self.day_begins_ns)
        return {row.instrument: row for row in rows}

    async def _read_series(self, points: int) -> dict[int, list[int]]:
        step_ns = DAY_NS // points
        from_ns = (self._clock_ns() // step_ns - points + 1) * step_ns
        rows = await self._history.fetch(PointRow, POINTS, from_ns=from_ns, step_ns=step_ns)
        found: dict[int, list[int]] = {}
        first: dict[int, int] = {}
        for row in rows:
            prices = found.setdefault(row.instrument, [])
            at = min(row.slice, points - 1) - first.setdefault(row.instrument, row.slice)
            prices += prices[-1:] * (at - len(prices))
            prices.append(row.price_ticks)
        for instrument, prices in found.items():
            prices += prices[-1:] * (points - first[instrument] - len(prices))
        return found
