"""Engine snapshots are kept whole, and a damaged one is passed over."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import psycopg
import pytest

from domain.batch import Position
from domain.snapshot import restore, snapshot, state_hash
from projections.postgres import PostgresRebuild
from projections.snapshots import SnapshotStore
from tests.integration.projections.flow import Flow


@pytest.fixture
def store(postgres_dsn: str) -> Iterator[SnapshotStore]:
    store = SnapshotStore(postgres_dsn, keep=2)
    yield store
    store.close()


def at(number: int) -> Position:
    return Position(number, number.to_bytes(32, "big"))


def test_none_where_none_was_saved(store: SnapshotStore) -> None:
    assert store.newest_sound(0) is None


def test_the_newest_not_past_a_position(store: SnapshotStore) -> None:
    for number in (10, 20):
        store.save(0, at(number), [b"head", bytes([number])])
    store.save(1, at(99), [b"another shard"])
    assert store.newest_sound(0) == (at(20), [b"head", bytes([20])])
    assert store.newest_sound(0, 20) == (at(20), [b"head", bytes([20])])
    assert store.newest_sound(0, 19) == (at(10), [b"head", bytes([10])])
    assert store.newest_sound(0, 9) is None


def test_only_the_last_few_are_kept(store: SnapshotStore) -> None:
    for number in (10, 20, 30):
        store.save(0, at(number), [bytes([number])])
    assert store.newest_sound(0, 19) is None
    assert store.newest_sound(0, 20) is not None


def test_the_same_position_again_replaces(store: SnapshotStore) -> None:
    store.save(0, at(10), [b"old", b"longer"])
    store.save(0, at(10), [b"new"])
    assert store.newest_sound(0) == (at(10), [b"new"])


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE snapshots.bodies SET body = '\\x00' WHERE sha256 ="
        " (SELECT sha256 FROM snapshots.chunks WHERE position = 20 AND number = 1)",
        "DELETE FROM snapshots.chunks WHERE position = 20 AND number = 1",
        "DELETE FROM snapshots.chunks WHERE position = 20",
    ],
)
def test_a_damaged_one_gives_way_to_the_one_before(
    store: SnapshotStore, postgres_dsn: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (10, 20):
        store.save(0, at(number), [b"head", bytes([number])])
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(damage)
    with caplog.at_level(logging.WARNING):
        assert store.newest_sound(0) == (at(10), [b"head", bytes([10])])
    assert "position 20 is damaged" in caplog.text


def test_an_engine_comes_back_from_its_chunks(store: SnapshotStore) -> None:
    flow = Flow()
    flow.go(5, 200)
    store.save(0, flow.at, snapshot(flow.exchange))
    found = store.newest_sound(0)
    assert found is not None
    assert found[0] == flow.at
    assert state_hash(restore(found[1])) == state_hash(flow.exchange)


def test_many_megabytes(store: SnapshotStore) -> None:
    chunks = [os.urandom(1_000_000) for _ in range(20)]
    store.save(0, at(1), chunks)
    assert store.newest_sound(0) == (at(1), chunks)


def test_a_chunk_that_several_snapshots_share_is_stored_once(
    store: SnapshotStore, postgres_dsn: str
) -> None:
    for number in (10, 20, 30):
        store.save(0, at(number), [b"shared", bytes([number]), b"shared"])
    with psycopg.connect(postgres_dsn) as connection:
        bodies = connection.execute("SELECT body FROM snapshots.bodies ORDER BY body").fetchall()
    assert [row[0] for row in bodies] == [bytes([20]), bytes([30]), b"shared"]
    assert store.newest_sound(0) == (at(30), [b"shared", bytes([30]), b"shared"])


def test_a_damaged_chunk_is_written_anew_with_the_next_snapshot(
    store: SnapshotStore, postgres_dsn: str
) -> None:
    store.save(0, at(10), [b"shared", b"ten"])
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("UPDATE snapshots.bodies SET body = 'x' WHERE body = 'shared'")
    assert store.newest_sound(0) is None
    store.save(0, at(20), [b"shared", b"twenty"])
    assert store.newest_sound(0) == (at(20), [b"shared", b"twenty"])


def test_a_rebuild_leaves_snapshots_alone(store: SnapshotStore, postgres_dsn: str) -> None:
    store.save(0, at(10), [b"kept"])
    with PostgresRebuild(postgres_dsn) as rebuild:
        assert rebuild.finish()
    assert store.newest_sound(0) == (at(10), [b"kept"])


def test_a_connection_that_broke_is_made_again(store: SnapshotStore, postgres_dsn: str) -> None:
    store.save(0, at(10), [b"kept"])
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'crossbook snapshots' AND datname = current_database()"
        )
    with pytest.raises(psycopg.OperationalError):
        store.newest_sound(0)
    assert store.newest_sound(0) == (at(10), [b"kept"])
