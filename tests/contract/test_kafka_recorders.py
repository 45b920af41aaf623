"""The `eventsourcing` library's recorder suites, on Kafka: a real broker, a fresh topic a test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest
from eventsourcing.persistence import AggregateRecorder, ApplicationRecorder
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    InfrastructureFactoryTestCase,
    NonInterleavingNotificationIDsBaseCase,
)
from eventsourcing.utils import Environment

from streams.kafka.connection import KafkaConnection
from streams.kafka.factory import KAFKA_TOPIC, KafkaFactory
from streams.kafka.recorder import KafkaAggregateRecorder, KafkaApplicationRecorder


@pytest.fixture(scope="module")
def kafka_shards() -> int:
    return 1


class OnKafka:
    """Gives each test the connection to topics of its own."""

    connection: ClassVar[KafkaConnection]
    opened: ClassVar[list[KafkaAggregateRecorder]]

    @pytest.fixture(autouse=True)
    def _connect(self, kafka_connection: KafkaConnection) -> Iterator[None]:
        type(self).connection = kafka_connection
        type(self).opened = []
        before = set(threading.enumerate())
        yield
        for thread in set(threading.enumerate()) - before:
            if thread.name.startswith("Thread-"):  # the suite's own readers, told to stop
                thread.join()
        for recorder in self.opened:
            recorder.close()


class TestAggregateRecorder(OnKafka, AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        recorder = KafkaAggregateRecorder(self.connection, self.connection.commands_topic)
        self.opened.append(recorder)
        return recorder


class TestApplicationRecorder(OnKafka, ApplicationRecorderTestCase):
    def create_recorder(self) -> ApplicationRecorder:
        recorder = KafkaApplicationRecorder(self.connection, self.connection.commands_topic)
        self.opened.append(recorder)
        return recorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestNonInterleavingNotificationIDs(OnKafka, NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> ApplicationRecorder:
        recorder = KafkaApplicationRecorder(self.connection, self.connection.commands_topic)
        self.opened.append(recorder)
        return recorder


class TestFactory(OnKafka, InfrastructureFactoryTestCase):
    """Tracking and process recorders there are none: positions live in the sinks."""

    def setUp(self) -> None:
        settings = {
            "PERSISTENCE_MODULE": "streams.kafka",
            KAFKA_TOPIC: self.connection.commands_topic,
            **self.connection.environment(),
        }
        self.env = Environment("TestCase", settings)
        super().setUp()

    def expected_factory_class(self) -> type[KafkaFactory]:
        return KafkaFactory

    def expected_aggregate_recorder_class(self) -> type[AggregateRecorder]:
        return KafkaAggregateRecorder

    def expected_application_recorder_class(self) -> type[ApplicationRecorder]:
        return KafkaApplicationRecorder

    def expected_tracking_recorder_class(self):
        raise AssertionError("there is none")

    tracking_recorder_subclass = expected_tracking_recorder_class
    expected_process_recorder_class = expected_tracking_recorder_class

    def test_create_tracking_recorder(self) -> None:
        with pytest.raises(NotImplementedError, match="sinks"):
            self.factory.tracking_recorder()

    def test_create_process_recorder(self) -> None:
        with pytest.raises(NotImplementedError, match="sinks"):
            self.factory.process_recorder()


del AggregateRecorderTestCase, ApplicationRecorderTestCase
del InfrastructureFactoryTestCase, NonInterleavingNotificationIDsBaseCase
