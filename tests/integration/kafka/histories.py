"""Event batches as a matcher makes them, without a matcher."""

from __future__ import annotations

from collections.abc import Sequence

from domain.batch import START
from domain.commands import Command, ListInstrument, SetAccount, SubmitOrder
from domain.exchange import Exchange
from domain.wire import encode_batch, encode_command, seal_events

SESSION = bytes(8) + b"a system"
Batch = tuple[int, Sequence[bytes]]


def commands_of(number: int, quantity: int = 10) -> bytes:
    """One CommandBatch: a listing first, then forty crossing orders each."""
    commands: list[Command] = [SetAccount(1), ListInstrument(1, b"AAPL", 100, 1)]
    if number > 1:
        commands = [
            SubmitOrder(1, 1, each & 1, 0, 1, 10_000 + 100 * (number % 7), quantity + each)
            for each in range(40)
        ]
    return encode_batch(SESSION, number, number, [encode_command(each) for each in commands])


def history(
    positions: int, *, shard: int = 0, record_bytes_max: int = 900_000, quantity: int = 10
) -> list[Batch]:
    """Positions 1 to `positions` as (position, records); another quantity is another history."""
    exchange, chain = Exchange(shard), START.chain
    made: list[Batch] = []
    for position in range(1, positions + 1):
        image = exchange.apply(position, commands_of(position, quantity))
        records, chain = seal_events(image, chain, record_bytes_max)
        made.append((position, records))
    return made
