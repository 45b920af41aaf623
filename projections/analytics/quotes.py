"""Figures of one instrument's quotes: the best bid and offer, and depth, after every level change.

Quotes: `time_ns`, `book_sequence`, `bid_ticks`, `ask_ticks` (null: no such side), `bid_depth`,
`ask_depth` (shares on the best levels), i64, in order of `book_sequence`. A quote is in force until
the next one. Spreads are in ticks; the midpoint is kept doubled (bid + ask), so that it is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest, nsmallest
from typing import Final

import polars as pl

from projections.analytics.trades import begins, ratio

SCHEMA: Final = {
    "time_ns": pl.Int64,
    "book_sequence": pl.Int64,
    "bid_ticks": pl.Int64,
    "ask_ticks": pl.Int64,
    "bid_depth": pl.Int64,
    "ask_depth": pl.Int64,
}
LEVELS: Final = 5
Change = tuple[int, int, int, int, int]  # time_ns, book_sequence, side, price_ticks, quantity
TWO_SIDED: Final = pl.col("bid_ticks").is_not_null() & pl.col("ask_ticks").is_not_null()
SPREAD: Final = pl.col("ask_ticks") - pl.col("bid_ticks")
DOUBLE_MID: Final = pl.col("ask_ticks") + pl.col("bid_ticks")
DIRECTION: Final = 1 - 2 * pl.col("aggressor_side")  # 1 where a buyer took, -1 where a seller did


def quotes_of(changes: Iterable[Change], *, from_ns: int = 0, levels: int = LEVELS) -> pl.DataFrame:
    """The quotes that level changes make, in order, from the book's first change on. What came
    before `from_ns` leaves one row, the state at its end."""
    books: tuple[dict[int, int], dict[int, int]] = ({}, {})
    rows: list[tuple[int | None, ...]] = []
    opening: tuple[int, int] | None = None
    for time_ns, sequence, side, price, quantity in changes:
        if time_ns >= from_ns and opening is not None:
            rows.append((max(opening[0], 0), opening[1], *_state(books, levels)))
            opening = None
        if quantity:
            books[side][price] = quantity
        else:
            books[side].pop(price, None)
        if time_ns < from_ns and not rows:
            opening = (time_ns, sequence)
            continue
        row = (time_ns, sequence, *_state(books, levels))
        if not rows or row[2:] != rows[-1][2:]:
            rows.append(row)
    if opening is not None:
        rows.append((*opening, *_state(books, levels)))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _state(books: tuple[dict[int, int], dict[int, int]], levels: int) -> tuple[int | None, ...]:
    bids, asks = books
    best_bids, best_asks = nlargest(levels, bids), nsmallest(levels, asks)
    return (
        best_bids[0] if best_bids else None,
        best_asks[0] if best_asks else None,
        sum(bids[price] for price in best_bids),
        sum(asks[price] for price in best_asks),
    )


def held(quotes: pl.LazyFrame, every_ns: int, *, from_ns: int, until_ns: int) -> pl.LazyFrame:
    """The quotes cut at `from_ns`, `until_ns` and the edges of intervals, each with `held_ns`."""
    first = from_ns // every_ns * every_ns + every_ns
    edges = pl.int_range(first, until_ns, every_ns, dtype=pl.Int64, eager=True)
    grid = pl.LazyFrame({"time_ns": edges})
    named = [name for name in SCHEMA if name != "time_ns"]
    # The gateways' clocks may go back: a quote begins no earlier than those before it.
    ordered = (
        quotes.sort("book_sequence")
        .with_columns(pl.col("time_ns").cum_max().clip(lower_bound=from_ns))
        .filter(pl.col("time_ns") < until_ns)
    )
    at_edges = grid.join_asof(ordered, on="time_ns", strategy="backward").drop_nulls(
        "book_sequence"
    )
    columns = ["time_ns", *named]
    return (
        pl.concat([ordered.select(columns), at_edges.select(columns)])
        .sort("time_ns", "book_sequence", maintain_order=True)
        .with_columns(held_ns=pl.col("time_ns").shift(-1, fill_value=until_ns) - pl.col("time_ns"))
        .filter(pl.col("held_ns") > 0)
        .with_columns(begins(every_ns))
    )


def quoted_spread(
    quotes: pl.LazyFrame, every_ns: int, *, from_ns: int, until_ns: int
) -> pl.LazyFrame:
    """Time-weighted quoted spread: Σ (askᵢ − bidᵢ)Δtᵢ / Σ Δtᵢ, in ticks, and over the midpoint in
    basis points (Huang and Stoll 1996). Only while both sides are quoted.
    """
    time = pl.col("held_ns").cast(pl.Int128)
    relative = 20_000 * SPREAD / DOUBLE_MID * pl.col("held_ns")
    return (
        held(quotes, every_ns, from_ns=from_ns, until_ns=until_ns)
        .filter(TWO_SIDED)
        .group_by("begins_ns")
        .agg(
            ratio((SPREAD * time).sum(), pl.col("held_ns").sum()).alias("spread_ticks"),
            ratio(relative.sum(), pl.col("held_ns").sum()).alias("spread_bps"),
            pl.col("held_ns").sum(),
        )
        .sort("begins_ns")
    )


def depth(quotes: pl.LazyFrame, every_ns: int, *, from_ns: int, until_ns: int) -> pl.LazyFrame:
    """Time-weighted depth of the best levels of each side in shares, and their imbalance
    (B − A) / (B + A): from −1, all offers, to 1, all bids (Cao, Hansch and Wang 2009)."""
    bids, asks, time = pl.col("bid_depth"), pl.col("ask_depth"), pl.col("held_ns").cast(pl.Int128)
    held_ns = pl.col("held_ns").sum()
    return (
        held(quotes, every_ns, from_ns=from_ns, until_ns=until_ns)
        .group_by("begins_ns")
        .agg(
            (bids * time).sum().alias("bids"),
            (asks * time).sum().alias("asks"),
            held_ns,
        )
        .select(
            "begins_ns",
            ratio(pl.col("bids"), pl.col("held_ns")).alias("bid_depth"),
            ratio(pl.col("asks"), pl.col("held_ns")).alias("ask_depth"),
            ratio(pl.col("bids") - pl.col("asks"), pl.col("bids") + pl.col("asks")).alias(
                "imbalance"
            ),
        )
        .sort("begins_ns")
    )


def effective_spread(trades: pl.LazyFrame, quotes: pl.LazyFrame, every_ns: int) -> pl.LazyFrame:
    """Volume-weighted effective spread: Σ |2pᵢ − (bid + ask)|qᵢ / Σ qᵢ, against the quote just
    before the trade by book sequence (Lee and Ready 1991), in ticks. Trades that met a one-sided
    book do not count; null where none counts.
    """
    paired = (
        trades.drop_nulls("book_sequence")
        .sort("book_sequence")
        .join_asof(
            quotes.sort("book_sequence").drop("time_ns"),
            on="book_sequence",
            strategy="backward",
            allow_exact_matches=False,
        )
    )
    paid = (2 * pl.col("price_ticks") - DOUBLE_MID).abs()
    return _weighted(paired, paid, every_ns, "effective_spread_ticks")


def realised_spread(
    trades: pl.LazyFrame, quotes: pl.LazyFrame, every_ns: int, *, after_ns: int
) -> pl.LazyFrame:
    """Volume-weighted realised spread: Σ dᵢ(2pᵢ − (bid + ask) at tᵢ + Δ)qᵢ / Σ qᵢ, d 1 for a buyer
    who took and −1 for a seller, in ticks: what the maker kept after Δ = `after_ns` (Huang and
    Stoll 1996). Trades with no quote so late do not count.
    """
    in_time = (
        quotes.sort("book_sequence")
        .with_columns(pl.col("time_ns").cum_max())
        .rename({"time_ns": "later_ns"})
        .drop("book_sequence")
    )
    known_until = in_time.select(pl.col("later_ns").max().alias("known_until"))
    paired = (
        trades.with_columns(later_ns=pl.col("time_ns") + after_ns)
        .sort("later_ns")
        .join_asof(in_time, on="later_ns", strategy="backward")
        .join(known_until, how="cross")
        .with_columns(
            pl.when(pl.col("later_ns") <= pl.col("known_until")).then(pl.col("bid_ticks"))
        )
    )
    kept = DIRECTION * (2 * pl.col("price_ticks") - DOUBLE_MID)
    return _weighted(paired, kept, every_ns, "realised_spread_ticks")


def _weighted(paired: pl.LazyFrame, ticks: pl.Expr, every_ns: int, name: str) -> pl.LazyFrame:
    """Σ ticks × quantity / Σ quantity by interval, of the trades that have both sides."""
    weighted = (ticks.cast(pl.Int128) * pl.col("quantity")).filter(TWO_SIDED).sum()
    volume = pl.col("quantity").filter(TWO_SIDED).sum()
    return (
        paired.group_by(begins(every_ns))
        .agg(weighted.alias("weighted"), volume.alias("volume"))
        .select("begins_ns", ratio(pl.col("weighted"), pl.col("volume")).alias(name), "volume")
        .sort("begins_ns")
    )
