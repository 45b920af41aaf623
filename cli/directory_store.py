"""Where a command that reads or changes the directory itself finds it, in either mode."""

from __future__ import annotations

from cli.cluster import ClusterFolder
from cli.settings import Settings
from commands.directory.application import sqlite_environment
from commands.directory.postgres import postgres_environment


def directory_environment(settings: Settings) -> dict[str, str]:
    """Where the directory is: the settings' PostgreSQL in the distributed mode, that of a cluster
    that runs in this data folder, or the embedded mode's file. Raises Failure.
    """
    from cli.main import Failure

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
