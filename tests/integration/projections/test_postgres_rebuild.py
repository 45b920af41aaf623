"""The history built anew beside the one that is served, while a sink and readers go on."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from domain.batch import START, ConflictError, EventBatch, SinkError
from projections.postgres import PostgresRebuild, PostgresSink
from tests.integration.projections.flow import Flow
from tests.integration.projections.test_postgres_sink import assert_history, follow, table


class GrowingLog:
    """The flow's batches, as many of them as are written by now."""

    def __init__(self, flow: Flow, written: int) -> None:
        self.batches = flow.batches
        self.written = written

    def after(self, position: int, limit: int) -> list[EventBatch]:
        return self.batches[position : min(position + limit, self.written)]


class Reader(threading.Thread):
    """Looks at the served position and the number of orders, again and again."""

    def __init__(self, dsn: str, done: threading.Event) -> None:
        super().__init__()
        self.dsn = dsn
        self.done = done
        self.seen: list[tuple[int, int]] = []
        self.failures: list[Exception] = []

    def run(self) -> None:
        query = (
            "SELECT coalesce(max(position), 0), (SELECT count(*) FROM history.orders)"
            " FROM history.sink_positions"
        )
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while not self.done.is_set():
                try:
                    row = connection.execute(query).fetchone()
                except psycopg.Error as error:
                    self.failures.append(error)
                    return
                assert row is not None
                self.seen.append((row[0], row[1]))


class Live(threading.Thread):
    """A running sink: follows the log, letting it grow, and looks again after a conflict."""

    def __init__(self, dsn: str, log: GrowingLog) -> None:
        super().__init__()
        self.sink = PostgresSink(dsn)
        self.log = log
        self.conflicts = 0
        self.failures: list[Exception] = []

    def run(self) -> None:
        try:
            at = self.sink.position(0).position
            while at < len(self.log.batches):
                self.log.written = min(self.log.written + 1, len(self.log.batches))
                try:
                    at = self.sink.apply(0, self.log.after(at, 2)).position
                except ConflictError:
                    self.conflicts += 1
                    at = self.sink.position(0).position
        except Exception as error:  # noqa: BLE001 (told by the test)
            self.failures.append(error)
        finally:
            self.sink.close()


def rebuild_beside(dsn: str, log: GrowingLog) -> None:
    with PostgresRebuild(dsn) as rebuild:
        deadline = time.monotonic() + 60
        while True:
            at = rebuild.position(0).position
            batches = log.after(at, 20)
            if batches:
                rebuild.apply(0, batches)
            elif rebuild.finish():
                return
            assert time.monotonic() < deadline


def test_a_rebuild_beside_a_running_sink_and_readers(postgres_dsn: str) -> None:
    flow = Flow(seed=21)
    flow.go(300, 30)
    log = GrowingLog(flow, 100)
    first = PostgresSink(postgres_dsn)
    follow(first, flow.batches[:100])
    first.close()
    done = threading.Event()
    reader, live = Reader(postgres_dsn, done), Live(postgres_dsn, log)
    reader.start()
    live.start()
    rebuild_beside(postgres_dsn, log)
    rebuild_beside(postgres_dsn, log)
    live.join(timeout=60)
    done.set()
    reader.join(timeout=60)
    assert live.failures == []
    assert reader.failures == []
    assert_history(postgres_dsn, flow.batches)
    assert len(reader.seen) > 10
    assert reader.seen == sorted(reader.seen), "what is served never goes back"
    assert schemas(postgres_dsn) == {"history"}


def schemas(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'history%'")
        return {row[0] for row in rows}


def test_the_running_sink_follows_after_a_quiet_change(postgres_dsn: str) -> None:
    flow = Flow(seed=2)
    flow.go(12, 40)
    sink = PostgresSink(postgres_dsn)
    for batch in flow.batches[:8]:  # often enough for prepared statements
        sink.apply(0, [batch])
    with PostgresRebuild(postgres_dsn) as rebuild:
        rebuild.apply(0, flow.batches[:10])
        assert rebuild.finish()
    with pytest.raises(ConflictError):
        sink.apply(0, flow.batches[8:9])
    assert sink.position(0).position == 10
    follow(sink, flow.batches)
    sink.close()
    assert_history(postgres_dsn, flow.batches)


def test_a_rebuild_that_is_behind_waits(postgres_dsn: str) -> None:
    flow = Flow(seed=2)
    flow.go(4, 40)
    sink = PostgresSink(postgres_dsn)
    sink.apply(0, flow.batches)
    with PostgresRebuild(postgres_dsn) as rebuild:
        assert rebuild.position(0) == START
        assert not rebuild.finish(), "nothing built yet"
        rebuild.apply(0, flow.batches[:3])
        assert not rebuild.finish()
        rebuild.apply(0, flow.batches[3:])
        assert rebuild.finish()
    assert_history(postgres_dsn, flow.batches)
    sink.close()


def test_a_forked_history_is_replaced_where_asked(postgres_dsn: str) -> None:
    flow, other = Flow(seed=2), Flow(seed=3, instruments=1)
    flow.go(4, 40)
    sink = PostgresSink(postgres_dsn)
    sink.apply(0, flow.batches)
    with PostgresRebuild(postgres_dsn) as rebuild:
        rebuild.apply(0, other.batches)
        assert not rebuild.finish()
        assert rebuild.finish(even_if_behind=True)
    assert sink.position(0) == other.at
    other.go(2, 30)
    follow(sink, other.batches)
    assert_history(postgres_dsn, other.batches)
    sink.close()


def test_one_rebuild_at_a_time(postgres_dsn: str) -> None:
    with PostgresRebuild(postgres_dsn), pytest.raises(SinkError, match="under way"):
        PostgresRebuild(postgres_dsn).begin()
    with PostgresRebuild(postgres_dsn):
        assert "history_next" in schemas(postgres_dsn)
    assert "history_next" not in schemas(postgres_dsn)


def test_an_abandoned_rebuild_leaves_what_is_served(postgres_dsn: str) -> None:
    flow = Flow(seed=2)
    flow.go(4, 40)
    sink = PostgresSink(postgres_dsn)
    sink.apply(0, flow.batches)
    with PostgresRebuild(postgres_dsn) as rebuild:
        rebuild.apply(0, flow.batches[:2])
    assert_history(postgres_dsn, flow.batches)
    assert len(table(postgres_dsn, "sink_positions", "shard")) == 1
    sink.close()
