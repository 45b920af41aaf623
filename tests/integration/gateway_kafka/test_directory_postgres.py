"""The directory on PostgreSQL: several processes at once, a key revoked elsewhere, an outage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from eventsourcing.persistence import PersistenceError

from cli.servers import EmbeddedPostgres
from commands.directory.application import Directory, DirectoryApplication
from commands.directory.entries import InstrumentTerms
from commands.directory.postgres import postgres_environment
from commands.directory.terms import AccountExistsError
from commands.directory.view import DirectoryView


def open_directory(dsn: str) -> Directory:
    return Directory(DirectoryApplication(postgres_environment(dsn)), shards=2)


def test_many_processes_start_on_an_empty_database_and_number_without_gaps(
    postgres_dsn: str,
) -> None:
    def begin(index: int) -> int:
        directory = open_directory(postgres_dsn)
        try:
            return directory.create_account(f"account {index}", by="test").entry.number
        finally:
            directory.close()

    with ThreadPoolExecutor(6) as threads:
        numbers = sorted(threads.map(begin, range(6)))
    assert numbers == [1, 2, 3, 4, 5, 6]


def test_tables_are_apart_from_all_others(postgres_dsn: str) -> None:
    open_directory(postgres_dsn).close()
    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute(
            "SELECT table_schema FROM information_schema.tables WHERE table_name LIKE '%events%'"
        ).fetchall()
    assert [tuple(row) for row in found] == [("directory",)]


def test_the_same_name_from_two_processes_opens_one_account(postgres_dsn: str) -> None:
    one, other = open_directory(postgres_dsn), open_directory(postgres_dsn)
    one.create_account("alice", by="test")
    with pytest.raises(AccountExistsError):
        other.create_account("alice", by="test")
    assert other.create_account("bob", by="test").entry.number == 2
    one.close()
    other.close()


def test_a_view_elsewhere_sees_a_key_come_and_go(postgres_dsn: str) -> None:
    one, other = open_directory(postgres_dsn), open_directory(postgres_dsn)
    account = one.create_account("alice", by="test").entry
    _, key = one.create_key(account.number, ["trade"], by="test")
    listed = one.list_instrument(InstrumentTerms("AAPL", tick_size=100), by="test").entry

    async def follow() -> None:
        view = DirectoryView(other.application)
        running = asyncio.create_task(view.run())
        try:
            await until(lambda: view.authenticate(key.text) is not None)
            assert view.instrument("AAPL") == listed
            await asyncio.to_thread(one.revoke_key, account.number, key.key_id, by="test")
            await until(lambda: view.authenticate(key.text) is None)
        finally:
            running.cancel()

    asyncio.run(follow())
    one.close()
    other.close()


def test_an_outage_makes_a_view_stale_and_its_end_makes_it_good_again(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", tmp_path / "run")
    server.start()
    directory = open_directory(server.dsn)
    directory.create_account("alice", by="test")
    view = DirectoryView(directory.application)

    async def follow() -> None:
        running = asyncio.create_task(view.run())
        await until(lambda: view.notification_id > 0)
        await asyncio.to_thread(server.stop)
        await until(lambda: view.stale)
        with pytest.raises(PersistenceError):
            await asyncio.to_thread(directory.create_account, "bob", by="test")
        await asyncio.to_thread(server.start)
        await until(lambda: not view.stale)
        running.cancel()

    try:
        asyncio.run(follow())
        assert directory.create_account("bob", by="test").entry.number == 2
    finally:
        directory.close()
        server.stop()


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.02)
