"""Wakes between processes of the distributed mode: Redis pub/sub, one channel a name.

Guarantees: `RedisWaker.send` never blocks and never raises; of several wakes about the same thing
that wait, the newest goes out; a Redis that is gone costs hints alone, and both sides find it again
by themselves. A wake may be lost: whoever waits also looks by itself now and then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 2.0
TIMEOUT_S: Final = 2.0
RETRY_S: Final = 0.5
POLL_S: Final = 0.5
# A connection that nobody tells is dead is noticed after so long.
HEALTH_CHECK_S: Final = 5

OnWake = Callable[[str, int, int], None]


def channel_of(prefix: str, name: str) -> str:
    """The channel on which `name` is woken; `prefix` parts exchanges that share a Redis, whose
    databases do not part channels.
    """
    return f"{prefix}crossbook.wake.{name}"


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        health_check_interval=HEALTH_CHECK_S,
        retry=Retry(NoBackoff(), 0),
    )


class RedisWaker:
    """Sends wakes from a thread of its own. What waits is bounded: one position for each name,
    topic and shard.
    """

    def __init__(self, redis_url: str, prefix: str) -> None:
        self._prefix = prefix
        self._client = _client(redis_url)
        self._waiting: dict[tuple[str, str, int], int] = {}
        self._news = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="redis-waker", daemon=True)
        self._thread.start()

    def send(self, name: str, topic: str, shard: int, position: int) -> bool:
        """Wake `name`, sooner or later or, without a Redis, not at all. Always True."""
        with self._news:
            self._waiting[name, topic, shard] = position
            self._news.notify()
        return True

    def close(self) -> None:
        """Send what waits, if Redis takes it at once, and stop."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        refused = 0
        while True:
            with self._news:
                while not self._waiting and not self._closing:
                    self._news.wait()
                if not self._waiting:
                    return
                wakes, self._waiting = self._waiting, {}
            try:
                self._publish(wakes)
            except (redis.RedisError, OSError) as error:
                refused += 1
                if refused == 1:
                    log.warning("redis takes no wakes: %r; others notice a little later", error)
                with self._news:
                    self._news.wait_for(lambda: self._closing, RETRY_S)
            else:
                if refused:
                    log.info("redis takes wakes again")
                refused = 0

    def _publish(self, wakes: dict[tuple[str, str, int], int]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            for (name, topic, shard), position in wakes.items():
                channel = channel_of(self._prefix, name)
                pipeline.publish(channel, f"{topic} {shard} {position}")
            pipeline.execute()


class RedisWakeListener:
    """Calls `on_wake(topic, shard, position)` in a thread of its own for each wake of `names`."""

    def __init__(self, redis_url: str, prefix: str, names: Iterable[str], on_wake: OnWake) -> None:
        self._client = _client(redis_url)
        self._channels = [channel_of(prefix, name) for name in names]
        self._on_wake = on_wake
        self._deaf = False  # told once an outage
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redis-wakes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except (redis.RedisError, OSError) as error:
                if not self._deaf:
                    log.warning("redis sends no wakes: %r; we look by ourselves", error)
                self._deaf = True
                self._stop.wait(RETRY_S)

    def _listen(self) -> None:
        """Until told to stop, or the connection fails."""
        subscription = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        with subscription:
            subscription.subscribe(*self._channels)
            self._deaf = False
            while not self._stop.is_set():
                message = subscription.get_message(timeout=POLL_S)
                if message is not None:
                    self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        """What is not a wake of ours is passed over."""
        topic, _, rest = message["data"].decode("ascii", "replace").partition(" ")
        shard, _, position = rest.partition(" ")
        if shard.isdecimal() and position.isdecimal():
            self._on_wake(topic, int(shard), int(position))
