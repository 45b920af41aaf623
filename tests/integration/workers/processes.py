"""Workers as processes of their own, as a user starts them, and the judge of what they wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

import psutil
from confluent_kafka import Consumer, TopicPartition

from domain.exchange import Exchange
from domain.wire import decode_event_header, seal_events
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaCommandLog, KafkaEventLog

ROOT: Final = Path(__file__).resolve().parents[3]
RECORD_BYTES_MAX: Final = 900_000
WAIT_S: Final = 60.0
POLL_S: Final = 0.02
RIVAL: Final = "tests.integration.workers.rival"
PAGE: Final = 512

T = TypeVar("T")


def wait_for(what: str, condition: Callable[[], T | None], wait_s: float = WAIT_S) -> T:
    """The first value of `condition` that is neither None nor False. Raises TimeoutError."""
    deadline = time.monotonic() + wait_s
    while True:
        found = condition()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {wait_s:.0f} s still waiting for {what}")
        time.sleep(POLL_S)


class WorkerProcess:
    """`crossbook worker KIND`, with its output in a file of `folder`."""

    def __init__(self, folder: Path, kind: str, environment: dict[str, str], **more: str) -> None:
        self.kind = kind
        self.log_path = folder / f"{kind}-{time.monotonic_ns()}.log"
        given = {name: value for name, value in os.environ.items() if "CROSSBOOK_" not in name}
        named = {f"CROSSBOOK_{name}": value for name, value in {**environment, **more}.items()}
        command = [RIVAL, kind] if kind.startswith("rival") else ["cli.main", "worker", kind]
        with self.log_path.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**given, **named},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self.log_path.read_text(errors="replace")

    def wait_until_says(self, text: str) -> None:
        """Wait for a line of its log."""

        def says() -> bool:
            assert self.process.poll() is None or text in self.said, self.said[-4_000:]
            return text in self.said

        wait_for(f"{text!r} of {self.kind}", says)

    def kill(self) -> None:
        """SIGKILL, and no trace left in the process table."""
        self.process.kill()
        self.process.wait()

    def stop(self, wait_s: float = 10.0) -> int:
        """SIGTERM; the exit code. Raises TimeoutExpired where it takes longer."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(wait_s)

    def listens_on(self) -> list[str]:
        """Every address that it listens on."""
        connections = psutil.Process(self.process.pid).net_connections("inet")
        return [str(each.laddr) for each in connections if each.status == psutil.CONN_LISTEN]


def wait_until_matched(connection: KafkaConnection, shard: int) -> int:
    """Wait until the event log answers the whole command log; its last position."""
    commands, events = KafkaCommandLog(connection, shard), KafkaEventLog(connection, shard)

    def reached() -> int | None:
        head = commands.head()
        return head if events.tail().position == head else None

    with closing(commands), closing(events):
        return wait_for(f"shard {shard}'s matcher", reached)


def fresh_run(connection: KafkaConnection, shard: int) -> list[list[bytes]]:
    """The records that each position of a command log must have, by an engine in this process."""
    log = KafkaCommandLog(connection, shard)
    exchange, chain = Exchange(shard), bytes(32)
    expected: list[list[bytes]] = []
    while rows := log.read(len(expected), PAGE):
        for position, batch in rows:
            image = exchange.apply(position, batch)
            records, chain = seal_events(image, chain, RECORD_BYTES_MAX)
            expected.append(records)
    log.close()
    return expected


def judge_events(connection: KafkaConnection, shard: int, *, ticking: bool = False) -> int:
    """Hold every record of an event log against a fresh run: each position is there, in order
    where it is new, and every repeat has the same bytes. Returns the number of repeats.

    `ticking`: commands still come, so that the last of them need not be answered."""
    records = raw_records(connection, connection.events_topic, shard)
    expected = fresh_run(connection, shard)
    complete = repeats = 0
    for record in records:
        header = decode_event_header(record)
        assert header.position <= len(expected), f"position {header.position} answers nothing"
        own = expected[header.position - 1]
        assert record == own[header.part], f"position {header.position} has other bytes"
        assert header.position <= complete + 1, f"position {complete + 1} is missing"
        if header.position <= complete:
            repeats += 1
        elif header.last:
            complete = header.position
    assert ticking or complete == len(expected), f"answered to {complete} of {len(expected)}"
    log = KafkaEventLog(connection, shard)
    read = 0
    while read < complete and (batches := log.read(read, PAGE)):
        assert [batch.position for batch in batches] == [
            read + number for number in range(1, len(batches) + 1)
        ]
        read = batches[-1].position
    log.close()
    assert read >= complete, f"readers get {read} of {complete}"
    return repeats


def raw_records(connection: KafkaConnection, topic: str, shard: int) -> list[bytes]:
    """Every record of a partition, as the broker holds it."""
    consumer = Consumer(
        {**connection.librdkafka(), "group.id": "judge", "enable.auto.commit": "false"}
    )
    place = TopicPartition(topic, shard, 0)
    _, end = consumer.get_watermark_offsets(place, timeout=10.0)
    consumer.assign([place])
    found: list[bytes] = []
    next_offset = 0
    while next_offset < end:
        message = consumer.poll(10.0)
        assert message is not None and message.error() is None, "the broker does not answer"
        value, offset = message.value(), message.offset()
        assert value is not None and offset is not None
        found.append(value)
        next_offset = offset + 1
    consumer.close()
    return found
