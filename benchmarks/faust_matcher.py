"""`python -m benchmarks.faust_matcher`: the matching worker alone, through Faust, on a real broker.

Prints one JSON line each, for records of 4,096 commands and of one. `catch_up`: a worker starts on
a log that is there already; `follow`: the log is written, as fast as a broker takes it, while a
worker follows; `embedded`: the same batches by the embedded mode's matcher, from file to file.
`commands_per_second` runs from the first to the last answer in the event log; in `follow` from the
first command that was sent. Nothing reads the event log but the clock of this benchmark.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition
from eventsourcing.persistence import StoredEvent

from benchmarks.flows import Market
from cli.servers import KafkaServer
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaEventLog
from streams.kafka.records import encode
from streams.kafka.topics import create_topics
from streams.logs import COMMAND_TOPIC, SQLiteCommandLog, SQLiteEventLog
from streams.matcher import Matcher, MatcherLimits
from streams.workers.matching import Matching
from streams.workers.running import run_worker

ROOT: Final = Path(__file__).resolve().parents[1]
INSTRUMENTS: Final = 50
COMMANDS: Final = 4_000_000
SMALL_COMMANDS: Final = 40_000
LARGE_BATCH: Final = 4_096
RECORD_BYTES_MAX: Final = 900_000
LOOK_S: Final = 0.02
WAIT_S: Final = 300.0


def batches_of(commands: int, size: int) -> list[tuple[bytes, int, bytes]]:
    """(session, batch number, batch): listings, then the flow in batches of `size` commands."""
    market = Market(INSTRUMENTS, batch_commands=size)
    batches = [*market.opening(), *market.flow(commands)]
    return [(market.session, number, batch) for number, batch in enumerate(batches, start=1)]


def write(connection: KafkaConnection, batches: Sequence[tuple[bytes, int, bytes]]) -> None:
    """Append to the command log of shard 0, one record a batch, as gateways would in all."""
    producer = Producer(
        connection.client(enable_idempotence=True, acks="all", linger_ms=1, message_max_bytes=2**20)
    )
    for session, number, batch in batches:
        value, headers = encode(StoredEvent(UUID(bytes=session), number, COMMAND_TOPIC, batch))
        while True:
            try:
                producer.produce(connection.commands_topic, value, partition=0, headers=headers)
                break
            except BufferError:
                producer.poll(0.01)
    producer.flush()


@contextmanager
def worker_of(connection: KafkaConnection) -> Iterator[psutil.Process]:
    """A matching worker in a process of its own, without snapshots."""
    arguments = ["--worker", connection.bootstrap_servers, connection.topic_prefix]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.faust_matcher", *arguments], cwd=ROOT
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(15.0)


def work(bootstrap: str, prefix: str) -> None:
    """Be that worker."""
    connection = KafkaConnection(bootstrap, prefix)
    kind = Matching(connection, limits=MatcherLimits(), snapshots=None)
    run_worker(kind, connection, instance=None, stop=threading.Event())


class Written:
    """How many records an event log has: asking is cheap, and disturbs what is measured less than
    reading them.
    """

    def __init__(self, connection: KafkaConnection) -> None:
        self._consumer = Consumer(connection.client(group_id="benchmark"))
        self._place = TopicPartition(connection.events_topic, 0)

    def wait_for(self, count: int) -> tuple[float, int]:
        """When there were so many or more, and how many."""
        deadline = time.monotonic() + WAIT_S
        while (found := self._consumer.get_watermark_offsets(self._place, timeout=10.0)[1]) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the event log has {found} of {count} records")
            time.sleep(LOOK_S)
        return time.monotonic(), found

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


def measured(
    bootstrap: str, prefix: str, batches: Sequence[tuple[bytes, int, bytes]], *, follow: bool
) -> dict[str, float]:
    """Seconds from the first to the last answer, and what the worker's process used of the CPU."""
    connection = KafkaConnection(bootstrap, prefix)
    topics = {"replication_factor": 1, "min_insync_replicas": 1}
    create_topics(connection, 1, record_bytes_max=RECORD_BYTES_MAX, **topics)
    written = Written(connection)
    opening, rest = batches[:1], batches[1:]
    write(connection, opening if follow else batches)
    with worker_of(connection) as worker:
        began, first = written.wait_for(1)
        if follow:
            began, first = time.monotonic(), 1
            write(connection, rest)
        used = worker.cpu_times()
        ended, last = written.wait_for(len(batches))
        now = worker.cpu_times()
    written.close()
    events = KafkaEventLog(connection, 0)
    assert events.tail().position == last == len(batches), "a batch took more than one record"
    events.close()
    seconds = ended - began
    cpu = now.user + now.system - used.user - used.system
    return {"seconds": seconds, "cpu_seconds": cpu, "batches": last - first}


def embedded(folder: Path, batches: Sequence[tuple[bytes, int, bytes]]) -> dict[str, float]:
    """The embedded mode's matcher on the same batches."""
    commands, events = SQLiteCommandLog(folder, 0), SQLiteEventLog(folder, 0)
    for session, number, batch in batches:
        commands.append(session, number, batch)
    matcher = Matcher(commands, events, snapshots=None, limits=MatcherLimits())
    matcher.recover()
    began, used = time.monotonic(), time.process_time()
    while matcher.step():
        pass
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    commands.close()
    events.close()
    return {"seconds": seconds, "cpu_seconds": cpu, "batches": len(batches)}


def report(name: str, size: int, found: dict[str, float]) -> None:
    """One JSON line."""
    commands = found["batches"] * size
    line = {
        "benchmark": f"faust_matcher {name}",
        "commands_a_record": size,
        "commands": round(commands),
        "commands_per_second": round(commands / found["seconds"]),
        "records_per_second": round(found["batches"] / found["seconds"]),
        "worker_cpu_seconds": round(found["cpu_seconds"], 2),
    }
    print(json.dumps(line), flush=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commands", type=int, default=COMMANDS)
    parser.add_argument("--small-commands", type=int, default=SMALL_COMMANDS)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    with tempfile.TemporaryDirectory(prefix="crossbook-bench-") as temporary:
        folder = Path(temporary)
        server = KafkaServer(folder / "kafka")
        server.start()
        try:
            for size, commands in ((LARGE_BATCH, options.commands), (1, options.small_commands)):
                batches = batches_of(commands, size)
                for name, follow in (("catch_up", False), ("follow", True)):
                    prefix = f"{name}-{size}."
                    found = measured(server.bootstrap_servers, prefix, batches, follow=follow)
                    report(name, size, found)
                report("embedded", size, embedded(folder / f"embedded-{size}", batches))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
