"""What a gateway on Kafka needs beside it: matchers in a thread, and instruments to trade."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from confluent_kafka import KafkaException
from eventsourcing.persistence import PersistenceError

from domain.commands import Command, ListInstrument, SetAccount, SubmitOrder
from domain.wire import encode_batch, encode_command
from streams.drivers import GO_ON, MatcherDriver, Waker
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaCommandLog, KafkaEventLog
from streams.matcher import Matcher, MatcherLimits

RETRY_S = 0.2
LOOK_S = 0.01
SYSTEM = bytes(8) + b"a system"
ACCOUNT = 1
INSTRUMENT = 1


class Silent:
    """A waker that tells nobody: whoever waits looks by itself."""

    def send(self, name: str, topic: str, shard: int, position: int) -> bool:
        return True


class Matching:
    """Every shard's matcher, in one thread, which begins again after each error of the broker."""

    def __init__(
        self, connection: KafkaConnection, shards: int, waker: Waker | None = None
    ) -> None:
        self._connection, self._shards = connection, shards
        self._waker = waker or Silent()
        self._stop = threading.Event()
        self._may_match = threading.Event()
        self._may_match.set()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="matching")
        self._thread.start()

    def pause(self) -> None:
        """Match nothing until `go_on`; a turn that is under way is waited for."""
        self._may_match.clear()
        with self._turn:
            pass

    def go_on(self) -> None:
        self._may_match.set()

    def close(self) -> None:
        self._stop.set()
        self._may_match.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._match()
            except (PersistenceError, KafkaException):
                self._stop.wait(RETRY_S)

    def _match(self) -> None:
        logs = [
            (KafkaCommandLog(self._connection, shard), KafkaEventLog(self._connection, shard))
            for shard in range(self._shards)
        ]
        try:
            matchers = [
                Matcher(commands, events, snapshots=None, limits=MatcherLimits())
                for commands, events in logs
            ]
            for matcher in matchers:
                matcher.recover()
            driver = MatcherDriver(matchers, self._waker)
            while not self._stop.is_set():
                self._may_match.wait()
                with self._turn:
                    idle = self._may_match.is_set() and driver.turn() is not GO_ON
                if idle:
                    self._stop.wait(LOOK_S)
        finally:
            for commands, events in logs:
                commands.close()
                events.close()


def patient(connection: KafkaConnection) -> KafkaConnection:
    """The same broker, for tests that are not about its absence: a busy machine is slow."""
    return replace(connection, answer_timeout_s=10.0, down_timeout_s=10.0, delivery_timeout_s=30.0)


def list_instruments(connection: KafkaConnection, shards: int) -> None:
    """One account and one instrument in every shard, without a directory."""
    for shard in range(shards):
        log = KafkaCommandLog(connection, shard)
        log.append(SYSTEM, 1, batch_of([SetAccount(ACCOUNT), listing()]))
        log.close()


def listing() -> Command:
    return ListInstrument(INSTRUMENT, b"AAPL", 100, 1)


def batch_of(commands: Sequence[Command], *, session: bytes = SYSTEM, number: int = 1) -> bytes:
    return encode_batch(session, number, 0, [encode_command(each) for each in commands])


def submit_command(
    quantity: int, client_order_id: str = "", *, price_ticks: int = 10_000
) -> SubmitOrder:
    """A bid that rests."""
    return SubmitOrder(
        ACCOUNT, INSTRUMENT, 0, 0, 0, price_ticks, quantity, client_order_id.encode()
    )


def submit(quantity: int, client_order_id: str = "") -> bytes:
    """The record of a bid that rests."""
    return encode_command(submit_command(quantity, client_order_id))


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait, in a thread, for a condition. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(LOOK_S)
