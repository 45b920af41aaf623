"""Command batches for the benchmarks of scale: listings, resting orders, and a realistic flow.

Guarantees: the same arguments give the same bytes; every submit that asks for a client order id has
one of its own; an order id that a cancel or a replace names was given to an order that rested when
it was sent (it may have traded since, as in any market). Batches are made lazily, so that what they
hold is in no one's memory while that is measured.

A flow is 44 submits that rest, 10 immediate-or-cancel that trade, 41 cancels and 5 replaces in a
hundred. Of the orders that are cancelled or replaced `RECENT` in ten came in lately, the others are
any that rest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from random import Random
from typing import Final

from domain.batch import EventBatch
from domain.codes import BUY, GTC, IOC, LIMIT, REPLACE_REQUEUE
from domain.commands import ListInstrument, SetAccount
from domain.exchange import Exchange
from domain.wire import encode_batch, encode_command, seal_events

SESSION: Final = b"benchmark-flows-"
BATCH_COMMANDS: Final = 4096
RECORD_BYTES_MAX: Final = 900_000
ACCOUNTS: Final = 100
MIDDLE_TICKS: Final = 1_000_000
TICK_SIZE: Final = 100
RECENT: Final = 8
RECENT_ORDERS: Final = 2_000
CANCEL_STRIDE: Final = 104_729  # a prime: it meets every order of a book once
TRADES_THROUGH: Final = 8  # levels on the other side that an order which trades may reach
KINDS: Final = "r" * 44 + "t" * 10 + "c" * 41 + "p" * 5

SUBMIT: Final = struct.Struct("<4s4BIIII")
NAME: Final = b"%016d"
CANCEL: Final = struct.Struct("<8sIIQ")
REPLACE: Final = struct.Struct("<8sIIQII")
SUBMIT_HEAD: Final = bytes([1, 3, 0, 0])
SUBMIT_NAMED_HEAD: Final = bytes([1, 5, 16, 0])
CANCEL_HEAD: Final = bytes([2, 3, 0, 0, 0, 0, 0, 0])
REPLACE_HEAD: Final = bytes([3, 4, 0, REPLACE_REQUEUE, 0, 0, 0, 0])


class Market:
    """A client that knows what it sent. `levels` is how many prices each side's orders lie on,
    `spread_ticks` apart, from the middle outwards; `named` gives every submit a client order id.
    One that does not remember takes no memory of its own; it has `resting` and `cancels` alone.
    """

    def __init__(
        self,
        instruments: int = 1,
        *,
        levels: int = 1_000,
        named: bool = True,
        remembers: bool = True,
        seed: int = 1,
        batch_commands: int = BATCH_COMMANDS,
        tick_size: int = TICK_SIZE,
        middle_ticks: int = MIDDLE_TICKS,
        spread_ticks: int = TICK_SIZE,
        accounts: int = ACCOUNTS,
        session: bytes = SESSION,
    ) -> None:
        assert levels * spread_ticks < middle_ticks, "a price below 1"
        self.instruments = instruments
        self.tick_size = tick_size
        self.middle_ticks = middle_ticks
        self.spread_ticks = spread_ticks
        self.levels = levels
        self.named = named
        self.remembers = remembers
        self.batch_commands = batch_commands
        self.accounts = accounts
        self.session = session
        self.position = 0  # of the last batch made
        self.batch_number = 0
        self._random = Random(seed)
        self._names = 0
        self._resting: list[tuple[int, int, int]] = []  # (order id, account, instrument)

    def opening(self) -> list[bytes]:
        """Batches that list the instruments and register the accounts."""
        records = [encode_command(SetAccount(1 + number)) for number in range(self.accounts)]
        for number in range(1, self.instruments + 1):
            listing = ListInstrument(number, b"B%d" % number, self.tick_size, 1)
            records.append(encode_command(listing))
        return list(self._sealed(iter(records)))

    def resting(self, count: int) -> Iterator[bytes]:
        """Batches of `count` orders that rest, spread evenly over instruments, sides and levels."""
        return self._sealed(self._resting_record(number) for number in range(count))

    def flow(self, count: int) -> Iterator[bytes]:
        """Batches of the flow above, `count` commands in all."""
        kinds = self._random.choices(KINDS, k=min(count, 1 << 16))
        return self._sealed(self._flow_record(kinds[at & 0xFFFF]) for at in range(count))

    def churn(self, count: int) -> Iterator[bytes]:
        """Batches of `count` commands, by turns an order that rests and the cancel of one sent
        before: the book stays as it is.
        """
        return self._sealed(self._churn_record(number) for number in range(count))

    def cancels(self, first_position: int, count: int) -> Iterator[bytes]:
        """Batches that cancel the `count` orders that `resting` made from that position on, in
        strides through the book.
        """
        return self._sealed(
            self._cancel_of(first_position, at * CANCEL_STRIDE % count) for at in range(count)
        )

    # --- records ----------------------------------------------------------------------------------

    def _sealed(self, records: Iterator[bytes]) -> Iterator[bytes]:
        self._index = 0
        while group := list(islice(self._counted(records), self.batch_commands)):
            self.position += 1
            self.batch_number += 1
            yield encode_batch(self.session, self.batch_number, 0, group)

    def _counted(self, records: Iterator[bytes]) -> Iterator[bytes]:
        """So that `_born` knows each record's place in its batch."""
        self._index = -1
        while True:
            self._index += 1
            record = next(records, None)
            if record is None:
                return
            yield record

    def _born(self) -> int:
        return (self.position + 1) << 16 | self._index

    def _submit(self, account: int, instrument: int, side: int, price: int, tif: int) -> bytes:
        head = SUBMIT_NAMED_HEAD if self.named else SUBMIT_HEAD
        quantity = 100 + (self._index & 0x1F)
        record = SUBMIT.pack(head, side, LIMIT, tif, 0, account, instrument, price, quantity)
        if not self.named:
            return record
        self._names += 1
        return record + NAME % self._names

    def _rest(self, number: int, away: int) -> bytes:
        side = number & 1
        instrument = 1 + (number >> 1) % self.instruments
        account = 1 + number % self.accounts
        ticks = self.spread_ticks * (1 + away)
        price = self.middle_ticks + (-ticks if side == BUY else ticks)
        if self.remembers:
            self._resting.append((self._born(), account, instrument))
        return self._submit(account, instrument, side, price, GTC)

    def _resting_record(self, number: int) -> bytes:
        return self._rest(number, number // (2 * self.instruments) % self.levels)

    def _flow_record(self, kind: str) -> bytes:
        if kind == "r" or not self._resting:
            # Most orders come near the top of the book.
            away = min(self.levels - 1, int(self._random.expovariate(0.1)))
            return self._rest(self._random.getrandbits(30), away)
        if kind == "t":
            return self._trade()
        at = self._known()
        return self._cancel(at) if kind == "c" else self._replace(at)

    def _churn_record(self, number: int) -> bytes:
        if number & 1 and self._resting:
            return self._cancel(self._known())
        return self._rest(number >> 1, self._random.randrange(self.levels))

    def _known(self) -> int:
        """The place of an order that rests, as far as is known."""
        count = len(self._resting)
        if self._random.randrange(10) < RECENT:
            return count - 1 - self._random.randrange(min(count, RECENT_ORDERS))
        return self._random.randrange(count)

    def _trade(self) -> bytes:
        number = self._random.getrandbits(30)
        side = number & 1
        instrument = 1 + (number >> 1) % self.instruments
        ticks = self.spread_ticks * TRADES_THROUGH
        price = self.middle_ticks + (ticks if side == BUY else -ticks)
        return self._submit(1 + number % self.accounts, instrument, side, price, IOC)

    def _cancel(self, at: int) -> bytes:
        order_id, account, instrument = self._resting[at]
        self._resting[at] = self._resting[-1]
        self._resting.pop()
        return CANCEL.pack(CANCEL_HEAD, account, instrument, order_id)

    def _cancel_of(self, first_position: int, number: int) -> bytes:
        position = first_position + number // self.batch_commands
        order_id = position << 16 | number % self.batch_commands
        instrument = 1 + (number >> 1) % self.instruments
        return CANCEL.pack(CANCEL_HEAD, 1 + number % self.accounts, instrument, order_id)

    def _replace(self, at: int) -> bytes:
        order_id, account, instrument = self._resting[at]
        quantity = 50 + self._random.getrandbits(6)
        return REPLACE.pack(REPLACE_HEAD, account, instrument, order_id, 0, quantity)


def run(exchange: Exchange, batches: Iterable[bytes]) -> int:
    """Apply batches at the engine's next positions; returns how many bytes of events came out."""
    size = 0
    for batch in batches:
        size += len(exchange.apply(exchange.position + 1, batch))
    return size


class Log:
    """The engine's event batches for a market's commands."""

    def __init__(self) -> None:
        self.exchange = Exchange(0)
        self.chain = bytes(32)

    def answer(self, commands: bytes) -> EventBatch:
        """The next batch."""
        image = self.exchange.apply(self.exchange.position + 1, commands)
        parts, self.chain = seal_events(image, self.chain, RECORD_BYTES_MAX)
        return EventBatch.of_parts(parts)
