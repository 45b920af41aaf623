"""The directory's commands, written by one process and observed by another: PostgreSQL, bookmarks,
and logs that do not refuse a repeat, as Kafka's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from eventsourcing.persistence import OperationalError

from commands.directory.application import Directory, DirectoryApplication
from commands.directory.entries import InstrumentTerms
from commands.directory.postgres import postgres_environment
from domain.wire import decode_batch, encode_batch
from streams.directory_bookmarks import DIRECTORY_SESSION, PostgresBookmarks
from streams.directory_follower import DirectoryFollower
from streams.directory_observer import DirectoryObserver

SHARDS = 2


class Log:
    """A command log that takes whatever it is given."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.batches: list[bytes] = []

    def append(self, session: bytes, batch_number: int, batch: bytes) -> int:
        self.batches.append(batch)
        return len(self.batches)

    def position_of(self, session: bytes, batch_number: int) -> int | None:
        raise AssertionError("nobody reads the whole log")

    def last_batch_number(self, session: bytes) -> int:
        raise AssertionError("nobody reads the whole log")

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        return list(enumerate(self.batches, 1))[after : after + limit]

    def numbers(self) -> list[int]:
        return [decode_batch(batch)[0].batch_number for batch in self.batches]


class Shards:
    """The logs of all shards, and their writer."""

    def __init__(self) -> None:
        self.logs = [Log(shard) for shard in range(SHARDS)]
        self.fails = False

    def write_system(
        self, shard: int, session: bytes, batch_number: int, records: list[bytes]
    ) -> int:
        if self.fails:
            raise OperationalError("no broker")
        assert session == DIRECTORY_SESSION
        batch = encode_batch(session, batch_number, 0, records)
        return self.logs[shard].append(session, batch_number, batch)


@pytest.fixture
def directory(postgres_dsn: str) -> Iterator[Directory]:
    opened = Directory(DirectoryApplication(postgres_environment(postgres_dsn)), SHARDS)
    yield opened
    opened.close()


@pytest.fixture
def shards() -> Shards:
    return Shards()


def follower_of(directory: Directory, shards: Shards) -> DirectoryFollower:
    bookmarks = PostgresBookmarks(directory.application)
    return DirectoryFollower(directory.application, shards, shards.logs, bookmarks)


def test_a_follower_resumes_after_its_bookmark(directory: Directory, shards: Shards) -> None:
    first = directory.create_account("alice", by="test").notification_id
    follower_of(directory, shards).step()
    second = directory.create_account("bob", by="test").notification_id
    follower_of(directory, shards).step()
    assert [log.numbers() for log in shards.logs] == [[first, second]] * SHARDS


def test_two_followers_rarely_write_the_same(directory: Directory, shards: Shards) -> None:
    one, other = follower_of(directory, shards), follower_of(directory, shards)
    one.step()
    other.step()
    written = [directory.create_account(name, by="test").notification_id for name in "abc"]
    one.step()
    other.step()
    assert shards.logs[0].numbers() == written
    assert other.notification_id == one.notification_id


def test_a_bookmark_of_another_log_is_not_believed(directory: Directory, shards: Shards) -> None:
    opened = directory.create_account("alice", by="test").notification_id
    follower_of(directory, shards).step()
    emptied = Shards()
    follower_of(directory, emptied).step()
    assert emptied.logs[0].numbers() == [opened]
    again = directory.create_account("bob", by="test").notification_id
    follower_of(directory, emptied).step()
    assert emptied.logs[0].numbers() == [opened, again]


def test_an_observer_learns_of_changes_from_the_event_log(
    directory: Directory, shards: Shards
) -> None:
    async def observe() -> None:
        asked: list[int] = []
        observer = observer_of(directory, asked)
        running = asyncio.create_task(observer.run(0.05))
        change = await asyncio.to_thread(directory.create_account, "alice", by="test")
        number = change.notification_id
        assert await observer.positions_of(number, 0.2) is None
        assert asked == [number]
        observer.note(0, number, 7)
        assert await observer.positions_of(number, 0.2) is None
        observer.note(1, number, 9)
        assert await observer.positions_of(number, 10) == {0: 7, 1: 9}
        key, _ = await asyncio.to_thread(directory.create_key, 1, ["trade"], by="test")
        assert await observer.positions_of(key.notification_id, 10) == {}
        assert observer.notification_id == key.notification_id
        running.cancel()

    asyncio.run(observe())


def test_an_observer_that_starts_later_learns_from_the_bookmarks(
    directory: Directory, shards: Shards
) -> None:
    directory.create_account("alice", by="test")
    terms = InstrumentTerms("AAPL", tick_size=100)
    listed = directory.list_instrument(terms, by="test")
    follower = follower_of(directory, shards)
    shards.fails = True
    with pytest.raises(OperationalError):
        follower.step()

    async def observe() -> None:
        observer = observer_of(directory, [])
        running = asyncio.create_task(observer.run(0.05))
        assert await observer.positions_of(listed.notification_id, 0.5) is None
        shards.fails = False
        await asyncio.to_thread(follower.step)
        assert await observer.positions_of(listed.notification_id, 10) == {listed.entry.shard: 2}
        running.cancel()

    asyncio.run(observe())


def observer_of(directory: Directory, asked: list[int]) -> DirectoryObserver:
    bookmarks = PostgresBookmarks(directory.application)
    return DirectoryObserver(directory.application, SHARDS, bookmarks, asked.append)
