"""Event batches for the WebSocket benchmark: the engine's own, of a few busy books near the touch.

Guarantees: the same arguments give the same batches; nearly every batch changes every book."""

from __future__ import annotations

import random
from typing import Final

from commands.directory.entries import InstrumentEntry
from domain.batch import START, EventBatch
from domain.codes import BUY, DAY, IOC, LIMIT, SELL
from domain.commands import CancelOrder, ClockTick, Command, ListInstrument, SetAccount, SubmitOrder
from domain.exchange import Exchange
from domain.wire import encode_batch, encode_command, seal_events

SYMBOLS: Final = tuple(f"SYM{number}" for number in range(1, 9))
ENTRIES: Final = {
    symbol: InstrumentEntry(number, symbol, 0, 100, 1, 0, 0, 0)
    for number, symbol in enumerate(SYMBOLS, start=1)
}
SESSION: Final = bytes(8) + b"fan-outs"
BEGAN_NS: Final = 1_700_000_000_000_000_000
MID: Final = 1_000_000
LIVE_MAX: Final = 60  # orders of one book
RECORD_BYTES_MAX: Final = 900_000


class Flow:
    """An engine, and orders for it: one new a book and batch, and the oldest cancelled."""

    def __init__(self, seed: int = 1) -> None:
        self._exchange = Exchange(0)
        self._chance = random.Random(seed)
        self._at = START
        self._sent = dict.fromkeys(range(1, len(SYMBOLS) + 1), 0)
        listings: list[Command] = [
            ListInstrument(entry.number, symbol.encode(), 100, 1)
            for symbol, entry in ENTRIES.items()
        ]
        self.first = self._batch([ClockTick(BEGAN_NS), SetAccount(1), *listings])

    def batches(self, count: int) -> list[EventBatch]:
        """The next batches."""
        return [self._batch(self._commands()) for _ in range(count)]

    def _commands(self) -> list[Command]:
        commands: list[Command] = []
        draw = self._chance
        for instrument, sent in self._sent.items():
            side = draw.choice((BUY, SELL))
            away = draw.randint(-1, 9) * 100
            price = MID - away if side == BUY else MID + 100 + away
            quantity, tif = draw.randint(1, 500), draw.choice((DAY, DAY, DAY, IOC))
            name = b"%d" % sent
            commands.append(SubmitOrder(1, instrument, side, LIMIT, tif, price, quantity, name))
            if sent >= LIVE_MAX:
                commands.append(CancelOrder(1, instrument, 0, b"%d" % (sent - LIVE_MAX)))
            self._sent[instrument] = sent + 1
        return commands

    def _batch(self, commands: list[Command]) -> EventBatch:
        position = self._exchange.position + 1
        records = [encode_command(command) for command in commands]
        at_ns = BEGAN_NS + position * 1_000_000
        image = self._exchange.apply(position, encode_batch(SESSION, position, at_ns, records))
        parts, _ = seal_events(image, self._at.chain, RECORD_BYTES_MAX)
        batch = EventBatch.of_parts(parts)
        self._at = batch.at
        return batch
