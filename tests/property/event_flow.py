"""An engine, a seeded stream of commands of every kind, and the event batches that answer it."""

from __future__ import annotations

import random

from domain import codes
from domain.exchange import Exchange
from tests.property.pools import SESSIONS, CommandSource, opening
from tests.reference.records import batch_of, record_of

SHARD = 3


class Flow:
    """An engine and the answers that it gives to a seeded stream of commands of every kind."""

    def __init__(self, seed: int) -> None:
        self.engine = Exchange(SHARD)
        self.source = CommandSource(seed)
        self.chance = random.Random(seed)
        self.answers: list[bytes] = []
        self._send([record_of(command) for command in opening()])

    def add(self) -> bytes:
        """The EventBatch of the next commands."""
        engine, position = self.engine, len(self.answers) + 1
        self.source.live = [
            (order_id, account, instrument)
            for instrument in engine.instruments()
            for side in (codes.BUY, codes.SELL)
            for order_id, account, _, _ in engine.orders(instrument, side)
        ]
        size = self.chance.choice((0, 1, 5, 40))
        commands = [self.source.command(position, SHARD, index) for index in range(size)]
        return self._send([record_of(command) for command in commands])

    def _send(self, records: list[bytes]) -> bytes:
        number = len(self.answers) + 1
        batch = batch_of(records, session=SESSIONS[2], batch_number=number, audit_timestamp_ns=7)
        answer = self.engine.apply(number, batch)
        self.answers.append(answer)
        return answer
