"""What a worker ends at: a record of a newer release is answered by nobody, and stays."""

from __future__ import annotations

import zlib

import pytest

from domain.wire import WIRE_VERSION
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaCommandLog, KafkaEventLog
from streams.workers.running import EXIT_UNFORESEEN
from tests.integration.workers.commands import LISTING_SESSION, fill, listing
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import WAIT_S

BATCHES = 150  # more than the pipeline waits for


@pytest.fixture
def kafka_shards() -> int:
    """One is enough."""
    return 1


def test_a_record_of_a_newer_release_ends_the_worker_and_not_the_record(
    kafka_connection: KafkaConnection, start_worker: StartWorker
) -> None:
    fill(kafka_connection, 0, BATCHES)
    newer = bytearray(listing(0))
    newer[8:10] = (WIRE_VERSION + 1).to_bytes(2, "little")
    newer[4:8] = zlib.crc32(newer[8:]).to_bytes(4, "little")
    commands, events = KafkaCommandLog(kafka_connection, 0), KafkaEventLog(kafka_connection, 0)
    position = commands.append(LISTING_SESSION, 2, bytes(newer))
    worker = start_worker("matching")
    assert worker.process.wait(WAIT_S) == EXIT_UNFORESEEN
    assert f"matching-0 stopped behind position {position - 1}" in worker.said
    assert events.tail().position == position - 1
    assert commands.read(position - 1, 1) == [(position, bytes(newer))]
    commands.close()
    events.close()
