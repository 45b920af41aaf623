"""The tables' versions: whoever begins, whatever was there, however many begin at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory

from domain.batch import SinkError
from projections.postgres import PostgresSink
from projections.postgres.migrating import configuration, script_of, upgrade
from projections.postgres.schema import (
    HISTORY,
    READER_ROLE,
    Connection,
    grant_reader,
    migrate,
    newest,
    version_of,
    versions,
)
from tests.integration.projections.flow import DAY_BEGAN_NS, Flow
from tests.integration.projections.history_oracle import HistoryOracle
from tests.integration.projections.test_postgres_sink import follow, table

GOLDEN = Path(__file__).parents[2] / "golden" / "history_0001.sql"
KEPT = ("order_id", "trading_day", "account", "status", "executed_value", "updated_position")


def connected(dsn: str) -> Connection:
    return psycopg.connect(dsn, autocommit=True)


def test_the_newest_version_is_known_without_alembic() -> None:
    import io

    heads = ScriptDirectory.from_config(configuration(io.StringIO())).get_heads()
    assert heads == [newest()]
    assert [each.number for each in versions()] == ["0001", "0002"]
    code = (
        "import sys; import projections.postgres; import cli.roles; "
        "assert 'alembic' not in sys.modules and 'sqlalchemy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_current_schema_is_left_alone(postgres_dsn: str) -> None:
    with connected(postgres_dsn) as connection:
        assert version_of(connection) is None
        assert migrate(connection) == newest() == version_of(connection)
        before = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        assert migrate(connection) == newest()
        assert connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone() == before


def test_many_that_begin_at_once(postgres_dsn: str) -> None:
    failures: list[BaseException] = []
    gate = threading.Barrier(6)

    def begin(shard: int) -> None:
        sink = PostgresSink(postgres_dsn)
        try:
            gate.wait(timeout=60)
            assert sink.position(shard).position == 0
        except BaseException as error:  # noqa: BLE001 (told below)
            failures.append(error)
        finally:
            sink.close()

    threads = [threading.Thread(target=begin, args=(shard,)) for shard in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert failures == []
    with connected(postgres_dsn) as connection:
        assert version_of(connection) == newest()


def as_the_first_release_left_it(dsn: str, flow: Flow) -> None:
    """A database of version 1, made by its own SQL, with the flow's rows."""
    oracle = HistoryOracle.of(flow.batches)
    with connected(dsn) as connection:
        connection.execute("CREATE SCHEMA history; SET search_path TO history")
        connection.execute("CREATE TABLE schema_version (version integer NOT NULL)")
        connection.execute(GOLDEN.read_bytes())
        connection.execute("INSERT INTO schema_version VALUES (1)")
        later = {"trading_day", "book_sequence", "updated_trading_time_ns"}
        for name, rows in (
            ("orders", [*oracle.orders.values()]),
            ("executions", oracle.executions),
            ("trades", oracle.trades),
            ("instruments", [*oracle.instruments.values()]),
        ):
            names = [column for column in rows[0] if column not in later]
            places = ", ".join(f"%({column})s" for column in names)
            query = f"INSERT INTO {name} ({', '.join(names)}) VALUES ({places})"
            connection.cursor().executemany(query.encode(), rows)
        at = flow.at
        connection.execute(
            "INSERT INTO sink_positions VALUES ('postgres', 0, %s, %s)", [at.position, at.chain]
        )


def test_a_database_of_the_first_release_keeps_its_rows(postgres_dsn: str) -> None:
    flow = Flow(seed=6)
    flow.go(4, 150)
    from domain.commands import ClockTick

    flow.run([ClockTick(DAY_BEGAN_NS + 30 * 3600 * 10**9)])
    flow.go(4, 150)
    as_the_first_release_left_it(postgres_dsn, flow)
    sink = PostgresSink(postgres_dsn)
    assert sink.position(0) == flow.at
    oracle = HistoryOracle.of(flow.batches)
    kept = [{name: row[name] for name in KEPT} for row in table(postgres_dsn, "orders", "order_id")]
    assert kept == [
        {name: row[name] for name in KEPT}
        for row in sorted(oracle.orders.values(), key=lambda row: row["order_id"])
    ]
    assert len(table(postgres_dsn, "executions", "order_id")) == len(oracle.executions)
    assert table(postgres_dsn, "daily_summaries", "trading_day, instrument") == sorted(
        oracle.summaries.values(), key=lambda row: (row["trading_day"], row["instrument"])
    )
    assert table(postgres_dsn, "trading_days", "first_position") == [*oracle.days.values()]
    flow.go(3, 150)
    follow(sink, flow.batches)
    assert sink.position(0) == flow.at
    changed = HistoryOracle.of(flow.batches)
    statuses = [(row["order_id"], row["status"]) for row in table(postgres_dsn, "orders", "1")]
    assert sorted(statuses) == sorted((key, row["status"]) for key, row in changed.orders.items())
    sink.close()
    names = [row["table_name"] for row in tables_of(postgres_dsn)]
    assert not [name for name in names if "before" in name or name == "schema_version"]


def tables_of(dsn: str) -> list[dict[str, str]]:
    with connected(dsn) as connection:
        rows = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'history'"
        ).fetchall()
        return [{"table_name": row[0]} for row in rows]


def test_a_migration_that_fails_changes_nothing(postgres_dsn: str) -> None:
    with connected(postgres_dsn) as connection:
        connection.execute("CREATE SCHEMA history; CREATE TABLE history.trades (mine integer)")
        with pytest.raises(psycopg.errors.DuplicateTable):
            migrate(connection)
        assert version_of(connection) is None
        assert [row["table_name"] for row in tables_of(postgres_dsn)] == ["trades"]


def test_a_newer_release_is_refused(postgres_dsn: str) -> None:
    with connected(postgres_dsn) as connection:
        migrate(connection)
        connection.execute("UPDATE history.alembic_version SET version_num = '9999'")
        with pytest.raises(SinkError, match="9999"):
            migrate(connection)


def test_versions_may_be_applied_one_by_one(postgres_dsn: str) -> None:
    assert "CREATE TABLE trades" in script_of(None, "0001")
    with connected(postgres_dsn) as connection:
        connection.execute("CREATE SCHEMA history")
        for version in versions():
            with connection.transaction():
                upgrade(connection, HISTORY, version.number)
            assert version_of(connection) == version.number


def test_the_reader_reads_and_no_more(postgres_dsn: str) -> None:
    flow = Flow(seed=1)
    flow.go(2, 60)
    sink = PostgresSink(postgres_dsn)
    sink.apply(0, flow.batches)
    sink.close()
    with connected(postgres_dsn) as connection:
        connection.execute("CREATE SCHEMA other; CREATE TABLE other.secrets (secret text)")
        connection.execute(f"SET ROLE {READER_ROLE}; SET search_path TO history")
        for name in ("orders", "order_events", "daily_summaries", "trades", "level_changes"):
            row = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
            assert row is not None and row[0] > 0, name
        for forbidden in (
            "DELETE FROM orders",
            "UPDATE sink_positions SET position = 0",
            "CREATE TABLE mine (a integer)",
            "SELECT make_trading_day('2026-01-01')",
            "SELECT * FROM other.secrets",
            "CREATE ROLE friend",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)
        connection.execute("RESET ROLE")
        row = connection.execute(
            "SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname = %s", [READER_ROLE]
        ).fetchone()
        assert row == (False, False)


def test_an_owner_who_may_make_no_role_goes_on_without(
    postgres_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(postgres_dsn) as connection:
        database = connection.info.dbname
        connection.execute("CREATE ROLE plain_owner")
        try:
            connection.execute(f'GRANT CREATE ON DATABASE "{database}" TO plain_owner')
            connection.execute("SET ROLE plain_owner")
            renamed = "projections.postgres.schema.READER_ROLE"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(renamed, "a_role_nobody_made")
                assert migrate(connection) == newest()
                assert not grant_reader(connection)
            assert "a_role_nobody_made" in caplog.text
        finally:
            connection.execute("RESET ROLE")
            connection.execute("DROP OWNED BY plain_owner; DROP ROLE plain_owner")
