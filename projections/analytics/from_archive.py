"""The frames of analytics from an archive: the same as from PostgreSQL, scanned lazily."""

from __future__ import annotations

from typing import Final

import polars as pl

from projections.analytics import orders, quotes, trades
from projections.archive import Archive

KINDS: Final = {"accepted": "submit", "replaced": "replace", "cancelled": "cancel"}


class ArchiveSource:
    """Reads one archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    @property
    def symbols(self) -> list[str]:
        """Every symbol that was listed."""
        return self._archive.symbols()

    def trades(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Trades by the gateway's clock, in order of match number."""
        scan = self._archive.scan("public/trades", symbol).filter(_within(from_ns, until_ns))
        return scan.select(*trades.SCHEMA).sort("match_number")

    def orders(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Orders accepted in the range, without whose they are."""
        executions = self._archive.scan("private/executions", symbol)
        sides = [
            executions.select(pl.col(f"{party}_order_id").alias("order_id"), "quantity")
            for party in ("aggressor", "resting")
        ]
        executed = pl.concat(sides).group_by("order_id").agg(executed_quantity=pl.sum("quantity"))
        # The total is what was asked first; a replacement changes it by what it left open.
        replaced = (
            self._archive.scan("private/order_events", symbol)
            .filter(pl.col("event") == "replaced")
            .sort("book_sequence")
            .group_by("order_id", maintain_order=True)
            .agg(pl.col("quantity").last().alias("left"), pl.col("book_sequence").last())
        )
        before = (
            pl.concat(
                [
                    executions.select(
                        pl.col(f"{party}_order_id").alias("order_id"),
                        pl.col("quantity").alias("filled"),
                        pl.col("book_sequence").alias("filled_at"),
                    )
                    for party in ("aggressor", "resting")
                ]
            )
            .join(replaced, on="order_id")
            .filter(pl.col("filled_at") < pl.col("book_sequence"))
            .group_by("order_id")
            .agg(pl.col("filled").sum())
        )
        total = pl.coalesce(pl.col("left") + pl.col("filled").fill_null(0), pl.col("quantity"))
        return (
            self._archive.scan("private/orders", symbol)
            .filter(_within(from_ns, until_ns) & (pl.col("reason") == 0))
            .join(executed, on="order_id", how="left")
            .join(replaced, on="order_id", how="left")
            .join(before, on="order_id", how="left")
            .select("time_ns", total.alias("quantity"), pl.col("executed_quantity").fill_null(0))
            .cast(orders.ORDERS)
        )

    def messages(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Submits, replaces and cancels that were applied in the range."""
        return (
            self._archive.scan("private/order_events", symbol)
            .filter(_within(from_ns, until_ns) & pl.col("event").is_in(list(KINDS)))
            .select("time_ns", pl.col("event").replace_strict(KINDS).alias("kind"))
        )

    def quotes(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Best bid and offer and depth in the range, and the state that it began with."""
        changes = (
            self._archive.scan("public/level_changes", symbol)
            .filter(pl.col("time_ns") < until_ns)
            .sort("book_sequence")
            .select("time_ns", "book_sequence", "side", "price_ticks", "quantity")
            .collect()
        )
        return quotes.quotes_of(changes.iter_rows(), from_ns=from_ns).lazy()


def _within(from_ns: int, until_ns: int) -> pl.Expr:
    return pl.col("time_ns").is_between(from_ns, until_ns, closed="left")
