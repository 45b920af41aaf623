"""The event log on Kafka, as its readers see it: whatever was written twice, late or in part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent

from domain.batch import START, ForkError
from domain.wire import join_events
from streams.kafka.connection import KafkaConnection
from streams.kafka.events import NEAR_RECORDS, KafkaEventLog
from streams.kafka.records import Stamp, encode
from streams.kafka.writer import PartitionWriter
from streams.logs import EVENT_TOPIC
from tests.integration.kafka.histories import Batch, history

MANY = 700
PART_BYTES = 1_024


@pytest.fixture(scope="module")
def kafka_shards() -> int:
    return 2


class Logs:
    """Logs of one shard, closed at the end."""

    def __init__(self, connection: KafkaConnection, stack: ExitStack) -> None:
        self._connection, self._stack = connection, stack

    def open(self, shard: int = 0) -> KafkaEventLog:
        log = KafkaEventLog(self._connection, shard)
        self._stack.callback(log.close)
        return log


@pytest.fixture
def logs(kafka_connection: KafkaConnection) -> Iterator[Logs]:
    with ExitStack() as stack:
        yield Logs(kafka_connection, stack)


def read_all(log: KafkaEventLog, limit: int = 50) -> list[bytes]:
    found: list[bytes] = []
    while batches := log.read(len(found), limit):
        found.extend(batch.record for batch in batches)
    return found


def whole(batches: list[Batch]) -> list[bytes]:
    return [join_events(list(records)) for _, records in batches]


def part_of(batch: Batch, parts: slice) -> Batch:
    """Some parts of a batch, as an interrupted writer leaves them."""
    return batch[0], batch[1][parts]


def test_an_empty_log_has_no_tail_and_nothing_to_read(logs: Logs) -> None:
    log = logs.open()
    assert log.tail() == START
    assert log.read(0, 10) == [] and log.at(1) is None


def test_batches_come_back_in_order_and_by_position(logs: Logs) -> None:
    written = history(20)
    log = logs.open()
    log.append(written[:1])
    log.append(written[1:])
    reader = logs.open()
    assert read_all(reader, 7) == whole(written)
    assert [batch.position for batch in reader.read(12, 3)] == [13, 14, 15]
    assert reader.tail().position == 20
    found = reader.at(9)
    assert found is not None and found.record == whole(written)[8]
    assert reader.at(21) is None


def test_shards_do_not_mix(logs: Logs) -> None:
    logs.open(0).append(history(3))
    assert logs.open(1).tail() == START


def test_parts_are_joined_and_count_with_their_last(logs: Logs) -> None:
    written = history(6, record_bytes_max=PART_BYTES)
    assert all(len(records) > 2 for _, records in written[2:])
    log = logs.open()
    log.append(written[:5])
    log.append([part_of(written[5], slice(0, 2))])
    reader = logs.open()
    assert read_all(reader) == whole(written[:5])
    assert reader.tail().position == 5 and reader.at(6) is None


def test_an_interrupted_write_is_passed_over_for_the_complete_one(logs: Logs) -> None:
    written = history(8, record_bytes_max=PART_BYTES)
    logs.open().append([*written[:4], part_of(written[4], slice(0, 2))])
    logs.open().append(written[4:])
    reader = logs.open()
    assert read_all(reader) == whole(written)
    assert reader.tail().position == 8
    assert logs.open().tail().position == 8


def test_an_interrupted_write_split_elsewhere_is_no_fork(logs: Logs) -> None:
    small, large = history(5, record_bytes_max=PART_BYTES), history(5)
    logs.open().append([*small[:3], part_of(small[3], slice(0, 1))])
    logs.open().append(large[3:])
    assert read_all(logs.open()) == whole(large)


def test_two_matchers_parts_are_not_mixed(logs: Logs, kafka_connection: KafkaConnection) -> None:
    """One writes between the other's parts; whichever is whole first counts, also for a reader that
    begins after the other's first parts.
    """
    written = history(6, record_bytes_max=PART_BYTES)
    log = logs.open()
    log.append(written[:4])
    slow = PartitionWriter(
        kafka_connection, kafka_connection.events_topic, 0, atomic=False, patient=True
    )
    stamp = Stamp(b"the slow", 0, 0)
    parts = [
        encode(StoredEvent(uuid4(), part, EVENT_TOPIC, record), stamp)
        for part, record in enumerate(written[4][1])
    ]
    slow.send(parts[:2])
    logs.open().append([part_of(written[4], slice(0, 1))])  # one that came later, and died
    slow.send(parts[2:])
    slow.close()
    assert logs.open().tail().position == 5
    logs.open().append(written[5:])
    assert read_all(logs.open()) == whole(written)
    for position in (5, 6):
        assert logs.open().read(position - 1, 1)[0].position == position


def test_a_zombies_older_records_change_nothing(logs: Logs) -> None:
    written = history(30)
    zombie, matcher = logs.open(), logs.open()
    zombie.append(written[:10])
    matcher.append(written[10:])
    zombie.append(written[10:13])
    assert logs.open().tail().position == 30
    assert read_all(logs.open()) == whole(written)
    reader = logs.open()
    assert reader.read(29, 10)[0].position == 30
    zombie.append(written[13:14])
    assert reader.read(30, 10) == [] and reader.tail().position == 30


def test_a_matcher_that_comes_after_a_zombie_goes_on_from_the_highest(logs: Logs) -> None:
    written = history(12)
    zombie, matcher = logs.open(), logs.open()
    zombie.append(written[:4])
    matcher.append(written[4:10])
    zombie.append(written[4:6])
    logs.open().append(written[10:])
    assert logs.open().tail().position == 12


def test_positions_are_found_in_a_long_log_from_anywhere(logs: Logs) -> None:
    written = history(MANY)
    log, zombie = logs.open(), logs.open()
    for start in range(0, MANY, 35):
        log.append(written[start : start + 35])
        if start == 35:
            zombie.append(written[:50])
    expected = whole(written)
    assert MANY > 4 * NEAR_RECORDS
    for position in (1, 2, 36, 70, 71, 333, 350, 351, MANY - 1, MANY):
        reader = logs.open()
        found = reader.at(position)
        assert found is not None and found.record == expected[position - 1]
        assert [each.position for each in reader.read(position - 1, 1)] == [position]
        assert reader.at(position) is not None
    assert read_all(logs.open(), 200) == expected


def test_a_reader_may_go_back_within_what_it_read(logs: Logs) -> None:
    logs.open().append(history(10))
    reader = logs.open()
    assert len(reader.read(0, 10)) == 10
    assert [each.position for each in reader.read(6, 2)] == [7, 8]
    assert [each.position for each in reader.read(3, 100)] == [4, 5, 6, 7, 8, 9, 10]
    assert reader.read(10, 5) == []


def test_two_histories_of_one_position_are_a_fork(logs: Logs) -> None:
    one, other = history(5), history(5, quantity=11)
    assert one[4] != other[4]
    writer, forger = logs.open(), logs.open()
    writer.append(one)
    reader = logs.open()
    assert len(reader.read(0, 100)) == 5
    forger.append(other[4:])
    with pytest.raises(ForkError, match="position 5"):
        reader.read(5, 100)
    with pytest.raises(ForkError, match="position 5"):
        read_all(logs.open())


def test_a_gap_is_refused(logs: Logs) -> None:
    written = history(5)
    log = logs.open()
    log.append(written[:2])
    with pytest.raises(IntegrityError, match="gap"):
        log.append(written[3:])
    log.append(written[2:])
    assert logs.open().tail().position == 5
