"""`crossbook db`: the versions of the history's tables, for whoever looks after the database.

Guarantees: sinks bring the tables up to date by themselves; these commands do the same ahead of
them, or only look. A database of a newer release is left alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, help="The versions of the history's tables in PostgreSQL.", name="db"
)
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder of the exchange. Default: CROSSBOOK_DATA_DIR or ./data."
    ),
]


@app.command()
def current(data_dir: DataDir = None) -> None:
    """Show the version of the tables, and what each version brought.

    Exit code 1 where they are not of the newest.
    """
    import psycopg

    from cli.main import EXIT_FAILED, load_settings, told_in_a_line
    from cli.rebuild import dsn_of
    from projections.postgres.schema import newest, version_of, versions

    with told_in_a_line():
        with psycopg.connect(dsn_of(load_settings(data_dir)), autocommit=True) as connection:
            found = version_of(connection)
        for version in versions():
            mark = "*" if version.number == found else " "
            print(f"{mark} {version.number}  {version.title}")
        if found is None:
            print("there are no tables yet")
        elif found > newest():
            print(f"* {found}  of a newer release")
    if found != newest():
        raise typer.Exit(EXIT_FAILED)


@app.command()
def upgrade(
    data_dir: DataDir = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print what would be run, and run nothing.")
    ] = False,
) -> None:
    """Bring the tables to the newest version, and let `crossbook_reader` read them.

    In one transaction: readers and sinks wait for it. Rows stay. Run it ahead of a new release
    where the sinks' user may not change tables.
    """
    import psycopg

    from cli.main import load_settings, told_in_a_line
    from cli.rebuild import dsn_of
    from projections.postgres.migrating import whole_script
    from projections.postgres.schema import HISTORY, grant_reader, migrate, version_of

    with told_in_a_line():
        with psycopg.connect(dsn_of(load_settings(data_dir)), autocommit=True) as connection:
            if sql:
                print(whole_script(connection, HISTORY), end="")
                return
            before = version_of(connection)
            after = migrate(connection)
            may_read = grant_reader(connection)
        print(f"history: version {before or 'none'} -> {after}")
        if not may_read:
            print("no role crossbook_reader: this user may not create roles")
