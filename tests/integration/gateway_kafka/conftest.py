"""Matchers on fresh topics, and instruments to trade."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.kafka.connection import KafkaConnection
from tests.integration.gateway_kafka.matching import Matching, list_instruments, patient


@pytest.fixture
def kafka_shards() -> int:
    return 2


@pytest.fixture
def matching(kafka_connection: KafkaConnection, kafka_shards: int) -> Iterator[Matching]:
    connection = patient(kafka_connection)
    list_instruments(connection, kafka_shards)
    running = Matching(connection, kafka_shards)
    yield running
    running.close()
