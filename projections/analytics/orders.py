"""Figures of one instrument's order flow.

Messages: `time_ns` and `kind` (submit, replace, cancel), the commands that were applied. Orders:
`time_ns` of acceptance, `quantity` (total), `executed_quantity`. Accounts are no part of either.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from projections.analytics.trades import begins, ratio

MESSAGES: Final = {"time_ns": pl.Int64, "kind": pl.String}
ORDERS: Final = {"time_ns": pl.Int64, "quantity": pl.Int64, "executed_quantity": pl.Int64}


def order_to_trade(messages: pl.LazyFrame, trades: pl.LazyFrame, every_ns: int) -> pl.LazyFrame:
    """Order-to-trade ratio by number: (submits + replaces + cancels) / trades, by interval (MiFID
    II, RTS 9, Annex). Null where nothing traded.
    """
    counted = messages.group_by(begins(every_ns)).agg(
        pl.len().cast(pl.Int64).alias("messages"),
        *(
            (pl.col("kind") == kind).sum().cast(pl.Int64).alias(f"{kind}_count")
            for kind in ("submit", "replace", "cancel")
        ),
    )
    traded = trades.group_by(begins(every_ns)).agg(pl.len().cast(pl.Int64).alias("trade_count"))
    return (
        counted.join(traded, on="begins_ns", how="full", coalesce=True)
        .with_columns(pl.exclude("begins_ns").fill_null(0))
        .with_columns(order_to_trade=ratio(pl.col("messages"), pl.col("trade_count")))
        .sort("begins_ns")
    )


def fill_rate(orders: pl.LazyFrame, every_ns: int) -> pl.LazyFrame:
    """Σ executed / Σ total quantity of the orders accepted in each interval, as far as they are
    executed by now; and the share of orders that executed at all."""
    executed = pl.col("executed_quantity")
    return (
        orders.group_by(begins(every_ns))
        .agg(
            pl.len().cast(pl.Int64).alias("order_count"),
            (executed > 0).sum().cast(pl.Int64).alias("executed_count"),
            pl.col("quantity").sum(),
            executed.sum(),
        )
        .with_columns(
            fill_rate=ratio(executed, pl.col("quantity")),
            executed_share=ratio(pl.col("executed_count"), pl.col("order_count")),
        )
        .sort("begins_ns")
    )
