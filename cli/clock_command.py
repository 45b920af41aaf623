"""`crossbook clock resume`: what an admin says to clocks that saw their wall time jump.

Guarantees: it is an event of the directory, which is its own audit trail; every clock of the
exchange hears it, in either mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.settings import Settings

BY = "crossbook clock resume"

app = typer.Typer(no_args_is_help=True, help="The clocks that tell the shards the time.")


@app.callback()
def clocks() -> None:
    """The clocks that tell the shards the time."""


@app.command()
def resume(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Default: CROSSBOOK_DATA_DIR or ./data.")
    ] = None,
) -> None:
    """Have clocks tick again that saw their wall time jump, once you know that it is right.

    First look at the time of the machine that complains: trading time never goes back.
    """
    from cli.main import load_settings, told_in_a_line
    from commands.directory.application import Directory, DirectoryApplication

    settings = load_settings(data_dir)
    with told_in_a_line():
        application = DirectoryApplication(_environment_of(settings))
        try:
            Directory(application, settings.shards).resume_clocks(by=BY)
        finally:
            application.close()
    print("clocks that refused to tick will do so again, within two seconds")


def _environment_of(settings: Settings) -> dict[str, str]:
    """Where the directory is: the settings' PostgreSQL in the distributed mode, that of a cluster
    that runs in this data folder, or the embedded mode's file. Raises Failure.
    """
    from cli.cluster import ClusterFolder
    from cli.main import Failure
    from commands.directory.application import sqlite_environment
    from commands.directory.postgres import postgres_environment

    if settings.distributed:
        if settings.postgres_dsn is None:
            raise Failure("CROSSBOOK_POSTGRES_DSN is not set: it holds the directory")
        return postgres_environment(settings.postgres_dsn)
    folder = ClusterFolder(settings.data_dir)
    cluster = folder.read_cluster() if folder.is_locked() else None
    if cluster is not None:
        return postgres_environment(cluster.postgres)
    path = settings.logs / "directory.sqlite"
    if not path.exists():
        raise Failure(f"there is no {path}: no exchange has run on {settings.data_dir}")
    return sqlite_environment(path)
