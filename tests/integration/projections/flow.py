"""Seeded order flow through the real engine, one shard at a time: event batches for the sinks, and
the engine beside them to compare with."""

from __future__ import annotations

import random

from domain.batch import START, EventBatch, Position
from domain.codes import BUY, DAY, IOC, LIMIT, MARKET, OPEN, PRICE_TICKS_MAX, SELL
from domain.commands import (
    CancelOrder,
    ClockTick,
    Command,
    ListInstrument,
    MassCancel,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)
from domain.exchange import Exchange
from domain.outcomes import ACCEPTED, outcomes_of
from domain.wire import encode_batch, encode_command, seal_events

DAY_BEGAN_NS = 1_700_000_000_000_000_000
SESSION = bytes(8) + b"testflow"
RECORD_BYTES_MAX = 900_000
MID = 1_000_000


class Flow:
    """An exchange of one shard with its event log so far in `batches`."""

    def __init__(self, shard: int = 0, seed: int = 1, *, instruments: int = 3, accounts: int = 4):
        self.shard = shard
        self.exchange = Exchange(shard)
        self.batches: list[EventBatch] = []
        self.instruments = instruments
        self.accounts = accounts
        self.client_ids = 0
        self._random = random.Random(seed)
        self._open: list[tuple[int, int, int]] = []
        listings = [ListInstrument(n, b"SYM%d" % n, 100, 1) for n in range(1, instruments + 1)]
        registered = [SetAccount(n) for n in range(1, accounts + 1)]
        self.run([ClockTick(DAY_BEGAN_NS), *listings, *registered])

    @property
    def at(self) -> Position:
        """The end of the event log."""
        return self.batches[-1].at if self.batches else START

    def run(self, commands: list[Command]) -> EventBatch:
        """Apply one batch of commands and append its events to the log."""
        position = self.exchange.position + 1
        time_ns = DAY_BEGAN_NS + position * 1_000_000
        records = [encode_command(command) for command in commands]
        image = self.exchange.apply(position, encode_batch(SESSION, position, time_ns, records))
        parts, _ = seal_events(image, self.at.chain, RECORD_BYTES_MAX)
        batch = EventBatch.of_parts(parts)
        self.batches.append(batch)
        return batch

    def go(self, batches: int = 1, commands: int = 500) -> list[EventBatch]:
        """Random flow: half submits of which about a fifth trade, 45 % cancels, 5 % replaces."""
        return [self._one(commands) for _ in range(batches)]

    def _one(self, count: int) -> EventBatch:
        commands: list[Command] = []
        draw = self._random.random
        for _ in range(count):
            kind = draw()
            if kind < 0.5 or len(self._open) < self.instruments * 20:
                commands.append(self._submit())
                continue
            at = self._random.randrange(len(self._open))
            account, instrument, order_id = self._open[at]
            if kind < 0.95:
                self._open[at] = self._open[-1]
                self._open.pop()
                commands.append(CancelOrder(account, instrument, order_id))
            else:
                quantity = self._random.randrange(1, 5) * 100
                commands.append(ReplaceOrder(account, instrument, order_id, 0, quantity))
        batch = self.run(commands)
        for outcome in outcomes_of(batch.record, 0, count):
            command = commands[outcome.command_index]
            if outcome.kind == ACCEPTED and outcome.leaves_quantity > 0:
                assert isinstance(command, SubmitOrder)
                self._open.append((command.account, command.instrument, outcome.order_id))
        return batch

    def go_wild(self, batches: int = 1, commands: int = 60) -> list[EventBatch]:
        """Random flow of every command, much of it refused: for tests of completeness."""
        return [self.run([self._wild() for _ in range(commands)]) for _ in range(batches)]

    def open_all(self) -> None:
        """Open every instrument and account again."""
        opened = [SetTradingState(n, OPEN) for n in range(1, self.instruments + 1)]
        self.run([*opened, *(SetAccount(n) for n in range(1, self.accounts + 1))])

    def _submit(self) -> SubmitOrder:
        draw = self._random
        side = draw.choice((BUY, SELL))
        instrument = draw.randint(1, self.instruments)
        away = draw.randint(1, 40) * 100
        crossing = draw.random() < 0.2
        if crossing:
            away = -draw.randint(5, 40) * 100
        price = MID - away if side == BUY else MID + away
        time_in_force = IOC if crossing else DAY
        self.client_ids += 1
        client_order_id = b"flow-%d-%d" % (self.shard, self.client_ids)
        account = draw.randint(1, self.accounts)
        quantity = draw.randint(1, 10) * 100
        return SubmitOrder(
            account, instrument, side, LIMIT, time_in_force, price, quantity, client_order_id
        )

    def _wild(self) -> Command:
        draw = self._random
        account = draw.randint(1, self.accounts)
        instrument = draw.randint(0, self.instruments)
        client_order_id = b"w%d" % draw.randint(1, 400)
        kind = draw.random()
        if kind < 0.55:
            return self._wild_submit(account, instrument)
        if kind < 0.75:
            return CancelOrder(account, instrument, 0, client_order_id)
        if kind < 0.93:
            price = draw.choice((0, MID, MID + 100, MID - 100))
            quantity = draw.choice((0, 1, 5, 20))
            flags = draw.randint(0, 3)
            return ReplaceOrder(account, instrument, 0, price, quantity, flags, client_order_id)
        if kind < 0.95:
            return MassCancel(draw.choice((0, account)), instrument, draw.randint(0, 3))
        if kind < 0.97:
            return SetTradingState(instrument, draw.choice((0, 0, 0, 1, 2, 3)))
        if kind < 0.98:
            return SetAccount(account, 0, draw.random() < 0.2)
        return ClockTick(DAY_BEGAN_NS + self.exchange.position * 1_000_000)

    def _wild_submit(self, account: int, instrument: int) -> SubmitOrder:
        draw = self._random
        order_type = draw.choice((LIMIT, LIMIT, LIMIT, MARKET))
        price = draw.choice((MID, MID + 100, MID - 100, MID + 200, MID - 200, 7, PRICE_TICKS_MAX))
        quantity = draw.choice((0, 1, 2, 5, 10, 10, 10, 30, 2**32 - 1))
        client_order_id = draw.choice((b"", b"w%d" % draw.randint(1, 400), b"\x00\xff bad"))
        return SubmitOrder(
            account,
            instrument,
            draw.choice((BUY, SELL, BUY, SELL, 2, 3)),
            order_type,
            draw.randint(0, 3),
            0 if order_type == MARKET else price,
            quantity,
            client_order_id,
        )
