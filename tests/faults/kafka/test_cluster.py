"""A whole cluster under load and under attack: what was acknowledged is there once, and logs, rows
and books are those of a fresh run.

The tests share one cluster, and each leaves it whole.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter

import pytest
import redis

from cli.servers import KafkaServer
from tests.faults.connection import NOT_THERE, Connection, Reply
from tests.faults.exchange import POSTGRES, REDIS, wait_for
from tests.faults.kafka.cluster import FaultCluster
from tests.faults.killer import Killer
from tests.faults.load import Load
from tests.faults.observer import Observer
from tests.faults.options import KILLS
from tests.faults.verdict import judge

PART_KILLS = KILLS // 2 if KILLS >= 100 else max(1, KILLS // 4)
VICTIMS = ("redis-1", "postgres-1", "api-1", "api-2", "matching-1", "matching-2")
SECONDS_A_KILL = 12.0
BUSY = 300
WAIT_S = 120.0
OUTAGE_S = 60.0 if KILLS >= 100 else 5.0
REPEATS = 100
STOP_WITHIN_S = 40.0  # four groups of processes in turn, each of which has ten seconds

pytestmark = pytest.mark.timeout(PART_KILLS * SECONDS_A_KILL * 4 + 600.0)


class Busy:
    """A cluster with clients of every gateway and an observer of each."""

    def __init__(self, cluster: FaultCluster, seed: int) -> None:
        credentials = cluster.run.read_credentials()
        self.cluster = cluster
        self.load: Load = cluster.load(seed)
        self.observers = [
            Observer(self.load, credentials, port, seed + port) for port in cluster.ports
        ]
        self.load.start()
        for observer in self.observers:
            observer.start()
        self.go_on()

    def go_on(self) -> None:
        """Wait for some more answers."""
        goal = self.load.acknowledged + BUSY
        wait_for("answers", lambda: self.load.acknowledged >= goal, WAIT_S)

    def finish(self) -> Counter[str]:
        """Some more load, then the whole judgement."""
        self.go_on()
        journal = self.load.stop()
        for observer in self.observers:
            observer.stop()
        self.cluster.copy_anew()
        found = judge(self.cluster, journal, self.observers)
        found["repeated records"] = self.cluster.judge_records()
        print(dict(found))
        return found


def test_workers_and_gateways_killed_at_random_instants(cluster: FaultCluster, seed: int) -> None:
    busy = Busy(cluster, seed)
    seconds = PART_KILLS * SECONDS_A_KILL
    killers = [
        Killer(cluster, name, kills=PART_KILLS, seconds=seconds, seed=seed) for name in VICTIMS
    ]
    for killer in killers:
        killer.start()
    for killer in killers:
        killer.finish(seconds * 4)
    found = busy.finish()
    assert [killer.killed for killer in killers] == [PART_KILLS] * len(VICTIMS)
    assert found["unanswered"] > 0, "the kills met no requests"
    assert found["snapshots"] > 0


def test_redis_flushed_and_killed_shows_no_wrong_book(cluster: FaultCluster, seed: int) -> None:
    busy = Busy(cluster, seed + 1)
    with redis.Redis.from_url(cluster.cluster.redis) as client:
        client.flushall()
    busy.go_on()
    cluster.wait_until_replaced(REDIS, cluster.kill(REDIS))
    found = busy.finish()
    assert found["books seen"] > 0


def test_postgres_stopped_in_immediate_mode(cluster: FaultCluster, seed: int) -> None:
    busy = Busy(cluster, seed + 2)
    for _ in range(2):
        process = cluster.process(POSTGRES)
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        cluster.wait_until_replaced(POSTGRES, process)
        busy.go_on()
    busy.finish()


def test_a_broker_outage_is_told_and_ends_by_itself(
    cluster: FaultCluster, own_broker: KafkaServer, seed: int
) -> None:
    busy = Busy(cluster, seed + 3)
    pid = own_broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for("the broker's end", lambda: own_broker.pid is None, WAIT_S)
    began = time.monotonic()
    refused: list[tuple[float, Reply]] = []
    key = cluster.key("player").key
    while time.monotonic() < began + OUTAGE_S:
        connection = Connection(cluster.ports[len(refused) % 2], key)
        asked = time.monotonic()
        reply = connection.send("POST", "/v1/orders", _order(f"outage-{seed}-{len(refused)}"))
        refused.append((time.monotonic() - asked, reply))
        connection.close()
        time.sleep(0.2)  # a client's pace
    own_broker.start()
    up_again = time.monotonic()
    busy.go_on()
    resumed_s = time.monotonic() - up_again
    longest_s = max(took for took, _ in refused)
    print(f"{len(refused)} refused, within {longest_s:.2f} s; resumed after {resumed_s:.1f} s")
    statuses = Counter((reply.status, reply.retry_after is not None) for _, reply in refused)
    assert statuses == {(503, True): len(refused)}, statuses
    busy.finish()


def _order(client_order_id: str) -> dict[str, object]:
    terms = {"symbol": "KO", "side": "buy", "type": "limit", "time_in_force": "day"}
    return {**terms, "price": "1.00", "quantity": 1, "client_order_id": client_order_id}


def test_one_client_order_id_a_hundred_times_at_once_and_across_kills(
    cluster: FaultCluster, seed: int
) -> None:
    key = cluster.key("demo").key
    body = _order(f"once-{seed}")
    answers: list[Reply] = []

    def send(port: int) -> None:
        deadline = time.monotonic() + WAIT_S
        connection = Connection(port, key)
        while time.monotonic() < deadline:
            try:
                reply = connection.send("POST", "/v1/orders", body)
            except NOT_THERE:
                reply = None
            if reply is not None and reply.status in (200, 201):
                answers.append(reply)
                break
            time.sleep(0.1)
        connection.close()

    ports = cluster.ports
    senders = [threading.Thread(target=send, args=(ports[n % 2],)) for n in range(REPEATS)]
    for number, sender in enumerate(senders):
        sender.start()
        if number == REPEATS // 2:
            killed = {name: cluster.kill(name) for name in ("api-1", "matching-1", "matching-2")}
    for sender in senders:
        sender.join()
    for name, process in killed.items():
        cluster.wait_until_replaced(name, process)
    assert len(answers) == REPEATS
    assert len({reply.body["order_id"] for reply in answers}) == 1
    found = cluster.get(f"/v1/orders/{answers[0].body['order_id']}", key).json()
    assert found["client_order_id"] == body["client_order_id"]


def test_a_stop_under_load_is_in_order_and_loses_nothing(cluster: FaultCluster, seed: int) -> None:
    busy = Busy(cluster, seed + 4)
    assert cluster.stop(STOP_WITHIN_S) == 0
    assert "did not stop" not in cluster.said()  # nothing was killed
    cluster.start()
    busy.finish()
