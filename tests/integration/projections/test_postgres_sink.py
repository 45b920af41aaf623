"""Event batches become rows in PostgreSQL, each exactly once, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from cli.servers import EmbeddedPostgres
from domain.batch import START, ConflictError, EventBatch, ForkError, Position, SinkError
from domain.commands import ClockTick
from domain.wire import seal_events
from projections.postgres import PostgresSink
from projections.postgres.schema import migrate
from tests.integration.projections.flow import DAY_BEGAN_NS, Flow
from tests.integration.projections.history_oracle import HistoryOracle
from tests.integration.projections.killer import Killer

Rows = list[dict[str, Any]]


@pytest.fixture
def sink(postgres_dsn: str) -> Iterator[PostgresSink]:
    sink = PostgresSink(postgres_dsn)
    yield sink
    sink.close()


def table(dsn: str, name: str, order: str) -> Rows:
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute(f"SELECT * FROM history.{name} ORDER BY {order}").fetchall()


def assert_history(dsn: str, batches: list[EventBatch]) -> None:
    """Every table says what the events say."""
    oracle = HistoryOracle.of(batches)
    assert table(dsn, "orders", "order_id") == sorted(
        oracle.orders.values(), key=lambda row: row["order_id"]
    )
    assert table(dsn, "executions", "shard, match_number, liquidity") == sorted(
        oracle.executions, key=lambda row: (row["shard"], row["match_number"], row["liquidity"])
    )
    assert table(dsn, "trades", "shard, match_number") == sorted(
        oracle.trades, key=lambda row: (row["shard"], row["match_number"])
    )
    assert table(dsn, "instruments", "instrument") == sorted(
        oracle.instruments.values(), key=lambda row: row["instrument"]
    )
    assert_days(dsn, oracle)


def assert_days(dsn: str, oracle: HistoryOracle) -> None:
    """Summaries, level changes, days, and the life of each order, in order."""
    assert table(dsn, "daily_summaries", "trading_day, instrument") == sorted(
        oracle.summaries.values(), key=lambda row: (row["trading_day"], row["instrument"])
    )
    assert table(dsn, "level_changes", "position, instrument") == sorted(
        oracle.levels.values(), key=lambda row: (row["position"], row["instrument"])
    )
    assert table(dsn, "trading_days", "shard, first_position") == list(oracle.days.values())
    told = table(dsn, "order_events", "order_id, position, place, book_sequence, command_index")
    assert set(told[0] if told else ()) >= set(oracle.order_events[0] if told else ())
    kept = [{name: row[name] for name in oracle.order_events[0]} for row in told]
    expected = sorted(oracle.order_events, key=lambda row: row["order_id"])
    # Of one batch, refused commands come last: they have no place in the book's sequence.
    refused = ("cancel_refused", "replace_refused")
    expected.sort(key=lambda row: (row["order_id"], row["position"], row["event"] in refused))
    assert kept == expected


def follow(sink: PostgresSink, batches: list[EventBatch], group: int = 3) -> None:
    """What a follower does: go on from the sink's position, and after a conflict look again."""
    shard = batches[0].header.shard
    at = sink.position(shard)
    while at.position < batches[-1].position:
        try:
            at = sink.apply(shard, batches[at.position : at.position + group])
        except ConflictError:
            at = sink.position(shard)


def another_history(batches: list[EventBatch]) -> list[EventBatch]:
    """The same batches behind another beginning: only the running hash differs."""
    chain, sealed = b"\x01" * 32, []
    for batch in batches:
        records, chain = seal_events(batch.record, chain, 1 << 20)
        sealed.append(EventBatch.of_parts(records))
    return sealed


@pytest.mark.parametrize("group", [1, 7, 1000])
def test_rows_are_those_of_the_events_however_grouped(
    sink: PostgresSink, postgres_dsn: str, group: int
) -> None:
    flow = Flow(seed=3)
    flow.go_wild(40)
    flow.open_all()
    flow.go(3, 200)
    oracle = HistoryOracle.of(flow.batches)
    statuses = {row["status"] for row in oracle.orders.values()}
    assert statuses == set(range(6)), "the flow should reach every status"
    follow(sink, flow.batches, group)
    assert_history(postgres_dsn, flow.batches)
    assert sink.position(0) == flow.at


@pytest.mark.parametrize("group", [1, 4, 1000])
def test_an_order_stays_in_the_partition_of_its_birth(
    sink: PostgresSink, postgres_dsn: str, group: int
) -> None:
    flow = Flow(seed=8)
    for days in range(1, 5):
        flow.go(4, 120)
        flow.run([ClockTick(DAY_BEGAN_NS + days * 36 * 3600 * 10**9)])
    flow.go(3, 120)
    follow(sink, flow.batches, group)
    oracle = HistoryOracle.of(flow.batches)
    assert len(oracle.days) == 5
    late = [
        row
        for row in oracle.orders.values()
        if row["updated_trading_time_ns"] - row["trading_time_ns"] > 36 * 3600 * 10**9
    ]
    assert late, "orders that change days after their birth"
    assert_history(postgres_dsn, flow.batches)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("SET search_path = history")
        for row in oracle.orders.values():
            found = connection.execute("SELECT day_of_order(%s)", [row["order_id"]]).fetchone()
            assert found == (row["trading_day"],)


def test_an_empty_store_is_at_the_start(sink: PostgresSink) -> None:
    assert sink.position(0) == START
    assert sink.apply(0, []) == START


def test_a_batch_applied_twice_changes_nothing(sink: PostgresSink, postgres_dsn: str) -> None:
    flow = Flow()
    flow.go(3, 50)
    sink.apply(0, flow.batches)
    with pytest.raises(ConflictError):
        sink.apply(0, flow.batches)
    with pytest.raises(ConflictError):
        PostgresSink(postgres_dsn).apply(0, flow.batches[1:])
    assert_history(postgres_dsn, flow.batches)
    assert sink.position(0) == flow.at


def test_a_gap_is_refused(sink: PostgresSink) -> None:
    flow = Flow()
    flow.go(3, 20)
    sink.apply(0, flow.batches[:1])
    with pytest.raises(ConflictError):
        sink.apply(0, flow.batches[2:])
    assert sink.apply(0, flow.batches[1:]) == flow.at


def test_another_history_is_a_fork(sink: PostgresSink, postgres_dsn: str) -> None:
    flow = Flow()
    flow.go(3, 20)
    other = another_history(flow.batches)
    sink.apply(0, flow.batches[:2])
    with pytest.raises(ForkError):
        sink.apply(0, other[2:])
    with pytest.raises(ForkError):
        PostgresSink(postgres_dsn).apply(0, other[2:])
    with pytest.raises(ForkError):
        PostgresSink(postgres_dsn).apply(0, other[1:])
    sink.apply(0, flow.batches[2:])
    assert_history(postgres_dsn, flow.batches)


def test_batches_without_events_move_the_position(sink: PostgresSink) -> None:
    flow = Flow()
    image = flow.exchange.apply(2, b"no batch at all")
    records, _ = seal_events(image, flow.at.chain, 1 << 20)
    flow.batches.append(EventBatch.of_parts(records))
    assert sink.apply(0, flow.batches) == Position(2, flow.at.chain)
    assert sink.position(0).position == 2


def test_two_instances_race_and_every_batch_counts_once(postgres_dsn: str) -> None:
    flow = Flow(seed=9)
    flow.go(60, 40)
    failures: list[Exception] = []

    def run(group: int) -> None:
        sink = PostgresSink(postgres_dsn)
        try:
            follow(sink, flow.batches, group)
        except Exception as error:  # noqa: BLE001 (told below)
            failures.append(error)
        finally:
            sink.close()

    threads = [threading.Thread(target=run, args=(group,)) for group in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    assert_history(postgres_dsn, flow.batches)


def test_shards_share_the_tables(postgres_dsn: str) -> None:
    flows = [Flow(shard, seed=shard) for shard in (0, 2)]
    sink = PostgresSink(postgres_dsn)
    for flow in flows:
        for batch in flow.go(5, 40):
            assert batch.header.shard == flow.shard
    oracle = HistoryOracle.of([*flows[0].batches])
    follow(sink, flows[0].batches)
    assert len(table(postgres_dsn, "orders", "order_id")) == len(oracle.orders)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        # The same instrument numbers would never be listed in two shards.
        connection.execute("DELETE FROM history.instruments")
        connection.execute("ALTER TABLE history.trades DROP CONSTRAINT trades_pkey")
        connection.execute("ALTER TABLE history.level_changes DROP CONSTRAINT level_changes_pkey")
    follow(sink, flows[1].batches)
    assert sink.position(0) == flows[0].at
    assert sink.position(2) == flows[1].at
    sink.close()


def test_a_killed_server_loses_and_repeats_nothing(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", tmp_path / "run")
    server.start()
    flow = Flow(seed=5)
    flow.go(250, 40)
    sink = PostgresSink(server.dsn)
    interrupted = 0
    at = sink.position(0)
    try:
        with Killer(server, kills=3, wait_s=(0.01, 0.06), seed=11) as killer:
            while at.position < flow.at.position:
                try:
                    at = sink.apply(0, flow.batches[at.position : at.position + 1])
                except (psycopg.OperationalError, ConflictError):
                    interrupted += 1
                    at, more = position_when_back(sink, killer)
                    interrupted += more
        assert_history(server.dsn, flow.batches)
        assert interrupted >= 2
    finally:
        sink.close()
        server.stop()


def position_when_back(sink: PostgresSink, killer: Killer) -> tuple[Position, int]:
    """The sink's position as soon as its server answers again, and how often it was killed before
    it did."""
    killed_again = 0
    while True:
        killer.wait_until_up()
        try:
            return sink.position(0), killed_again
        except psycopg.OperationalError:
            killed_again += 1


def test_tables_dropped_under_a_sink_begin_anew(sink: PostgresSink, postgres_dsn: str) -> None:
    flow = Flow()
    flow.go(4, 30)
    sink.apply(0, flow.batches[:2])
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA history CASCADE")
    with pytest.raises(ConflictError):
        sink.apply(0, flow.batches[2:])
    assert sink.position(0) == START
    follow(sink, flow.batches)
    assert_history(postgres_dsn, flow.batches)


def test_a_missing_order_stops_the_sink(sink: PostgresSink, postgres_dsn: str) -> None:
    flow = Flow()
    flow.go(10, 50)
    sink.apply(0, flow.batches[:5])
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM history.orders")
    with pytest.raises(SinkError, match="rebuild"):
        sink.apply(0, flow.batches[5:])
    assert sink.position(0).position == 5


def test_a_schema_of_a_newer_release_is_refused(sink: PostgresSink, postgres_dsn: str) -> None:
    sink.position(0)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("UPDATE history.alembic_version SET version_num = '9999'")
        with pytest.raises(SinkError, match="9999"):
            migrate(connection, "history")
    with pytest.raises(SinkError, match="9999"):
        PostgresSink(postgres_dsn).position(0)
