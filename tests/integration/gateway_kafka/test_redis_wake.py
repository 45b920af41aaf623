"""Wakes over a real Redis, one that dies, and one that was never there."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import redis

from cli.servers import EmbeddedRedis
from streams.redis_wake import RedisWakeListener, RedisWaker, channel_of
from tests.integration.gateway_kafka.matching import wait_until

NOBODY = "redis://127.0.0.1:1/0"
WAIT_S = 30.0


class Heard:
    """What a listener is woken with."""

    def __init__(self) -> None:
        self.wakes: SimpleQueue[tuple[str, int, int]] = SimpleQueue()

    def __call__(self, topic: str, shard: int, position: int) -> None:
        self.wakes.put((topic, shard, position))


def until_heard(waker: RedisWaker, heard: Heard, name: str, topic: str, position: int) -> None:
    """Wake again and again, as a hint may be lost, until it is heard."""
    deadline = time.monotonic() + WAIT_S
    while True:
        assert waker.send(name, topic, 1, position)
        found = set()
        while not heard.wakes.empty():
            found.add(heard.wakes.get())
        if (topic, 1, position) in found:
            return
        assert time.monotonic() < deadline, "no wake came"
        time.sleep(0.01)


def test_wakes_go_to_those_they_name_and_no_further(redis_url: str) -> None:
    api, other, elsewhere = Heard(), Heard(), Heard()
    listeners = [
        RedisWakeListener(redis_url, "a.", ["api"], api),
        RedisWakeListener(redis_url, "a.", ["directory"], other),
        RedisWakeListener(redis_url, "b.", ["api"], elsewhere),
    ]
    waker, stranger = RedisWaker(redis_url, "a."), RedisWaker(redis_url, "b.")
    until_heard(waker, api, "api", "postgres", 7)
    until_heard(waker, other, "directory", "directory", 8)
    until_heard(stranger, elsewhere, "api", "events", 9)
    assert {each[0] for each in drained(api)} <= {"postgres"}
    assert {each[0] for each in drained(other)} <= {"directory"}
    for each in (*listeners, waker, stranger):
        each.close()


def test_what_is_no_wake_is_passed_over(redis_url: str) -> None:
    heard = Heard()
    listener = RedisWakeListener(redis_url, "", ["api"], heard)
    waker = RedisWaker(redis_url, "")
    until_heard(waker, heard, "api", "postgres", 1)
    with redis.Redis.from_url(redis_url) as client:
        for message in (b"\xff\xfe", b"", b"postgres", b"postgres 1 -4", b"postgres x 4"):
            assert client.publish(channel_of("", "api"), message) == 1
    until_heard(waker, heard, "api", "postgres", 2)
    assert {each[2] for each in drained(heard)} <= {1, 2}
    listener.close()
    waker.close()


def test_a_redis_that_dies_is_found_again(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "redis", tmp_path / "run")
    server.start()
    heard = Heard()
    listener = RedisWakeListener(server.url, "", ["api"], heard)
    waker = RedisWaker(server.url, "")
    until_heard(waker, heard, "api", "redis", 1)
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert waker.send("api", "redis", 1, 2)
    server.start()
    until_heard(waker, heard, "api", "redis", 3)
    listener.close()
    waker.close()
    server.stop()


def test_without_a_redis_nobody_waits() -> None:
    waker = RedisWaker(NOBODY, "")
    listener = RedisWakeListener(NOBODY, "", ["api"], Heard())
    sent = threading.Event()

    def send() -> None:
        for position in range(10_000):
            waker.send("api", "redis", position % 4, position)
        sent.set()

    thread = threading.Thread(target=send)
    thread.start()
    wait_until(sent.is_set)
    thread.join()
    listener.close()
    waker.close()


def drained(heard: Heard) -> list[tuple[str, int, int]]:
    found = []
    while not heard.wakes.empty():
        found.append(heard.wakes.get())
    return found
