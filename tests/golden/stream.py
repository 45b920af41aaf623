"""A seeded stream of command batches of every kind, and what an engine makes of it.

Run as a script, it prints the chain and the state hash, so that two processes can be compared.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable

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
from domain.snapshot import state_hash
from domain.wire import encode_batch, encode_command, seal_events

START_NS = 1_700_000_000 * 10**9


def batches(seed: int, count: int) -> list[bytes]:
    """`count` batches of up to 40 commands from a few sessions, some damaged, some repeated."""
    draw = random.Random(seed)
    played = Exchange(0)  # plays along, so that cancels and replaces find orders to aim at
    sessions = [bytes([number]) * 16 for number in range(1, 4)]
    numbers = [0] * len(sessions)
    made = [encode_batch(bytes(15) + b"\x01", 1, 1, [encode_command(each) for each in _setup()])]
    played.apply(1, made[0])
    while len(made) < count:
        which = draw.randrange(len(sessions))
        stale = draw.random() < 0.03
        numbers[which] += 0 if stale and numbers[which] else 1
        position = len(made) + 1
        commands = _reopening() if draw.random() < 0.4 else []
        resting = [
            row for number in (1, 2, 3) for side in (0, 1) for row in played.orders(number, side)
        ]
        commands += [_command(draw, position, resting) for _ in range(draw.randrange(1, 41))]
        records = [encode_command(each) for each in commands]
        batch = encode_batch(sessions[which], numbers[which], START_NS + position, records)
        if draw.random() < 0.02:
            batch = batch[: draw.randrange(len(batch))]
        made.append(batch)
        played.apply(position, batch)
    return made


def _setup() -> list[Command]:
    accounts: list[Command] = [SetAccount(number, 0 if number < 4 else 5) for number in range(1, 5)]
    listed: list[Command] = [
        ListInstrument(number, b"S%d" % number, 100 * number, number, 500 * number)
        for number in range(1, 4)
    ]
    return [*accounts, *listed, ClockTick(START_NS)]


def _reopening() -> list[Command]:
    """Undo what halts, closes and kills before, so that most of the stream trades."""
    opened: list[Command] = [SetTradingState(number, 0) for number in range(1, 4)]
    return [*opened, *(SetAccount(number, 0 if number < 4 else 5) for number in range(1, 5))]


def _command(
    draw: random.Random, position: int, resting: list[tuple[int, int, int, int]]
) -> Command:
    kind = draw.random()
    account = draw.randrange(1, 5) if draw.random() < 0.97 else 5
    instrument = draw.randrange(1, 4) if draw.random() < 0.97 else 4
    price = 100 * instrument * draw.randrange(95, 106) + (draw.random() < 0.02)
    quantity = instrument * draw.randrange(0, 30)
    client = b"" if draw.random() < 0.5 else b"c%d" % draw.randrange(4_000)
    order_id, owner = (position << 16) | draw.randrange(30), account
    if resting and draw.random() < 0.9:
        order_id, owner, _, _ = draw.choice(resting)
    if kind < 0.6:
        market = draw.random() < 0.1
        tif = draw.randrange(2, 4) if market else draw.randrange(4)
        return SubmitOrder(
            account,
            instrument,
            draw.randrange(2),
            market,
            tif,
            0 if market else price,
            quantity,
            client,
        )
    if kind < 0.78:
        if client and draw.random() < 0.3:
            return CancelOrder(account, instrument, 0, client)
        return CancelOrder(owner, 0, order_id)
    if kind < 0.95:
        wanted = price if draw.random() < 0.6 else 0
        return ReplaceOrder(owner, 0, order_id, wanted, quantity, draw.randrange(4))
    if kind < 0.953:
        return MassCancel(draw.randrange(4), draw.randrange(4), draw.randrange(4))
    if kind < 0.958:
        return SetTradingState(instrument, draw.choice([0, 0, 0, 0, 1, 2, 3, 4]))
    if kind < 0.99:
        return ClockTick(START_NS + position * 10**9 - draw.randrange(2) * 10**10)
    return SetAccount(account, draw.randrange(20), draw.random() < 0.1)


def outcome(stream: Iterable[bytes]) -> tuple[str, str]:
    """Chain and state hash, as hex, after a fresh engine of shard 0 applied the batches."""
    exchange = Exchange(0)
    chain = bytes(32)
    for position, batch in enumerate(stream, start=1):
        _, chain = seal_events(exchange.apply(position, batch), chain, 1_000_000)
    return chain.hex(), state_hash(exchange).hex()


if __name__ == "__main__":
    print(*outcome(batches(int(sys.argv[1]), int(sys.argv[2]))))
