"""A clock that sees its wall time jump, and what it takes to have it tick again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventsourcing.persistence import OperationalError

from commands.directory.application import Directory, DirectoryApplication, sqlite_environment
from streams.clock import CLOCK_SESSION, Clock, DirectoryPermits

SECOND = 10**9


class Times:
    """A machine's two clocks."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000 * SECOND
        self.steady = 5 * SECOND

    def go_on(self, seconds: int, *, wall_jumps: int = 0) -> None:
        self.steady += seconds * SECOND
        self.wall += (seconds + wall_jumps) * SECOND


class Writer:
    """Keeps the numbers of the ticks."""

    def __init__(self) -> None:
        self.ticks: list[int] = []

    def write_system(
        self, shard: int, session: bytes, batch_number: int, records: list[bytes]
    ) -> int:
        assert (shard, session) == (0, CLOCK_SESSION)
        self.ticks.append(batch_number)
        return len(self.ticks)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    environment = sqlite_environment(tmp_path / "directory.sqlite")
    opened = Directory(DirectoryApplication(environment), shards=1)
    yield opened
    opened.close()


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def clock(directory: Directory, times: Times, writer: Writer) -> Clock:
    return Clock(
        writer,
        1,
        1_000,
        permits=DirectoryPermits(directory.application),
        wall_ns=lambda: times.wall,
        steady_ns=lambda: times.steady,
    )


def test_ticks_by_the_second_and_follows_small_corrections(
    clock: Clock, times: Times, writer: Writer
) -> None:
    for correction in (0, 59, -59, 60):
        times.go_on(1, wall_jumps=correction)
        clock.step()
    start = 1_700_000_000
    assert writer.ticks == [start + 1, start + 61, start + 3, start + 64]


@pytest.mark.parametrize("jump", [61, -61, 86_400])
def test_refuses_after_a_jump_and_says_so(
    clock: Clock, times: Times, writer: Writer, caplog: pytest.LogCaptureFixture, jump: int
) -> None:
    times.go_on(1, wall_jumps=jump)
    with caplog.at_level(logging.CRITICAL):
        for _ in range(5):
            clock.step()
            times.go_on(1)
    assert writer.ticks == []
    assert clock.refuses
    (said,) = caplog.messages
    assert f"jumped by {jump:+.1f} s" in said
    assert "crossbook clock resume" in said


def test_a_wall_clock_that_comes_back_is_not_believed_either(
    clock: Clock, times: Times, writer: Writer
) -> None:
    times.go_on(1, wall_jumps=3_600)
    clock.step()
    times.go_on(1, wall_jumps=-3_600)
    clock.step()
    assert writer.ticks == []


def test_goes_on_when_an_admin_says_so_and_watches_for_the_next_jump(
    clock: Clock, times: Times, writer: Writer, directory: Directory
) -> None:
    directory.resume_clocks(by="test")  # before the jump: it permits nothing that comes later
    times.go_on(1, wall_jumps=3_600)
    clock.step()
    clock.step()
    assert writer.ticks == []
    directory.resume_clocks(by="test")
    times.go_on(1)
    clock.step()
    assert writer.ticks == [1_700_003_602]
    times.go_on(1, wall_jumps=100)
    clock.step()
    assert len(writer.ticks) == 1
    assert directory.resume_clocks(by="test").entry == 3
    clock.step()
    assert len(writer.ticks) == 2


class Store:
    """Permits in a store that can be away."""

    def __init__(self) -> None:
        self.away = True
        self.permits = 0

    def mark(self) -> int:
        if self.away:
            raise OperationalError("the store is away")
        return self.permits

    def given_since(self, mark: int) -> bool:
        return self.mark() > mark


def test_refuses_while_no_permit_can_be_read(times: Times, writer: Writer) -> None:
    store = Store()
    clock = Clock(
        writer,
        1,
        1_000,
        permits=store,
        wall_ns=lambda: times.wall,
        steady_ns=lambda: times.steady,
    )
    times.go_on(1, wall_jumps=100)
    for _ in range(3):
        clock.step()
    store.away = False
    clock.step()
    assert writer.ticks == []
    store.permits += 1
    clock.step()
    assert len(writer.ticks) == 1
