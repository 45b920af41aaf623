"""`crossbook db` as it is typed, against a real PostgreSQL: what it shows, makes, and refuses."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from projections.postgres.schema import migrate, newest, version_of, versions

NEWER = "9999"
GOLDEN = Path(__file__).parents[2] / "golden" / "history_0001.sql"


def crossbook(dsn: str, *arguments: str) -> Result:
    """The command with this database in the settings."""
    return CliRunner().invoke(app, ["db", *arguments], env={"CROSSBOOK_POSTGRES_DSN": dsn})


def version_in(dsn: str) -> str | None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return version_of(connection)


def test_tables_are_made_once_and_shown(postgres_dsn: str) -> None:
    before = crossbook(postgres_dsn, "current")
    assert before.exit_code == 1, "not of the newest version"
    assert before.stdout.endswith("there are no tables yet\n") and "*" not in before.stdout

    made = crossbook(postgres_dsn, "upgrade")
    assert (made.exit_code, made.stdout) == (0, f"history: version none -> {newest()}\n")
    assert version_in(postgres_dsn) == newest()
    again = crossbook(postgres_dsn, "upgrade")
    assert (again.exit_code, again.stdout) == (0, f"history: version {newest()} -> {newest()}\n")

    after = crossbook(postgres_dsn, "current")
    assert after.exit_code == 0
    titles = [f"{each.number}  {each.title}" for each in versions()]
    marks = [*["  "] * (len(titles) - 1), "* "]
    shown = [mark + title for mark, title in zip(marks, titles, strict=True)]
    assert after.stdout.splitlines() == shown


def test_what_is_printed_makes_the_same_tables(postgres_dsn: str) -> None:
    """By whoever runs it, on a connection as it comes."""
    printed = crossbook(postgres_dsn, "upgrade", "--sql")
    assert printed.exit_code == 0 and version_in(postgres_dsn) is None, "nothing was run"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(printed.stdout.encode())
        connection.execute("SET ROLE crossbook_reader")
        assert connection.execute("SELECT count(*) FROM history.orders").fetchone() == (0,)
    assert version_in(postgres_dsn) == newest()
    assert crossbook(postgres_dsn, "current").exit_code == 0
    nothing = crossbook(postgres_dsn, "upgrade", "--sql")
    assert (nothing.exit_code, nothing.stdout[:3]) == (0, "-- ")


def test_tables_of_the_first_release_are_taken_over_by_what_is_printed(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA history; SET search_path TO history")
        connection.execute("CREATE TABLE schema_version (version integer NOT NULL)")
        connection.execute(GOLDEN.read_bytes())
        connection.execute("INSERT INTO schema_version VALUES (1)")
    assert crossbook(postgres_dsn, "current").stdout.startswith("* 0001 ")
    printed = crossbook(postgres_dsn, "upgrade", "--sql")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(printed.stdout.encode())
    assert version_in(postgres_dsn) == newest()


@pytest.mark.parametrize("arguments", [["upgrade"], ["upgrade", "--sql"], ["current"]])
def test_tables_of_a_newer_release_are_left_alone(postgres_dsn: str, arguments: list[str]) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        migrate(connection)
        connection.execute("UPDATE history.alembic_version SET version_num = %s", [NEWER])
    found = crossbook(postgres_dsn, *arguments)
    assert found.exit_code == 1
    said = found.stdout if arguments == ["current"] else found.stderr
    assert NEWER in said and len(found.stderr.splitlines()) <= 1
    assert version_in(postgres_dsn) == NEWER


@pytest.mark.parametrize("command", ["current", "upgrade"])
@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("postgresql://127.0.0.1:1/none?connect_timeout=5", "127.0.0.1"),
        ("postgresql://%", "percent"),
        ("this is no dsn", "missing"),
    ],
)
def test_a_database_that_is_not_there_is_told_in_a_line(command: str, dsn: str, says: str) -> None:
    found = crossbook(dsn, command)
    assert found.exit_code == 1 and found.stdout == ""
    [line] = found.stderr.splitlines()
    assert line.startswith("crossbook: ") and says in line


def test_who_may_not_make_tables_is_told_in_a_line(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE looker LOGIN")
    try:
        as_looker = psycopg.conninfo.make_conninfo(postgres_dsn, options="-c role=looker")
        found = crossbook(as_looker, "upgrade")
        assert found.exit_code == 1
        [line] = found.stderr.splitlines()
        assert line.startswith("crossbook: ") and "permission denied" in line
        assert version_in(postgres_dsn) is None
    finally:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute("DROP ROLE looker")


def test_what_is_no_command_is_refused_with_how_to_use_it(postgres_dsn: str) -> None:
    for arguments in (["downgrade"], ["upgrade", "--to", "0001"], ["current", "extra"]):
        found = crossbook(postgres_dsn, *arguments)
        assert found.exit_code == 2 and "Usage:" in found.stderr
    assert version_in(postgres_dsn) is None
