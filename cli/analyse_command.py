"""`crossbook analyse`: one metric of the market's past, as a table, CSV, JSON or Parquet."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import polars as pl

    from projections.analytics.metrics import Question

DAY_NS = 86_400_000_000_000


def analyse(
    metric: Annotated[
        str,
        typer.Argument(
            help="vwap, twap, candles, quoted-spread, effective-spread, realised-spread, depth, "
            "order-to-trade, fill-rate, volatility, volume-profile, activity or movers."
        ),
    ],
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir", help="Folder of the exchange. Default: CROSSBOOK_DATA_DIR or ./data."
        ),
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol; movers: all without one.")] = None,
    start: Annotated[str, typer.Option("--from", help="ISO 8601, or ns; default: a day ago.")] = "",
    end: Annotated[str, typer.Option("--to", help="ISO 8601, or ns; default: now.")] = "",
    interval: Annotated[str, typer.Option(help="1m, 5m, 15m, 30m, 1h, 4h or 1d.")] = "1m",
    from_archive: Annotated[
        Path | None, typer.Option("--from-archive", help="Read this archive, not PostgreSQL.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="CSV on standard output.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Write this Parquet file.")] = None,
) -> None:
    """Tell a figure of the market's past (docs/analytics.md), from PostgreSQL or an archive.

    Prices are in ticks of 1/10,000 dollar, times in ns since 1970; empty is null. Exit code 2 where
    the question makes no sense.
    """
    from cli.main import EXIT_USAGE, fail, told_in_a_line
    from projections.analytics.from_postgres import TooMuchError
    from projections.analytics.metrics import Question
    from projections.analytics.names import INTERVALS

    if interval not in INTERVALS:
        fail(f"--interval is one of {', '.join(INTERVALS)}", EXIT_USAGE)
    try:
        until_ns = _time_of(end) if end else time.time_ns()
        from_ns = _time_of(start) if start else until_ns - DAY_NS
        asked = Question(symbol, from_ns, until_ns, INTERVALS[interval])
        with told_in_a_line():
            found = _answer(metric, asked, data_dir, from_archive)
    except (ValueError, TooMuchError) as error:
        fail(str(error), EXIT_USAGE)
    with told_in_a_line():
        _show(found, csv=csv, json=json, parquet=parquet)


def _answer(
    metric: str, asked: Question, data_dir: Path | None, from_archive: Path | None
) -> pl.DataFrame:
    from projections.analytics import metrics

    if from_archive is not None:
        from projections.analytics.from_archive import ArchiveSource
        from projections.archive import MANIFEST, Archive

        if not (from_archive / MANIFEST).exists():
            raise ValueError(f"{from_archive} is no archive: `crossbook archive` makes one")
        return metrics.analyse(metric, ArchiveSource(Archive(from_archive)), asked)
    import psycopg

    from cli.main import load_settings
    from cli.rebuild import dsn_of
    from projections.analytics.from_postgres import HistorySource

    with psycopg.connect(dsn_of(load_settings(data_dir)), autocommit=True) as connection:
        return metrics.analyse(metric, HistorySource(connection), asked)


def _time_of(text: str) -> int:
    """Nanoseconds since 1970. Raises ValueError."""
    from datetime import UTC, datetime

    if text.isascii() and text.isdigit():
        return int(text)
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000


def _show(found: pl.DataFrame, *, csv: bool, json: bool, parquet: Path | None) -> None:
    import polars as pl

    if parquet is not None:
        found.write_parquet(parquet)
    if csv:
        found.write_csv(sys.stdout)
    elif json:
        print(rows_as_json(found))
    elif parquet is None:
        with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True):
            print(found)


def rows_as_json(found: pl.DataFrame) -> str:
    """The rows as a JSON array. Integers that may pass 2⁵³ are strings."""
    import msgspec

    from projections.analytics.metrics import json_rows

    return msgspec.json.encode(json_rows(found)).decode()
