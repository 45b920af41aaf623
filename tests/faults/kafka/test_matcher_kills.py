"""SIGKILL of matching workers at random instants under load: what was acknowledged is in the
command log, and the event log is what a fresh run of it gives.
"""

from __future__ import annotations

import random
import time

import pytest

from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaCommandLog, KafkaEventLog
from tests.faults.options import KILLS
from tests.integration.workers.commands import Sender, check_journal, fill
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import (
    WorkerProcess,
    judge_events,
    wait_for,
    wait_until_matched,
)

SHARDS = 2
WORKERS = ("m1", "m2")
SECONDS_A_KILL = 20.0
PAUSE_S = (0.0, 1.0)


@pytest.fixture
def kafka_shards() -> int:
    """One for each worker."""
    return SHARDS


def recovery_s(connection: KafkaConnection) -> float:
    """How long it takes from now until every shard has answered what is written by now."""
    began = time.monotonic()
    for shard in range(SHARDS):
        commands, events = KafkaCommandLog(connection, shard), KafkaEventLog(connection, shard)
        head = commands.head()
        wait_for(
            f"shard {shard} at {head}",
            lambda events=events, head=head: events.tail().position >= head,
        )
        commands.close()
        events.close()
    return time.monotonic() - began


@pytest.mark.timeout(KILLS * SECONDS_A_KILL + 120.0)
def test_matchers_killed_at_random_instants_lose_repeat_and_change_nothing(
    kafka_connection: KafkaConnection, start_worker: StartWorker, seed: int
) -> None:
    randoms = random.Random(seed)
    senders = []
    for shard in range(SHARDS):
        fill(kafka_connection, shard, 5, seed=seed)
        senders.append(Sender(kafka_connection, shard, seed=seed + 1))
    workers: dict[str, WorkerProcess] = {
        name: start_worker("matching", INSTANCE=name) for name in WORKERS
    }
    recovery_s(kafka_connection)
    for sender in senders:
        sender.start()
    took: list[float] = []
    for kill in range(KILLS):
        time.sleep(randoms.uniform(*PAUSE_S))  # the instant, not a wait for anything
        victim = WORKERS[kill % len(WORKERS)]
        workers[victim].kill()
        workers[victim] = start_worker("matching", INSTANCE=victim)
        took.append(recovery_s(kafka_connection))
    for sender in senders:
        sender.finish()
    repeats = []
    for sender in senders:
        wait_until_matched(kafka_connection, sender.shard)
        assert check_journal(kafka_connection, sender) > 0
        repeats.append(judge_events(kafka_connection, sender.shard))
    took.sort()
    print(
        f"{KILLS} kills; {sum(len(sender.acknowledged) for sender in senders)} batches "
        f"acknowledged; {sum(repeats)} records repeated; recovery {took[len(took) // 2]:.2f} s, "
        f"at most {took[-1]:.2f} s"
    )
    assert [worker.stop() for worker in workers.values()] == [0] * len(WORKERS)
