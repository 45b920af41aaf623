"""Command batches for the workers' tests: some that trade, some that no engine can read; and a
sender that goes on until told, with a journal of what was acknowledged."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator
from typing import Final

from eventsourcing.persistence import IntegrityError, PersistenceError

from domain.commands import CancelOrder, Command, ListInstrument, SetAccount, SubmitOrder
from domain.wire import encode_batch, encode_command
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaCommandLog

INSTRUMENTS: Final = 4
ACCOUNTS: Final = 3
LISTING_SESSION: Final = bytes(8) + b"listings"
RETRY_S: Final = 0.05


def instruments_of(shard: int) -> range:
    """The numbers of a shard's instruments: no two shards share one."""
    return range(1 + shard * INSTRUMENTS, 1 + (shard + 1) * INSTRUMENTS)


def listing(shard: int) -> bytes:
    """The first batch of every log: accounts and instruments."""
    accounts: list[Command] = [SetAccount(number) for number in range(1, ACCOUNTS + 1)]
    instruments: list[Command] = [
        ListInstrument(number, b"S%dI%d" % (shard, number), 100, 1)
        for number in instruments_of(shard)
    ]
    encoded = [encode_command(each) for each in (*accounts, *instruments)]
    return encode_batch(LISTING_SESSION, 1, 1, encoded)


def orders(randoms: random.Random, shard: int, count: int) -> list[Command]:
    """Orders around one price, so that many of them trade, and some cancels of what may be gone."""
    made: list[Command] = []
    for _ in range(count):
        account, instrument = randoms.randint(1, ACCOUNTS), randoms.choice(instruments_of(shard))
        if randoms.random() < 0.1:
            made.append(CancelOrder(account, instrument, randoms.getrandbits(40)))
            continue
        price = 10_000 + 100 * randoms.randint(-5, 5)
        side, quantity = randoms.randint(0, 1), randoms.randint(1, 50)
        made.append(
            SubmitOrder(account, instrument, side, 0, randoms.choice((1, 1, 1, 3)), price, quantity)
        )
    return made


def batches(
    seed: int, shard: int, count: int, size: int = 20
) -> Iterator[tuple[bytes, int, bytes]]:
    """(session, batch number, batch) of one session; every fiftieth is garbage."""
    randoms = random.Random(seed * 1_000 + shard)
    session = uuid.UUID(int=randoms.getrandbits(128), version=4).bytes
    for number in range(1, count + 1):
        if number % 50 == 49:
            yield session, number, randoms.randbytes(randoms.randint(0, 200))
        else:
            encoded = [encode_command(each) for each in orders(randoms, shard, size)]
            yield session, number, encode_batch(session, number, number, encoded)


def fill(
    connection: KafkaConnection, shard: int, count: int, *, seed: int = 1, size: int = 20
) -> None:
    """A listing, then `count` batches of `size` commands."""
    log = KafkaCommandLog(connection, shard)
    if log.head() == 0:
        log.append(LISTING_SESSION, 1, listing(shard))
    for session, number, batch in batches(seed, shard, count, size):
        log.append(session, number, batch)
    log.close()


class Sender(threading.Thread):
    """Writes batches to one shard until stopped, as a gateway would: after an error it asks the log
    whether its batch is there before it goes on.
    """

    def __init__(
        self, connection: KafkaConnection, shard: int, seed: int, *, pause_s: float = 0.01
    ) -> None:
        super().__init__(name=f"sender-{shard}", daemon=True)
        self.shard = shard
        self.acknowledged: list[tuple[int, bytes]] = []
        self.retries = 0
        self.failure: BaseException | None = None
        self._connection = connection
        self._seed = seed
        self._pause_s = pause_s
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Send."""
        log = KafkaCommandLog(self._connection, self.shard)
        try:
            for session, number, batch in batches(self._seed, self.shard, 1_000_000):
                if self._stop_asked.is_set():
                    break
                self._stop_asked.wait(self._pause_s)
                position = self._sent(log, session, number, batch)
                if position is not None:
                    self.acknowledged.append((position, batch))
        except BaseException as error:  # noqa: BLE001 - told by `finish`
            self.failure = error
        finally:
            log.close()

    def _sent(self, log: KafkaCommandLog, session: bytes, number: int, batch: bytes) -> int | None:
        while not self._stop_asked.is_set():
            try:
                return log.append(session, number, batch)
            except IntegrityError:
                return log.position_of(session, number)
            except PersistenceError:
                self.retries += 1
                self._stop_asked.wait(RETRY_S)
        return None

    def finish(self) -> list[tuple[int, bytes]]:
        """Stop; the journal of (position, batch)."""
        self._stop_asked.set()
        self.join(30.0)
        assert not self.is_alive()
        if self.failure is not None:
            raise self.failure
        return self.acknowledged


def check_journal(connection: KafkaConnection, sender: Sender) -> int:
    """Every acknowledged batch lies at its position, and nowhere else. Returns how many."""
    log = KafkaCommandLog(connection, sender.shard)
    held: dict[int, bytes] = {}
    position = 0
    while rows := log.read(position, 512):
        held.update(rows)
        position = rows[-1][0]
    log.close()
    for position, batch in sender.acknowledged:
        assert held.get(position) == batch, f"shard {sender.shard}: position {position} is lost"
    decodable = [batch for _, batch in sender.acknowledged if len(batch) > 200]
    assert len(set(decodable)) == len(decodable)
    stored = list(held.values())
    for batch in decodable[-50:]:
        assert stored.count(batch) == 1, "a batch is there twice"
    return len(sender.acknowledged)
