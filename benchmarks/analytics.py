"""Candles of many trades: 10,000,000 synthetic trades in Parquet to one-minute candles.

    python -m benchmarks.analytics [--trades 10000000]

Prints one JSON line: `scan_s` from the files to the candles, `candles_s` from a frame in memory,
`plain_s` for what a plain loop over dicts takes (extrapolated from `plain_trades` of them).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import polars as pl

from projections.analytics import trades

MINUTE_NS: Final = 60_000_000_000
DAY_BEGINS_NS: Final = 1_766_000_000_000_000_000
DAY_NS: Final = 6 * 3_600 * 1_000_000_000
PLAIN_TRADES: Final = 200_000
SEED: Final = 11


def synthetic(count: int) -> pl.DataFrame:
    """`count` trades of one instrument over six and a half hours or so, in order: a random walk of
    the price, sizes of 1 to 500."""
    noise = pl.select(
        step=pl.int_range(count).shuffle(SEED) % 3 - 1,
        quantity=pl.int_range(count).shuffle(SEED + 1) % 500 + 1,
        side=pl.int_range(count).shuffle(SEED + 2) % 2,
    )
    return noise.select(
        time_ns=DAY_BEGINS_NS + pl.int_range(pl.len()) * (DAY_NS // count),
        match_number=pl.int_range(1, pl.len() + 1),
        price_ticks=2_300_000 + pl.col("step").cum_sum() * 100 % 100_000,
        quantity=pl.col("quantity"),
        aggressor_side=pl.col("side"),
        book_sequence=pl.int_range(pl.len()) * 3,
    ).cast(trades.SCHEMA)


def plain_candles(frame: pl.DataFrame) -> dict[int, list[int]]:
    """The same with a dict and a loop."""
    candles: dict[int, list[int]] = {}
    for time_ns, _match, price, quantity, _side, _sequence in frame.iter_rows():
        begins = time_ns // MINUTE_NS * MINUTE_NS
        candle = candles.get(begins)
        if candle is None:
            candles[begins] = [price, price, price, price, quantity, price * quantity, 1]
            continue
        candle[1] = max(candle[1], price)
        candle[2] = min(candle[2], price)
        candle[3] = price
        candle[4] += quantity
        candle[5] += price * quantity
        candle[6] += 1
    return candles


def checked(frame: pl.DataFrame) -> float:
    """Seconds of the plain loop over the first trades, which must give the same candles."""
    some = frame.head(PLAIN_TRADES)
    began = time.perf_counter()
    expected = plain_candles(some)
    took = time.perf_counter() - began
    found = trades.candles(some.lazy(), MINUTE_NS).collect()
    for row in found.iter_rows(named=True):
        ohlc = [row[f"{name}_ticks"] for name in ("open", "high", "low", "close")]
        if [*ohlc, row["volume"], row["value"], row["trade_count"]] != expected[row["begins_ns"]]:
            raise SystemExit(f"candles differ: {row}")
    return took


def timed(lazy: pl.LazyFrame) -> tuple[float, int]:
    """Seconds to one-minute candles, and how many."""
    began = time.perf_counter()
    count = trades.candles(lazy, MINUTE_NS).collect().height
    return round(time.perf_counter() - began, 3), count


def measure(count: int, folder: Path, files: int) -> dict[str, Any]:
    """All figures."""
    frame = synthetic(count)
    plain_s = checked(frame)
    for number, part in enumerate(frame.iter_slices(-(-count // files))):
        part.write_parquet(folder / f"{number:03d}.parquet")
    scan_s, candles = timed(pl.scan_parquet(folder / "*.parquet"))
    memory_s, _ = timed(frame.lazy())
    plain_trades = min(PLAIN_TRADES, count)
    return {
        "trades": count,
        "candles": candles,
        "scan_s": scan_s,
        "candles_s": memory_s,
        "plain_trades": plain_trades,
        "plain_s": round(plain_s * count / plain_trades, 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trades", type=int, default=10_000_000)
    parser.add_argument("--files", type=int, default=8, help="Parquet files that hold them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(arguments.trades, Path(folder), arguments.files)), flush=True)


if __name__ == "__main__":
    main()
