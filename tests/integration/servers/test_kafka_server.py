"""A Kafka broker of our own: started, adopted, killed, brought back on its port, stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from cli.servers import KafkaServer, ServerError, kafka_programs
from cli.servers.kafka import fresh_cluster_id, is_listening

WAIT_S = 30.0
TOPIC = "kept"


@pytest.fixture
def server(kafka_server: KafkaServer, tmp_path: Path) -> Iterator[KafkaServer]:
    """A broker of the test's own, to be killed; the session's shows that Java is here."""
    own = KafkaServer(tmp_path / "kafka")
    yield own
    own.stop()


def write_value(bootstrap: str, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(WAIT_S)
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(TOPIC, value)
    assert producer.flush(WAIT_S) == 0


def read_value(bootstrap: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    try:
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        found = consumer.consume(1, timeout=WAIT_S)
        return found[0].value() if found else None
    finally:
        consumer.close()


def test_a_broker_is_adopted_killed_brought_back_and_stopped(server: KafkaServer) -> None:
    server.start()
    before = server.bootstrap_servers
    second = KafkaServer(server.data_dir)
    second.start()
    assert second.pid == server.pid is not None
    write_value(before, b"still here")

    killed = server.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    second.start()
    assert second.pid not in (None, killed)
    assert second.bootstrap_servers == before
    assert read_value(before) == b"still here"

    pid = second.pid
    assert pid is not None
    server.stop()
    assert server.pid is None
    assert not is_listening(int(before.rpartition(":")[2]))
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    server.stop()  # nothing to do


def test_a_stranger_in_the_pid_file_is_left_alone(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    own = KafkaServer(tmp_path / "kafka")
    own.data_dir.mkdir()
    (own.data_dir / "kafka.pid").write_text(f"{os.getpid()}\n")
    assert own.pid is None
    own.stop()  # and we live on
    (own.data_dir / "kafka.pid").write_text(f"{kafka_server.pid}\n")
    assert own.pid is None  # a Java indeed, but another folder's


def test_a_named_port_that_is_taken_is_an_error(kafka_server: KafkaServer, tmp_path: Path) -> None:
    taken = int(kafka_server.bootstrap_servers.rpartition(":")[2])
    with pytest.raises(ServerError, match=f"port {taken} .* in use"):
        KafkaServer(tmp_path / "kafka", port=taken).start()


def test_without_java_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(kafka_programs, "wheel_folder", lambda _package: None)
    with pytest.raises(ServerError, match="apt-get install default-jre-headless maven"):
        KafkaServer(tmp_path / "kafka").start()


def test_without_maven_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kafka_programs, "java", lambda: tmp_path / "java")
    monkeypatch.setattr(kafka_programs, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="no Maven here"):
        KafkaServer(tmp_path / "kafka").start()


def test_a_cluster_id_is_never_an_option() -> None:
    made = {fresh_cluster_id() for _ in range(1000)}
    assert all(len(each) == 22 and not each.startswith("-") for each in made)
    assert len(made) == 1000
