"""`crossbook reset`: deletes what an exchange keeps, and nothing else.

Guarantees: only names that an exchange makes are deleted, so a data folder set to a wrong place
loses nothing of its own; a running exchange is left alone; leftover servers are stopped first.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from cli.feed_check import end_sessions
from cli.run_state import AlreadyRunningError, RunFolder
from cli.servers import EmbeddedPostgres, EmbeddedRedis
from cli.settings import Settings

FOLDERS: Final = ("log", "logs", "run", "postgres", "redis", "snapshots", "feed")
FILES: Final = ("credentials.json", "postgres.log", "redis.log")
PATTERNS: Final = (
    "postgres.old-*",
    "redis.old-*",
    "postgres.log.*",
    "redis.log.*",
    ".postgres.*",
    ".redis.*",
)
LOG_PATTERNS: Final = ("commands-*.sqlite*", "events-*.sqlite*", "directory.sqlite*")
FEED_PATTERNS: Final = ("shard-*.sqlite*", "shard-*.damaged")


def what_would_go(settings: Settings) -> list[Path]:
    """The files and folders that a reset deletes, those that exist.

    Raises AlreadyRunningError while an exchange runs there.
    """
    folder = RunFolder(settings.data_dir)
    if folder.is_locked():
        raise AlreadyRunningError(f"an exchange runs on {folder.data_dir}: stop it first (Ctrl-C)")
    return _entries(settings, folder)


def _entries(settings: Settings, folder: RunFolder) -> list[Path]:
    data = folder.data_dir
    if not data.is_dir():
        return []
    found = [data / name for name in FOLDERS if (data / name).is_dir()]
    found += [data / name for name in FILES if (data / name).is_file()]
    for pattern in PATTERNS:
        found += sorted(data.glob(pattern))
    if settings.log_dir is not None and settings.log_dir.is_dir():
        for pattern in LOG_PATTERNS:
            found += sorted(settings.log_dir.glob(pattern))
    if settings.feed_dir is not None and settings.feed_dir.is_dir():
        for pattern in FEED_PATTERNS:
            found += sorted(settings.feed_dir.glob(pattern))
    return found


def delete(settings: Settings) -> None:
    """Stop leftover servers and delete it all. Raises AlreadyRunningError, ServerError, OSError."""
    folder = RunFolder(settings.data_dir)
    folder.run_dir.mkdir(parents=True, exist_ok=True)
    with folder.lock():
        postgres = _stop_servers(settings, folder)
        end_sessions(settings)
        for entry in [*_entries(settings, folder), postgres]:
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)


def _stop_servers(settings: Settings, folder: RunFolder) -> Path:
    """Stop our servers of this folder; where PostgreSQL's data really is."""
    if settings.redis_url is None and (folder.data_dir / "redis").exists():
        EmbeddedRedis(folder.data_dir / "redis", settings.run_dir).stop()
    postgres = folder.data_dir / "postgres"
    if settings.postgres_dsn is None:
        server = EmbeddedPostgres(postgres, settings.run_dir)
        server.stop()
        postgres = server.data_dir
    return postgres
