"""Every metric by name, over any source: what the command line and the API ask.

Guarantees: an unknown name or symbol, an empty range, or one of too many intervals is a ValueError
that says what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import polars as pl

from projections.analytics import orders, quotes, trades
from projections.analytics.names import NS

INTERVALS_MAX: Final = 50_000
REALISED_AFTER_NS: Final = 5 * NS
PROFILE_BUCKET_TICKS: Final = 100


class Source(Protocol):
    """Where the frames come from. Times are the gateway's clock, [from_ns, until_ns)."""

    @property
    def symbols(self) -> list[str]:
        """Every symbol there is."""
        ...

    def trades(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Trades, as `analytics.trades` describes them."""
        ...

    def quotes(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Quotes, as `analytics.quotes` describes them."""
        ...

    def orders(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Orders, as `analytics.orders` describes them."""
        ...

    def messages(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Messages, as `analytics.orders` describes them."""
        ...


@dataclass(frozen=True)
class Question:
    """What is asked of one symbol (of all where it is None: `movers` alone)."""

    symbol: str | None
    from_ns: int
    until_ns: int
    every_ns: int = 60 * NS

    @property
    def span(self) -> tuple[str, int, int]:
        """Symbol, from, until."""
        assert self.symbol is not None
        return self.symbol, self.from_ns, self.until_ns


def _of_trades(
    figure: Callable[[pl.LazyFrame, int], pl.LazyFrame],
) -> Callable[[Source, Question], pl.LazyFrame]:
    return lambda source, asked: figure(source.trades(*asked.span), asked.every_ns)


def _twap(source: Source, asked: Question) -> pl.LazyFrame:
    span = {"from_ns": asked.from_ns, "until_ns": asked.until_ns}
    return trades.twap(source.trades(*asked.span), asked.every_ns, **span)


def _profile(source: Source, asked: Question) -> pl.LazyFrame:
    return trades.volume_profile(source.trades(*asked.span), PROFILE_BUCKET_TICKS)


def _quoted(source: Source, asked: Question) -> pl.LazyFrame:
    span = {"from_ns": asked.from_ns, "until_ns": asked.until_ns}
    return quotes.quoted_spread(source.quotes(*asked.span), asked.every_ns, **span)


def _depth(source: Source, asked: Question) -> pl.LazyFrame:
    span = {"from_ns": asked.from_ns, "until_ns": asked.until_ns}
    return quotes.depth(source.quotes(*asked.span), asked.every_ns, **span)


def _effective(source: Source, asked: Question) -> pl.LazyFrame:
    return quotes.effective_spread(
        source.trades(*asked.span), source.quotes(*asked.span), asked.every_ns
    )


def _realised(source: Source, asked: Question) -> pl.LazyFrame:
    symbol, from_ns, until_ns = asked.span
    seen = source.quotes(symbol, from_ns, until_ns + REALISED_AFTER_NS)
    made = source.trades(symbol, from_ns, until_ns)
    return quotes.realised_spread(made, seen, asked.every_ns, after_ns=REALISED_AFTER_NS)


def _order_to_trade(source: Source, asked: Question) -> pl.LazyFrame:
    return orders.order_to_trade(
        source.messages(*asked.span), source.trades(*asked.span), asked.every_ns
    )


def _fill_rate(source: Source, asked: Question) -> pl.LazyFrame:
    return orders.fill_rate(source.orders(*asked.span), asked.every_ns)


def _movers(source: Source, asked: Question) -> pl.LazyFrame:
    names = source.symbols if asked.symbol is None else [asked.symbol]
    frames = [
        source.trades(name, asked.from_ns, asked.until_ns).with_columns(symbol=pl.lit(name))
        for name in names
    ]
    empty = pl.LazyFrame(schema=trades.SCHEMA | {"symbol": pl.String})
    return trades.movers(pl.concat(frames) if frames else empty)


METRICS: Final[dict[str, Callable[[Source, Question], pl.LazyFrame]]] = {
    "vwap": _of_trades(trades.vwap),
    "twap": _twap,
    "candles": _of_trades(trades.candles),
    "quoted-spread": _quoted,
    "effective-spread": _effective,
    "realised-spread": _realised,
    "depth": _depth,
    "order-to-trade": _order_to_trade,
    "fill-rate": _fill_rate,
    "volatility": _of_trades(trades.realised_volatility),
    "volume-profile": _profile,
    "activity": _of_trades(trades.activity),
    "movers": _movers,
}


def analyse(metric: str, source: Source, asked: Question) -> pl.DataFrame:
    """The metric's rows. Raises ValueError where the question makes no sense."""
    if metric not in METRICS:
        raise ValueError(f"no metric {metric!r}; there are {', '.join(METRICS)}")
    if asked.until_ns <= asked.from_ns:
        raise ValueError("the range is empty: its end is not after its beginning")
    if (asked.until_ns - asked.from_ns) // asked.every_ns > INTERVALS_MAX:
        raise ValueError(f"more than {INTERVALS_MAX:,} intervals: ask for longer ones")
    if asked.symbol is None and metric != "movers":
        raise ValueError(f"{metric} is of one symbol")
    if asked.symbol is not None and asked.symbol not in source.symbols:
        raise ValueError(f"no trades of a symbol {asked.symbol!r} are known")
    return METRICS[metric](source, asked).collect()


WIDE: Final = ("begins_ns", "held_ns", "value")


def json_rows(found: pl.DataFrame) -> list[dict[str, object]]:
    """The rows for JSON: times and values, which may pass 2⁵³, as strings; null stays null."""
    wide = [name for name in WIDE if name in found.columns]
    return found.with_columns(pl.col(wide).cast(pl.String)).to_dicts()
