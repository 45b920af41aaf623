"""The compiled modules at their daily work, for a compiler to take a profile of.

`scripts/compile_domain.py` runs this on an instrumented build, and then compiles for what it saw:
flows of one deep book and of many, commands that are refused, snapshots, and what the projections
make of the events. Seeded, a few seconds long, and in need of no package but the engine's own.
"""

from __future__ import annotations

from random import Random
from typing import Final

from benchmarks.adapters import flow_of_tape
from benchmarks.flows import BATCH_COMMANDS, SESSION, Log, Market
from benchmarks.swings import SWINGS, tape_of
from domain.batch import EventBatch
from domain.codes import CANCEL_ONLY, CLOSED, HALTED, IOC, LIMIT, MARKET, OPEN
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
from domain.outcomes import outcomes_of
from domain.snapshot import FrozenState, restore, state_hash
from domain.wire import decode_batch, encode_batch, encode_command
from projections.itch.encoder import FeedEncoder
from projections.itch.snapshot import SnapshotWriter
from projections.market_data.replica import ShardReplica
from projections.postgres.fold import fold as fold_rows
from projections.redis.fold import fold as fold_books

TAPE_ORDERS: Final = 15_000
FLOW_COMMANDS: Final = 30_000
SINGLES: Final = 2_000  # batches of one command
GROUP: Final = 8  # batches that a sink is given at once
ODD_BATCHES: Final = 400
ODD_COMMANDS: Final = 40  # of a batch
ODD_WEIGHTS: Final = (54, 6, 15, 20, 1, 1, 1, 2)
SEED: Final = 7


def one_book() -> None:
    """From bytes to bytes, prices standing still or moving far."""
    for scenario in SWINGS:
        flow = flow_of_tape(tape_of(scenario, TAPE_ORDERS))
        for _ in flow.run(Exchange(0)):
            pass


def many_books(instruments: int, *, batch_commands: int, commands: int) -> None:
    """A realistic flow, large batches or small, and all that follows from it."""
    market = Market(instruments, named=True, batch_commands=batch_commands)
    log = Log()
    batches = [log.answer(batch) for batch in market.opening()]
    for flow in (market.resting(commands // 3), market.flow(commands)):
        batches += [log.answer(batch) for batch in flow]
    follow(batches)
    chunks = FrozenState(log.exchange).chunks()
    assert state_hash(restore(chunks)) == state_hash(log.exchange)


def follow(batches: list[EventBatch]) -> None:
    """What sinks, gateways and streams make of event batches."""
    encoder, replica = FeedEncoder(), ShardReplica(Exchange(0))
    for at in range(0, len(batches), GROUP):
        records = [batch.record for batch in batches[at : at + GROUP]]
        fold_books(records)
        fold_rows(0, records, 0, 0).images()
        for record in records:
            encoder.apply(record)
            encoder.packets.clear()
            replica.apply(record)
    for batch in batches:
        batch.events()
        outcomes_of(batch.record, 0, batch.header.command_count)
    writer = SnapshotWriter(replica)
    writer.begin()
    while writer.orders(1_000):
        pass


def odd_command(random: Random) -> Command:
    """Anything that can be asked, sensible or not: about half is refused."""
    account, instrument = random.randrange(6), random.randrange(5)
    price = 100 * random.randint(95, 105) + (random.random() < 0.02)
    name = b"%d" % random.randrange(20_000) if random.random() < 0.7 else b""
    order_id = 0 if name else random.randrange(ODD_BATCHES) << 16 | random.randrange(ODD_COMMANDS)
    side, tif, flags = random.randrange(2), random.randrange(4), random.randrange(4)
    quantity = random.randrange(40)
    made: list[Command] = [
        SubmitOrder(account, instrument, side, LIMIT, tif, price, quantity, name),
        SubmitOrder(account, instrument, side, MARKET, IOC, 0, quantity, name),
        CancelOrder(account, instrument, order_id, name),
        ReplaceOrder(account, instrument, order_id, price, quantity, flags, name),
        MassCancel(account, instrument, random.randrange(3)),
        SetTradingState(instrument, random.choice((OPEN, OPEN, OPEN, HALTED, CANCEL_ONLY, CLOSED))),
        SetAccount(account, random.choice((0, 50)), random.random() < 0.1),
        ClockTick(random.randrange(10**15)),
    ]
    return random.choices(made, weights=ODD_WEIGHTS)[0]


def odd() -> None:
    """What is refused, repeated or no batch at all."""
    random = Random(SEED)
    log = Log()
    listings: list[Command] = [SetAccount(number) for number in range(1, 6)]
    listings += [ListInstrument(number, b"T%d" % number, 100, 1, 800) for number in range(1, 5)]
    batches = [log.answer(encode_batch(SESSION, 1, 0, [encode_command(each) for each in listings]))]
    for number in range(2, ODD_BATCHES):
        records = [encode_command(odd_command(random)) for _ in range(ODD_COMMANDS)]
        batch = encode_batch(SESSION, number - (random.random() < 0.05), 0, records)
        decode_batch(batch)
        batches.append(log.answer(batch if number % 50 else batch[:-3]))
    follow(batches)


def main() -> None:
    """All of it, once."""
    one_book()
    many_books(1, batch_commands=BATCH_COMMANDS, commands=FLOW_COMMANDS)
    many_books(50, batch_commands=BATCH_COMMANDS, commands=FLOW_COMMANDS)
    many_books(50, batch_commands=1, commands=SINGLES)
    odd()


if __name__ == "__main__":
    main()
