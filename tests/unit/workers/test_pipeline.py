"""The pipeline before the event log: in order, one group at a time, and no error is lost."""

from __future__ import annotations

import threading

import pytest
from eventsourcing.persistence import OperationalError

from domain.batch import START, EventBatch, Position
from streams.workers.pipeline import GROUP_BYTES, GROUP_RECORDS, Group, PipelinedEvents

WAIT_S = 10.0


class EventLogInMemory:
    """Keeps what it is given, once it is allowed to."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.may_write = threading.Event()
        self.may_write.set()
        self.error: BaseException | None = None
        self.threads: set[int] = set()

    def append(self, batches: Group) -> None:
        assert self.may_write.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        self.threads.add(threading.get_ident())
        self.positions += [position for position, _ in batches]

    def tail(self) -> Position:
        return START

    def at(self, position: int) -> EventBatch | None:
        return None


def group(first: int, count: int, size: int = 1) -> list[tuple[int, list[bytes]]]:
    return [(position, [bytes(size)]) for position in range(first, first + count)]


@pytest.mark.parametrize("large", [group(4, GROUP_RECORDS), group(4, 1, GROUP_BYTES)])
def test_a_small_group_is_there_at_once_and_a_large_one_after_settling(
    large: list[tuple[int, list[bytes]]],
) -> None:
    log = EventLogInMemory()
    pipeline = PipelinedEvents(log, name="test")
    pipeline.append(group(1, 3))
    assert log.positions == [1, 2, 3]
    log.may_write.clear()
    pipeline.append(large)
    assert log.positions == [1, 2, 3]
    log.may_write.set()
    pipeline.settle()
    assert log.positions == list(range(1, 4 + len(large)))
    assert log.threads - {threading.get_ident()}, "the large group was not written beside"
    pipeline.close()


def test_groups_of_any_size_keep_their_order() -> None:
    log = EventLogInMemory()
    pipeline = PipelinedEvents(log, name="test")
    first = 1
    for count in (1, GROUP_RECORDS, 2, GROUP_RECORDS, GROUP_RECORDS, 1):
        pipeline.append(group(first, count))
        first += count
    pipeline.settle()
    assert log.positions == list(range(1, first))
    pipeline.close()


def test_a_failure_is_told_by_every_call_after_it_and_nothing_is_written() -> None:
    log = EventLogInMemory()
    pipeline = PipelinedEvents(log, name="test")
    log.error = OperationalError("no broker")
    pipeline.append(group(1, GROUP_RECORDS))
    for call in (pipeline.settle, lambda: pipeline.append(group(100, 1)), pipeline.settle):
        with pytest.raises(OperationalError, match="no broker"):
            call()
    assert log.positions == []
    pipeline.close()


def test_closing_waits_for_the_group_under_way() -> None:
    log = EventLogInMemory()
    pipeline = PipelinedEvents(log, name="test")
    log.may_write.clear()
    pipeline.append(group(1, GROUP_RECORDS))
    threading.Timer(0.05, log.may_write.set).start()
    pipeline.close()
    assert len(log.positions) == GROUP_RECORDS
