"""The command log and its recorder on a real broker, past what the library's suites ask."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    OperationalError,
    PersistenceError,
    StoredEvent,
)

from cli.servers import KafkaServer
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaCommandLog
from streams.kafka.recorder import KafkaApplicationRecorder
from streams.kafka.writer import ATOMIC_RECORDS_MAX

DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def kafka_shards() -> int:
    return 2


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def opened(connection: KafkaConnection, stack: ExitStack, shard: int = 0) -> KafkaCommandLog:
    log = KafkaCommandLog(connection, shard)
    stack.callback(log.close)
    return log


def recorder_of(
    connection: KafkaConnection, stack: ExitStack, index_records_max: int = 100
) -> KafkaApplicationRecorder:
    recorder = KafkaApplicationRecorder(
        connection, connection.commands_topic, index_records_max=index_records_max
    )
    stack.callback(recorder.close)
    return recorder


def event_of(originator: UUID, version: int, state: bytes = b"state") -> StoredEvent:
    return StoredEvent(originator, version, f"topic{version % 2}", state)


def await_true(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come"


def test_positions_count_from_one_across_sessions(
    kafka_connection: KafkaConnection, stack: ExitStack
) -> None:
    one, other = opened(kafka_connection, stack), opened(kafka_connection, stack)
    mine, theirs = uuid4().bytes, uuid4().bytes
    assert one.head() == 0 and one.read(0, 10) == [] and one.last_batch_number(mine) == 0
    assert one.append(mine, 1, b"a") == 1
    assert other.append(theirs, 1, b"b") == 2
    assert one.append(mine, 2, b"c") == 3
    assert other.read(0, 10) == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert other.read(1, 1) == [(2, b"b")]
    assert other.read(3, 10) == [] and other.head() == 3
    assert other.position_of(mine, 2) == 3 and other.position_of(mine, 3) is None
    assert other.last_batch_number(mine) == 2 and other.last_batch_number(uuid4().bytes) == 0
    with pytest.raises(IntegrityError):
        one.append(mine, 2, b"again")
    assert opened(kafka_connection, stack, shard=1).head() == 0


def test_a_bounded_index_answers_as_the_whole_log_would(
    kafka_connection: KafkaConnection, stack: ExitStack
) -> None:
    writer = recorder_of(kafka_connection, stack)
    sessions = [uuid4() for _ in range(3)]
    expected: dict[UUID, list[StoredEvent]] = {each: [] for each in sessions}
    for version in range(1, 41):
        events = [event_of(each, version * 2, b"%d" % version) for each in sessions]
        writer.insert_events(events)
        for each in events:
            expected[each.originator_id].append(each)
    reader = recorder_of(kafka_connection, stack, index_records_max=10)
    for gt, lte, limit in [
        (None, None, None),
        (None, None, 3),
        (10, None, 2),
        (None, 11, None),
        (6, 70, None),
        (74, None, None),
        (79, 80, 1),
        (80, None, None),
    ]:
        for desc in (False, True):
            for session in sessions:
                model = [
                    each
                    for each in expected[session]
                    if (gt is None or each.originator_version > gt)
                    and (lte is None or each.originator_version <= lte)
                ]
                model = (model[::-1] if desc else model)[:limit]
                found = reader.select_events(session, gt=gt, lte=lte, desc=desc, limit=limit)
                assert found == model, (gt, lte, limit, desc)
    assert reader.select_events(uuid4()) == []


def test_inserts_of_several_events_do_not_interleave_with_another_writers(
    kafka_connection: KafkaConnection, stack: ExitStack
) -> None:
    ids: list[list[int]] = []

    def insert(recorder: KafkaApplicationRecorder) -> None:
        for _ in range(20):
            session = uuid4()
            found = recorder.insert_events([event_of(session, each) for each in range(50)])
            assert found is not None
            ids.append(list(found))

    recorders = [recorder_of(kafka_connection, stack) for _ in range(3)]
    threads = [threading.Thread(target=insert, args=(each,)) for each in recorders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each == list(range(each[0], each[0] + 50)) for each in ids)
    assert sorted(itertools.chain(*ids)) == list(range(1, 3_001))


def test_an_insert_that_fits_no_record_batch_is_refused_as_a_whole(
    kafka_connection: KafkaConnection, stack: ExitStack
) -> None:
    recorder, session = recorder_of(kafka_connection, stack), uuid4()
    with pytest.raises(DataError):
        recorder.insert_events([event_of(session, each, bytes(600_000)) for each in (1, 2)])
    with pytest.raises(DataError):
        recorder.insert_events([event_of(session, each) for each in range(ATOMIC_RECORDS_MAX + 1)])
    assert recorder.max_notification_id() is None
    assert recorder.insert_events([event_of(session, 1, bytes(900_000))]) == [1]


def test_a_subscription_ends_when_stopped_even_before_it_began(
    kafka_connection: KafkaConnection, stack: ExitStack
) -> None:
    recorder = recorder_of(kafka_connection, stack)
    stopped = recorder.subscribe()
    stopped.stop()
    assert list(stopped) == []
    recorder.insert_events([event_of(uuid4(), each) for each in (1, 2, 3)])
    with recorder.subscribe(gt=1, topics=["topic1"]) as subscription:
        assert next(subscription).id == 3
        threading.Timer(0.1, subscription.stop).start()
        assert list(subscription) == []


def test_without_a_broker_nothing_is_written_and_that_is_known(stack: ExitStack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        connection = KafkaConnection(f"127.0.0.1:{taken.getsockname()[1]}", read_timeout_s=0.3)
        log, session = opened(connection, stack), uuid4().bytes
        with pytest.raises(PersistenceError):
            log.append(session, 1, b"x")
        assert log.position_of(session, 1) is None
        with pytest.raises(PersistenceError):
            log.head()


class Stopped:
    """A broker that neither answers nor breaks its connections."""

    def __init__(self, broker: KafkaServer) -> None:
        pid = broker.pid
        assert pid is not None
        self._pid = pid

    def __enter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGCONT)


def written_by_new_session(log: KafkaCommandLog, batch: bytes) -> tuple[bytes, int]:
    """A session whose first batch was acknowledged, and its position."""
    found: list[tuple[bytes, int]] = []

    def writes() -> bool:
        session = uuid4().bytes
        try:
            found.append((session, log.append(session, 1, batch)))
        except OperationalError:  # a busy machine outlasts the short timeout
            return False
        return True

    await_true(writes)
    return found[0]


def test_a_write_in_doubt_is_neither_denied_nor_repeated(
    kafka_connection: KafkaConnection, kafka_server: KafkaServer, stack: ExitStack
) -> None:
    """The broker stops with a write in its socket's buffer, and takes it when it goes on."""
    log = opened(replace(kafka_connection, delivery_timeout_s=0.5), stack)
    session, first = written_by_new_session(log, b"one")
    other = uuid4().bytes
    with Stopped(kafka_server):
        with pytest.raises(OperationalError):
            log.append(session, 2, b"two")
        with pytest.raises(OperationalError):
            log.position_of(session, 2)  # it may still come
        with pytest.raises(OperationalError):
            log.append(other, 1, b"three")
        assert log.position_of(other, 1) is None  # it was not even tried
    reader = opened(kafka_connection, stack)
    await_true(lambda: reader.position_of(session, 2) is not None)

    def is_refused() -> bool:
        try:
            log.append(session, 2, b"two again")
        except IntegrityError:
            return True
        except OperationalError:
            return False
        raise AssertionError("it went on without a look at the log's tail")

    await_true(is_refused)
    assert log.position_of(session, 2) == reader.position_of(session, 2)
    rows = reader.read(first, 10)
    assert [row for row in rows if row[1] != b"one"] == [(log.position_of(session, 2), b"two")]


def test_a_record_that_the_broker_refuses_is_known_not_to_be_there(
    kafka_connection: KafkaConnection, stack: ExitStack
) -> None:
    log, session = opened(kafka_connection, stack), uuid4().bytes
    with pytest.raises(DataError):
        log.append(session, 1, bytes(2_000_000))
    assert log.position_of(session, 1) is None
    assert log.append(session, 1, b"small") == 1


def test_what_never_came_stays_in_doubt_and_hinders_nobody(
    kafka_connection: KafkaConnection, kafka_server: KafkaServer, stack: ExitStack
) -> None:
    """The stopped broker would refuse that record, but nobody is there to hear it."""
    log = opened(replace(kafka_connection, delivery_timeout_s=0.5), stack)
    session, _ = written_by_new_session(log, b"one")
    with Stopped(kafka_server), pytest.raises(OperationalError):
        log.append(session, 2, bytes(2_000_000))
    written_by_new_session(log, b"two")
    with pytest.raises(OperationalError, match="may still come"):
        log.position_of(session, 2)
