"""Figures of the market's past as GraphQL shows them: a row's type for each metric.

Guarantees: sums are exact; a mean is text with 8 decimals, rounded once; what there is nothing to
tell of is null, never 0 or NaN. Never an account.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import strawberry

from api.graphql.scalars import Mean, Money, Price, Quantity, Time

NS = 1_000_000_000
BEGINS = "The interval's first instant, by the gateway's clock."
HELD = "Seconds of the interval that it is of."
BOUGHT, SOLD = "Shares that buyers took.", "Shares that sellers took."
Row = dict[str, Any]


def mean_of(ticks: float | None) -> Decimal | None:
    """A mean, still in ticks, as its scalar takes it."""
    return None if ticks is None else Decimal(ticks)


@strawberry.type(description="Volume-weighted average price of one interval that traded.")
class VwapRow:
    """Of `vwap`."""

    begins: Time = strawberry.field(description=BEGINS)
    vwap: Mean | None = strawberry.field(description="turnover / volume.")
    volume: Quantity = strawberry.field(description="Shares traded.")
    turnover: Money = strawberry.field(description="Price times shares, summed, in dollars.")

    @staticmethod
    def of(row: Row) -> VwapRow:
        """A row of the metric."""
        return VwapRow(
            begins=int(row["begins_ns"]),
            vwap=mean_of(row["vwap_ticks"]),
            volume=row["volume"],
            turnover=int(row["value"]),
        )


@strawberry.type(
    description="Time-weighted average price of one interval: of the last price in force, from the "
    "range's first trade on."
)
class TwapRow:
    """Of `twap`."""

    begins: Time = strawberry.field(description=BEGINS)
    twap: Mean | None = strawberry.field(description="The mean over `heldS`.")
    held_s: float = strawberry.field(description=HELD)

    @staticmethod
    def of(row: Row) -> TwapRow:
        """A row of the metric."""
        return TwapRow(
            begins=int(row["begins_ns"]),
            twap=mean_of(row["twap_ticks"]),
            held_s=int(row["held_ns"]) / NS,
        )


@strawberry.type(description="What traded within one interval, reckoned anew from the trades.")
class CandleRow:
    """Of `candles`."""

    begins: Time = strawberry.field(description=BEGINS)
    open: Price = strawberry.field(description="The first trade's price.")
    high: Price = strawberry.field(description="The highest price.")
    low: Price = strawberry.field(description="The lowest price.")
    close: Price = strawberry.field(description="The last trade's price.")
    volume: Quantity = strawberry.field(description="Shares traded.")
    turnover: Money = strawberry.field(description="Price times shares, summed, in dollars.")
    trade_count: int = strawberry.field(description="Trades.")
    vwap: Mean | None = strawberry.field(description="turnover / volume.")

    @staticmethod
    def of(row: Row) -> CandleRow:
        """A row of the metric."""
        prices = {name: row[f"{name}_ticks"] for name in ("open", "high", "low", "close")}
        return CandleRow(
            begins=int(row["begins_ns"]),
            **prices,
            volume=row["volume"],
            turnover=int(row["value"]),
            trade_count=row["trade_count"],
            vwap=mean_of(row["vwap_ticks"]),
        )


@strawberry.type(description="Time-weighted quoted spread, while both sides were quoted.")
class QuotedSpreadRow:
    """Of `quotedSpread`."""

    begins: Time = strawberry.field(description=BEGINS)
    spread: Mean | None = strawberry.field(description="Best ask less best bid.")
    spread_bps: float | None = strawberry.field(
        description="The same over the midpoint, in basis points (1/10,000)."
    )
    held_s: float = strawberry.field(description=HELD)

    @staticmethod
    def of(row: Row) -> QuotedSpreadRow:
        """A row of the metric."""
        return QuotedSpreadRow(
            begins=int(row["begins_ns"]),
            spread=mean_of(row["spread_ticks"]),
            spread_bps=row["spread_bps"],
            held_s=int(row["held_ns"]) / NS,
        )


@strawberry.type(description="Volume-weighted spread of one interval's trades.")
class TradedSpreadRow:
    """Of `effectiveSpread` and `realisedSpread`."""

    begins: Time = strawberry.field(description=BEGINS)
    spread: Mean | None = strawberry.field(description="Null where no trade of it counts.")
    volume: Quantity = strawberry.field(description="Shares of the trades that count.")

    @staticmethod
    def effective(row: Row) -> TradedSpreadRow:
        """A row of `effective-spread`."""
        return TradedSpreadRow._of(row, row["effective_spread_ticks"])

    @staticmethod
    def realised(row: Row) -> TradedSpreadRow:
        """A row of `realised-spread`."""
        return TradedSpreadRow._of(row, row["realised_spread_ticks"])

    @staticmethod
    def _of(row: Row, ticks: float | None) -> TradedSpreadRow:
        return TradedSpreadRow(
            begins=int(row["begins_ns"]), spread=mean_of(ticks), volume=row["volume"]
        )


@strawberry.type(description="Time-weighted depth of the best five levels of each side.")
class DepthRow:
    """Of `depth`."""

    begins: Time = strawberry.field(description=BEGINS)
    bid_depth: float | None = strawberry.field(description="Shares, a mean over time.")
    ask_depth: float | None = strawberry.field(description="Shares, a mean over time.")
    imbalance: float | None = strawberry.field(
        description="(bids - asks) / (bids + asks): from -1, all asks, to 1, all bids."
    )

    @staticmethod
    def of(row: Row) -> DepthRow:
        """A row of the metric."""
        return DepthRow(
            begins=int(row["begins_ns"]),
            bid_depth=row["bid_depth"],
            ask_depth=row["ask_depth"],
            imbalance=row["imbalance"],
        )


@strawberry.type(description="Orders beside trades, by number, of applied commands.")
class OrderToTradeRow:
    """Of `orderToTrade`."""

    begins: Time = strawberry.field(description=BEGINS)
    messages: int = strawberry.field(description="Submits, replaces and cancels.")
    submit_count: int = strawberry.field(description="Orders accepted.")
    replace_count: int = strawberry.field(description="Replaces applied.")
    cancel_count: int = strawberry.field(description="Orders cancelled.")
    trade_count: int = strawberry.field(description="Trades.")
    order_to_trade: float | None = strawberry.field(
        description="messages / tradeCount; null where nothing traded."
    )

    @staticmethod
    def of(row: Row) -> OrderToTradeRow:
        """A row of the metric."""
        counts = ("messages", "submit_count", "replace_count", "cancel_count", "trade_count")
        return OrderToTradeRow(
            begins=int(row["begins_ns"]),
            **{name: row[name] for name in counts},
            order_to_trade=row["order_to_trade"],
        )


@strawberry.type(description="What became by now of the orders accepted in one interval.")
class FillRateRow:
    """Of `fillRate`."""

    begins: Time = strawberry.field(description=BEGINS)
    order_count: int = strawberry.field(description="Orders accepted.")
    executed_count: int = strawberry.field(description="Orders that executed at all.")
    quantity: Quantity = strawberry.field(description="Shares ordered.")
    executed_quantity: Quantity = strawberry.field(description="Shares executed.")
    fill_rate: float | None = strawberry.field(
        description="executedQuantity / quantity, from 0 to 1."
    )
    executed_share: float | None = strawberry.field(
        description="executedCount / orderCount, from 0 to 1."
    )

    @staticmethod
    def of(row: Row) -> FillRateRow:
        """A row of the metric."""
        names = ("order_count", "executed_count", "quantity", "executed_quantity")
        return FillRateRow(
            begins=int(row["begins_ns"]),
            **{name: row[name] for name in names},
            fill_rate=row["fill_rate"],
            executed_share=row["executed_share"],
        )


@strawberry.type(description="Realised volatility of the whole range, not annualised.")
class Volatility:
    """Of `volatility`."""

    volatility: float | None = strawberry.field(
        description="Root of the summed squares of log returns, from close to close of intervals "
        "that traded; null where fewer than two did."
    )
    return_count: int = strawberry.field(description="Returns that are in it.")

    @staticmethod
    def of(row: Row) -> Volatility:
        """The metric's only row."""
        return Volatility(volatility=row["volatility"], return_count=row["return_count"])


@strawberry.type(description="What traded in one bucket of a cent: [price, price + 0.01).")
class VolumeProfileRow:
    """Of `volumeProfile`."""

    price: Price = strawberry.field(description="The bucket's lowest price.")
    volume: Quantity = strawberry.field(description="Shares traded.")
    bought: Quantity = strawberry.field(description=BOUGHT)
    sold: Quantity = strawberry.field(description=SOLD)
    trade_count: int = strawberry.field(description="Trades.")

    @staticmethod
    def of(row: Row) -> VolumeProfileRow:
        """A row of the metric."""
        names = ("volume", "bought", "sold", "trade_count")
        return VolumeProfileRow(price=row["price_ticks"], **{name: row[name] for name in names})


@strawberry.type(description="How much traded in one interval, and who took.")
class ActivityRow:
    """Of `activity`."""

    begins: Time = strawberry.field(description=BEGINS)
    trade_count: int = strawberry.field(description="Trades.")
    volume: Quantity = strawberry.field(description="Shares traded.")
    bought: Quantity = strawberry.field(description=BOUGHT)
    sold: Quantity = strawberry.field(description=SOLD)

    @staticmethod
    def of(row: Row) -> ActivityRow:
        """A row of the metric."""
        names = ("trade_count", "volume", "bought", "sold")
        return ActivityRow(begins=int(row["begins_ns"]), **{name: row[name] for name in names})


@strawberry.type(description="How far one instrument that traded moved over the range.")
class Mover:
    """Of `movers`."""

    symbol: str = strawberry.field(description="The instrument's symbol.")
    first: Price = strawberry.field(description="The range's first price.")
    last: Price = strawberry.field(description="The range's last price.")
    change: Money = strawberry.field(description="last - first, in dollars.")
    change_percent: float | None = strawberry.field(
        description="100 × change / first, in percent, to 4 decimals."
    )
    volume: Quantity = strawberry.field(description="Shares traded.")

    @staticmethod
    def of(row: Row) -> Mover:
        """A row of the metric."""
        share = row["change"]
        return Mover(
            symbol=row["symbol"],
            first=row["first_ticks"],
            last=row["last_ticks"],
            change=row["change_ticks"],
            change_percent=None if share is None else round(100 * share, 4),
            volume=row["volume"],
        )
