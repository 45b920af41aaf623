"""Every metric from PostgreSQL and from the archive, against a plain loop over the same events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from domain.commands import ClockTick
from projections.analytics import metrics
from projections.analytics.from_archive import ArchiveSource
from projections.analytics.from_postgres import HistorySource, TooMuchError
from projections.analytics.metrics import METRICS, Question, Source, analyse
from projections.archive import Archive
from projections.postgres import PostgresSink
from tests.integration.analytics.plain import Plain
from tests.integration.projections.flow import DAY_BEGAN_NS, Flow

MS = 1_000_000
EVERY_NS = 7 * MS
AFTER_NS = 5 * MS
SYMBOL = "SYM2"


def long_flow(seed: int) -> Flow:
    """Sixty milliseconds of flow over two trading days."""
    flow = Flow(seed=seed)
    flow.go(30, 30)
    flow.run([ClockTick(DAY_BEGAN_NS + 30 * 3600 * 10**9)])
    flow.go(30, 30)
    return flow


@pytest.fixture(params=["postgres", "archive"])
def source(request: pytest.FixtureRequest, flow: Flow, tmp_path: Path) -> Iterator[Source]:
    if request.param == "archive":
        archive = Archive(tmp_path / "archive")
        for at in range(0, len(flow.batches), 13):
            archive.add(0, flow.batches[at : at + 13])
        yield ArchiveSource(Archive(tmp_path / "archive"))
        return
    dsn = request.getfixturevalue("postgres_dsn")
    sink = PostgresSink(dsn)
    for at in range(0, len(flow.batches), 13):
        sink.apply(0, flow.batches[at : at + 13])
    sink.close()
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield HistorySource(connection)


@pytest.fixture(params=[3, 4])
def flow(request: pytest.FixtureRequest) -> Flow:
    return long_flow(request.param)


def assert_rows(found: pl.DataFrame, expected: list[dict[str, Any]]) -> None:
    """Integers exactly, floats to 1e-9; null where there is nothing, and never NaN."""
    rows = found.to_dicts()
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        for name, value in wanted.items():
            if isinstance(value, float):
                assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-12), (name, wanted)
            else:
                assert row[name] == value, (name, row, wanted)
    for name, kind in found.schema.items():
        if kind.is_float():
            assert not found[name].is_nan().any() and not found[name].is_infinite().any()


def test_every_metric_agrees_with_a_plain_computation(
    source: Source, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "REALISED_AFTER_NS", AFTER_NS)
    draw = random.Random(len(flow.batches))
    spans = [(DAY_BEGAN_NS, DAY_BEGAN_NS + 70 * MS)]
    for _ in range(3):
        first, last = sorted(draw.sample(range(70), 2))
        spans.append((DAY_BEGAN_NS + first * MS, DAY_BEGAN_NS + last * MS))
    for from_ns, until_ns in spans:
        plain = Plain(flow.batches, 2, from_ns, until_ns)
        wanted = {
            "candles": plain.candles(EVERY_NS),
            "vwap": [
                {name: row[name] for name in ("begins_ns", "vwap_ticks", "volume", "value")}
                for row in plain.candles(EVERY_NS)
            ],
            "twap": plain.twap(EVERY_NS),
            "activity": plain.activity(EVERY_NS),
            "volatility": plain.volatility(EVERY_NS),
            "volume-profile": plain.volume_profile(100),
            "quoted-spread": plain.quoted_spread(EVERY_NS),
            "depth": plain.depth(EVERY_NS),
            "effective-spread": plain.effective_spread(EVERY_NS),
            "realised-spread": plain.realised_spread(EVERY_NS, AFTER_NS),
            "order-to-trade": plain.order_to_trade(EVERY_NS),
            "fill-rate": plain.fill_rate(EVERY_NS),
        }
        assert set(wanted) | {"movers"} == set(METRICS)
        for metric, rows in wanted.items():
            asked = Question(SYMBOL, from_ns, until_ns, EVERY_NS)
            try:
                assert_rows(analyse(metric, source, asked), rows)
            except AssertionError as error:
                raise AssertionError(f"{metric}: {error}") from error


def test_movers_rank_all_instruments(source: Source, flow: Flow) -> None:
    span = (DAY_BEGAN_NS, DAY_BEGAN_NS + 70 * MS)
    found = analyse("movers", source, Question(None, *span))
    expected = []
    for number in (1, 2, 3):
        prices = [trade.price_ticks for _, trade in Plain(flow.batches, number, *span).trades]
        change = (prices[-1] - prices[0]) / prices[0]
        expected.append({"symbol": f"SYM{number}", "change": change, "last_ticks": prices[-1]})
    expected.sort(key=lambda row: (-abs(row["change"]), row["symbol"]))
    assert_rows(found, expected)


def test_where_there_is_nothing_there_is_null(source: Source) -> None:
    long_ago = Question(SYMBOL, 10 * MS, 20 * MS, EVERY_NS)
    for metric in METRICS:
        found = analyse(metric, source, long_ago)
        if metric == "volatility":
            assert found.to_dicts() == [{"volatility": None, "return_count": 0}]
        else:
            assert found.height == 0, metric


def test_questions_that_make_no_sense(source: Source) -> None:
    with pytest.raises(ValueError, match="there are vwap"):
        analyse("profit", source, Question(SYMBOL, 0, 1))
    with pytest.raises(ValueError, match="empty"):
        analyse("vwap", source, Question(SYMBOL, 5, 5))
    with pytest.raises(ValueError, match="NOPE"):
        analyse("vwap", source, Question("NOPE", 0, 5))
    with pytest.raises(ValueError, match="one symbol"):
        analyse("vwap", source, Question(None, 0, 5))
    with pytest.raises(ValueError, match="intervals"):
        analyse("vwap", source, Question(SYMBOL, 0, DAY_BEGAN_NS, MS))


def test_a_range_that_holds_too_much_is_refused(postgres_dsn: str) -> None:
    flow = Flow(seed=2)
    flow.go(10, 60)
    sink = PostgresSink(postgres_dsn)
    sink.apply(0, flow.batches)
    sink.close()
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        source = HistorySource(connection, rows_max=5)
        for metric in ("vwap", "quoted-spread", "order-to-trade", "fill-rate"):
            with pytest.raises(TooMuchError):
                analyse(metric, source, Question(SYMBOL, DAY_BEGAN_NS, DAY_BEGAN_NS + 70 * MS))
