"""What the directory says reaches every shard's command log once, in order, across crashes and
rivals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventsourcing.persistence import IntegrityError, OperationalError

from commands.directory.application import Directory, DirectoryApplication, sqlite_environment
from commands.directory.entries import InstrumentTerms, Limits
from domain.codes import CLOSED, HALTED
from domain.commands import Command, ListInstrument, SetAccount, SetTradingState
from domain.wire import decode_batch, encode_batch
from streams.directory_follower import DIRECTORY_SESSION, DirectoryFollower


class MemoryLog:
    """A command log in memory that keeps the contract: a repeat raises, and it can be made to
    fail."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.batches: list[tuple[bytes, int, bytes]] = []
        self.failures = 0

    def append(self, session: bytes, batch_number: int, batch: bytes) -> int:
        if self.failures:
            self.failures -= 1
            raise OperationalError("disk full")
        if self.position_of(session, batch_number) is not None:
            raise IntegrityError("there already")
        self.batches.append((session, batch_number, batch))
        return len(self.batches)

    def position_of(self, session: bytes, batch_number: int) -> int | None:
        for index, (other, number, _) in enumerate(self.batches):
            if (other, number) == (session, batch_number):
                return index + 1
        return None

    def last_batch_number(self, session: bytes) -> int:
        return max((number for other, number, _ in self.batches if other == session), default=0)

    def commands(self) -> list[Command]:
        return [command for *_, batch in self.batches for command in decode_batch(batch)[1]]


class Writer:
    """Seals a batch and appends it, as a gateway does."""

    def __init__(self, logs: dict[int, MemoryLog]) -> None:
        self.logs = logs

    def write_system(
        self, shard: int, session: bytes, batch_number: int, records: list[bytes]
    ) -> int:
        batch = encode_batch(session, batch_number, 0, records)
        return self.logs[shard].append(session, batch_number, batch)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    environment = sqlite_environment(tmp_path / "directory.sqlite")
    opened = Directory(DirectoryApplication(environment), shards=2)
    yield opened
    opened.close()


@pytest.fixture
def logs() -> dict[int, MemoryLog]:
    return {0: MemoryLog(0), 1: MemoryLog(1)}


def follower_of(directory: Directory, logs: dict[int, MemoryLog]) -> DirectoryFollower:
    return DirectoryFollower(directory.application, Writer(logs), list(logs.values()))


def test_each_change_becomes_the_commands_it_asks_for(
    directory: Directory, logs: dict[int, MemoryLog]
) -> None:
    directory.list_instrument(InstrumentTerms("AAPL", 100, 10, 5_000), by="t")
    directory.list_instrument(InstrumentTerms("MSFT", 1, state=CLOSED), by="t")
    directory.create_account("a", Limits(open_orders_max=7), by="t")
    directory.set_trading_state("AAPL", HALTED, by="t")
    directory.set_reference_price("AAPL", 10, by="t")
    directory.create_key(1, ["read"], by="t")
    directory.set_killed(1, True, by="t")
    directory.set_limits(1, open_orders_max=8, by="t")
    follower_of(directory, logs).step()

    accounts = [SetAccount(1, 7, False), SetAccount(1, 7, True), SetAccount(1, 8, True)]
    assert logs[0].commands() == [
        ListInstrument(1, b"AAPL", 100, 10, 5_000, 0),
        accounts[0],
        SetTradingState(1, HALTED),
        *accounts[1:],
    ]
    assert logs[1].commands() == [ListInstrument(2, b"MSFT", 1, 1, 0, CLOSED), *accounts]


def test_the_batch_number_is_the_notification_id(
    directory: Directory, logs: dict[int, MemoryLog]
) -> None:
    listed = directory.list_instrument(InstrumentTerms("AAPL", 1), by="t")
    opened = directory.create_account("a", by="t")
    follower = follower_of(directory, logs)

    assert follower.step() == opened.notification_id == follower.notification_id
    numbers = [(session, number) for session, number, _ in logs[0].batches]
    assert numbers == [
        (DIRECTORY_SESSION, listed.notification_id),
        (DIRECTORY_SESSION, opened.notification_id),
    ]


def test_a_restart_writes_nothing_twice(directory: Directory, logs: dict[int, MemoryLog]) -> None:
    directory.list_instrument(InstrumentTerms("AAPL", 1), by="t")
    directory.create_account("a", by="t")
    follower_of(directory, logs).step()
    before = list(logs[0].batches)

    again = follower_of(directory, logs)
    again.step()
    assert logs[0].batches == before

    directory.set_killed(1, True, by="t")
    again.step()
    assert logs[0].batches[:-1] == before
    assert logs[0].commands()[-1] == SetAccount(1, 0, True)


def test_a_crash_between_two_shards_is_made_good(
    directory: Directory, logs: dict[int, MemoryLog]
) -> None:
    directory.create_account("a", by="t")
    logs[1].failures = 1
    with pytest.raises(OperationalError):
        follower_of(directory, logs).step()
    assert (len(logs[0].batches), len(logs[1].batches)) == (1, 0)

    follower_of(directory, logs).step()
    assert logs[0].commands() == logs[1].commands() == [SetAccount(1, 0, False)]


def test_the_same_follower_goes_on_after_a_failed_write(
    directory: Directory, logs: dict[int, MemoryLog]
) -> None:
    directory.create_account("a", by="t")
    directory.create_account("b", by="t")
    follower = follower_of(directory, logs)
    logs[0].failures = 2
    for _ in range(2):
        with pytest.raises(OperationalError):
            follower.step()
    follower.step()
    expected = [SetAccount(1, 0, False), SetAccount(2, 0, False)]
    assert logs[0].commands() == logs[1].commands() == expected


def test_two_followers_at_once_write_once(directory: Directory, logs: dict[int, MemoryLog]) -> None:
    one, other = follower_of(directory, logs), follower_of(directory, logs)
    one.step()
    other.step()
    change = directory.create_account("a", by="t")
    one.step()
    other.step()
    assert len(logs[0].batches) == 1
    assert asyncio.run(other.positions_of(change.notification_id, 0)) == {0: 1, 1: 1}


def test_a_shard_that_is_added_learns_every_account(
    directory: Directory, logs: dict[int, MemoryLog]
) -> None:
    directory.create_account("a", by="t")
    directory.set_killed(1, True, by="t")
    follower_of(directory, logs).step()
    logs[2] = MemoryLog(2)
    follower_of(directory, logs).step()
    assert logs[2].commands() == [SetAccount(1, 0, False), SetAccount(1, 0, True)]
    assert len(logs[0].batches) == 2


@pytest.mark.anyio
async def test_positions_are_told_as_soon_as_they_are_written(
    directory: Directory, logs: dict[int, MemoryLog]
) -> None:
    follower = follower_of(directory, logs)
    running = asyncio.create_task(follower.run(poll_s=60))
    try:
        listed = await asyncio.to_thread(
            directory.list_instrument, InstrumentTerms("AAPL", 1), by="t"
        )
        assert await follower.positions_of(listed.notification_id, 10) == {0: 1}
        opened = await asyncio.to_thread(directory.create_account, "a", by="t")
        assert await follower.positions_of(opened.notification_id, 10) == {0: 2, 1: 1}
        assert await follower.positions_of(opened.notification_id + 1, 0.01) is None
    finally:
        running.cancel()


@pytest.mark.anyio
async def test_a_log_that_fails_is_tried_again(
    directory: Directory, logs: dict[int, MemoryLog]
) -> None:
    follower = follower_of(directory, logs)
    logs[0].failures = 3
    running = asyncio.create_task(follower.run(poll_s=0.01))
    try:
        opened = await asyncio.to_thread(directory.create_account, "a", by="t")
        assert await follower.positions_of(opened.notification_id, 10) == {0: 1, 1: 1}
    finally:
        running.cancel()
