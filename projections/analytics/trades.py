"""Figures of one instrument's trades. Each function takes a LazyFrame of trades and gives one.

Trades: `time_ns`, `match_number`, `price_ticks`, `quantity`, `aggressor_side` (0 buy, 1 sell), all
i64. Intervals are [begin, begin + every) from multiples of `every_ns` since 1970, named by
`begins_ns`; one without a trade has no row unless said. Prices are in ticks (1/10,000 dollar).
"""

from __future__ import annotations

from typing import Final

import polars as pl

SCHEMA: Final = {
    "time_ns": pl.Int64,
    "match_number": pl.Int64,
    "price_ticks": pl.Int64,
    "quantity": pl.Int64,
    "aggressor_side": pl.Int64,
    "book_sequence": pl.Int64,
}
VALUE: Final = pl.col("price_ticks").cast(pl.Int128) * pl.col("quantity")
BUYS: Final = pl.col("aggressor_side") == 0


def begins(every_ns: int, column: str = "time_ns") -> pl.Expr:
    """The beginning of each row's interval."""
    return (pl.col(column) // every_ns * every_ns).alias("begins_ns")


def candles(trades: pl.LazyFrame, every_ns: int) -> pl.LazyFrame:
    """Open, high, low, close, volume, value (ticks × shares, i128), trades and VWAP by interval.

    Open and close are by match number, the order in which the engine traded.
    """
    price = pl.col("price_ticks")
    return (
        trades.group_by(begins(every_ns))
        .agg(
            price.get(pl.col("match_number").arg_min()).alias("open_ticks"),
            price.max().alias("high_ticks"),
            price.min().alias("low_ticks"),
            price.get(pl.col("match_number").arg_max()).alias("close_ticks"),
            pl.col("quantity").sum().alias("volume"),
            VALUE.sum().alias("value"),
            pl.len().cast(pl.Int64).alias("trade_count"),
        )
        .with_columns(ratio(pl.col("value"), pl.col("volume")).alias("vwap_ticks"))
        .sort("begins_ns")
    )


def vwap(trades: pl.LazyFrame, every_ns: int) -> pl.LazyFrame:
    """Volume-weighted average price: Σ pᵢqᵢ / Σ qᵢ (Berkowitz, Logue and Noser 1988)."""
    return candles(trades, every_ns).select("begins_ns", "vwap_ticks", "volume", "value")


def twap(trades: pl.LazyFrame, every_ns: int, *, from_ns: int, until_ns: int) -> pl.LazyFrame:
    """Time-weighted average price: Σ pᵢΔtᵢ / Σ Δtᵢ, where pᵢ is the last price in force for Δtᵢ.

    A price is in force until the next trade or `until_ns`, also over intervals without a trade;
    before the first trade there is none, and those intervals have no row. Of trades at one instant
    the last counts.
    """
    first = from_ns // every_ns * every_ns
    edges = pl.int_range(first, until_ns, every_ns, dtype=pl.Int64, eager=True)
    grid = pl.LazyFrame({"time_ns": edges}).filter(pl.col("time_ns") >= from_ns)
    last = (
        trades.filter(pl.col("time_ns").is_between(from_ns, until_ns, closed="left"))
        .sort("time_ns", "match_number")
        .group_by("time_ns", maintain_order=True)
        .agg(pl.col("price_ticks").last())
    )
    held = (
        pl.concat([last, grid.with_columns(price_ticks=pl.lit(None, pl.Int64))])
        .sort("time_ns", "price_ticks", nulls_last=False)
        .with_columns(pl.col("price_ticks").forward_fill())
        .with_columns(held_ns=pl.col("time_ns").shift(-1, fill_value=until_ns) - pl.col("time_ns"))
        .filter(pl.col("price_ticks").is_not_null() & (pl.col("held_ns") > 0))
    )
    weighted = pl.col("price_ticks").cast(pl.Int128) * pl.col("held_ns")
    return (
        held.group_by(begins(every_ns))
        .agg(weighted.sum().alias("weighted"), pl.col("held_ns").sum())
        .select(
            "begins_ns",
            ratio(pl.col("weighted"), pl.col("held_ns")).alias("twap_ticks"),
            "held_ns",
        )
        .sort("begins_ns")
    )


def realised_volatility(trades: pl.LazyFrame, every_ns: int) -> pl.LazyFrame:
    """√Σ rᵢ², rᵢ = ln(closeᵢ / closeᵢ₋₁) over the intervals that traded, one row: not annualised
    (Andersen and Bollerslev 1998). Null where fewer than two intervals traded.
    """
    close = pl.col("close_ticks").cast(pl.Float64)
    squares = (close / close.shift(1)).log().pow(2)
    return (
        candles(trades, every_ns)
        .select(returns=squares)
        .select(
            pl.when(pl.col("returns").count() > 0)
            .then(pl.col("returns").sum().sqrt())
            .alias("volatility"),
            pl.col("returns").count().cast(pl.Int64).alias("return_count"),
        )
    )


def volume_profile(trades: pl.LazyFrame, bucket_ticks: int = 100) -> pl.LazyFrame:
    """Volume by price: a row for each bucket [price, price + bucket) that traded, with what buyers
    and what sellers took (Steidlmayer's market profile, by volume)."""
    quantity = pl.col("quantity")
    return (
        trades.group_by((pl.col("price_ticks") // bucket_ticks * bucket_ticks).alias("price_ticks"))
        .agg(
            quantity.sum().alias("volume"),
            quantity.filter(BUYS).sum().alias("bought"),
            quantity.filter(~BUYS).sum().alias("sold"),
            pl.len().cast(pl.Int64).alias("trade_count"),
        )
        .sort("price_ticks")
    )


def activity(trades: pl.LazyFrame, every_ns: int) -> pl.LazyFrame:
    """Trades, volume, and the volume that buyers and sellers took, by interval."""
    quantity = pl.col("quantity")
    return (
        trades.group_by(begins(every_ns))
        .agg(
            pl.len().cast(pl.Int64).alias("trade_count"),
            quantity.sum().alias("volume"),
            quantity.filter(BUYS).sum().alias("bought"),
            quantity.filter(~BUYS).sum().alias("sold"),
        )
        .sort("begins_ns")
    )


def movers(trades: pl.LazyFrame) -> pl.LazyFrame:
    """Of trades with a column `symbol`: first and last price, change in ticks and as a share of the
    first, volume; the greatest change either way first."""
    price, number = pl.col("price_ticks"), pl.col("match_number")
    return (
        trades.group_by("symbol")
        .agg(
            price.get(number.arg_min()).alias("first_ticks"),
            price.get(number.arg_max()).alias("last_ticks"),
            pl.col("quantity").sum().alias("volume"),
        )
        .with_columns(change_ticks=pl.col("last_ticks") - pl.col("first_ticks"))
        .with_columns(change=ratio(pl.col("change_ticks"), pl.col("first_ticks")))
        .sort([pl.col("change").abs(), pl.col("symbol")], descending=[True, False])
    )


def ratio(over: pl.Expr, under: pl.Expr) -> pl.Expr:
    """A quotient as f64; null where there is nothing to divide by."""
    return pl.when(under != 0).then(over.cast(pl.Float64) / under.cast(pl.Float64))
