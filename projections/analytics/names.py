"""The names of metrics and intervals, for whoever asks without computing (no Polars here)."""

from __future__ import annotations

from typing import Final

NS: Final = 1_000_000_000
INTERVALS: Final = {
    "1m": 60 * NS,
    "5m": 300 * NS,
    "15m": 900 * NS,
    "30m": 1_800 * NS,
    "1h": 3_600 * NS,
    "4h": 14_400 * NS,
    "1d": 86_400 * NS,
}
METRIC_NAMES: Final = (
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
)
