"""One thread follows every shard for a whole process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from domain.batch import EventBatch, ForkError
from domain.wire import join_events
from streams.kafka.connection import KafkaConnection
from streams.kafka.events import KafkaEventLog
from streams.kafka.tail import EventTail, TailSource
from tests.integration.kafka.histories import Batch, history

DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def kafka_shards() -> int:
    return 2


class News:
    """What a tail told, and a way to wait for it."""

    def __init__(self) -> None:
        self._heard: dict[int, int] = {}
        self._condition = threading.Condition()

    def __call__(self, shard: int, position: int) -> None:
        with self._condition:
            self._heard[shard] = position
            self._condition.notify_all()

    def wait_for(self, shard: int, position: int) -> None:
        with self._condition:
            told = self._condition.wait_for(
                lambda: self._heard.get(shard, -1) >= position, DEADLINE_S
            )
        assert told, f"shard {shard}: {self._heard}"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def log_of(connection: KafkaConnection, shard: int, stack: ExitStack) -> KafkaEventLog:
    log = KafkaEventLog(connection, shard)
    stack.callback(log.close)
    return log


def positions(batches: list[EventBatch]) -> list[int]:
    return [batch.position for batch in batches]


def read_from(source: TailSource, position: int) -> list[bytes]:
    found: list[bytes] = []
    while batches := source.read(position, 7):
        found.extend(batch.record for batch in batches)
        position = batches[-1].position
    return found


def whole(batches: list[Batch]) -> list[bytes]:
    return [join_events(list(records)) for _, records in batches]


def test_what_comes_in_is_told_and_read_and_the_rest_is_in_the_log(
    kafka_connection: KafkaConnection, stack: ExitStack
) -> None:
    written = history(40, record_bytes_max=1_024)
    log = log_of(kafka_connection, 0, stack)
    log.append(written[:20])
    news = News()
    tail = EventTail(kafka_connection, 2, news, batches_max=8)
    stack.callback(tail.close)
    source = tail.source(0)
    news.wait_for(0, 20)
    news.wait_for(1, 0)
    assert source.tail().position == 20 and source.read(20, 10) == []
    assert tail.source(1).read(0, 10) == []
    log.append(written[20:])
    log.append(written[20:22])  # as a zombie would
    log_of(kafka_connection, 1, stack).append(history(3, shard=1))
    news.wait_for(0, 40)
    news.wait_for(1, 3)
    assert positions(source.read(32, 100)) == list(range(33, 41))
    assert positions(source.read(32, 3)) == [33, 34, 35]
    assert read_from(source, 0) == whole(written)
    assert positions(tail.source(1).read(0, 10)) == [1, 2, 3]
    for position in (1, 21, 39, 40):
        found = source.at(position)
        assert found is not None and found.record == whole(written)[position - 1]
    assert source.at(41) is None and source.tail().position == 40


def test_a_batch_comes_soon_after_it_was_written(
    kafka_connection: KafkaConnection, stack: ExitStack
) -> None:
    """No timed assertion: whatever is told is already there to read."""
    news = News()
    tail = EventTail(kafka_connection, 1, news)
    stack.callback(tail.close)
    log, source = log_of(kafka_connection, 0, stack), tail.source(0)
    for batch in history(10):
        log.append([batch])
        news.wait_for(0, batch[0])
        assert positions(source.read(batch[0] - 1, 10)) == [batch[0]]


def test_a_fork_stops_the_readers(kafka_connection: KafkaConnection, stack: ExitStack) -> None:
    news = News()
    tail = EventTail(kafka_connection, 1, news)
    stack.callback(tail.close)
    news.wait_for(0, 0)
    forger = log_of(kafka_connection, 0, stack)
    forger.append(history(5))
    news.wait_for(0, 5)
    forger.append(history(5, quantity=11)[4:])
    deadline = time.monotonic() + DEADLINE_S
    with pytest.raises(ForkError, match="position 5"):
        while time.monotonic() < deadline:
            tail.source(0).read(0, 10)
            threading.Event().wait(0.01)
