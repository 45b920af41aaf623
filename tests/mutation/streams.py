"""Dense seeded streams of commands, each aimed at one part of matching, and how they are frozen.

A frozen stream is the batches, the first eight bytes of SHA-256 of each answer, and the state hash
in the middle and at the end. It is written only while engine and reference book agree on every
event of it, so that a mutant can be judged without the slow book. Where docs/matching.md has
changed, or a stream is to be denser, `python -m tests.mutation.streams` writes all anew.
"""

from __future__ import annotations

import hashlib
import lzma
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from domain import codes
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
from tests.property.pair import SHARD, Pair
from tests.property.pools import CommandSource, opening
from tests.reference.records import batch_of, record_of

FROZEN = Path(__file__).parent / "frozen"
SESSION = b"a frozen stream."
DIGEST_BYTES = 8
Recipe = Iterator[list[Command]]


@dataclass(frozen=True)
class Frozen:
    """A stream and what it came to; `answers` has a digest for each of `batches`."""

    batches: list[bytes]
    answers: list[bytes]
    half_hash: bytes
    end_hash: bytes


def answer_digest(image: bytes) -> bytes:
    """What is kept of one EventBatch."""
    return hashlib.sha256(image).digest()[:DIGEST_BYTES]


# --- the recipes: each yields the commands of one batch after another -----------------------------


def live(pair: Pair) -> list[tuple[int, int, int]]:
    """(account, instrument, order id) of what rests, in ascending order id."""
    return [(o.account, b.instrument, o.order_id) for b, o in pair.reference.shard.open_orders()]


def mixed(pair: Pair, seed: int) -> Recipe:
    """Everything, mostly sensible, on few prices: orders meet all the time."""
    source = CommandSource(seed, odd_one_in=20 if seed % 2 else 5)
    yield opening()
    for size in [4] * 60 + [14] * 70:
        source.live = [(order, account, book) for account, book, order in live(pair)]
        position = pair.position + 1
        yield [source.command(position, SHARD, index) for index in range(size)]


def edges(pair: Pair, seed: int) -> Recipe:
    """Values at their limits and beside them, in books of unlike ticks, lots and collars."""
    chance = random.Random(seed)
    books = {1: (1, 1, 0), 2: (5, 10, 10), 3: (2**31, 10**9, 1), 65: (1, 7, 2**32 - 1)}
    yield [
        *(ListInstrument(n, b"S%d" % n, *terms) for n, terms in books.items()),
        *(SetAccount(account, limit) for account, limit in ((1, 0), (2, 2), (70, 1))),
    ]
    prices = (0, 1, 2, 4, 5, 6, 10, 15, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1)
    quantities = (0, 1, 7, 8, 10, 20, 10**9 - 10, 10**9 - 1, 10**9, 10**9 + 1, 2**32 - 1)
    for step in range(200):
        commands: list[Command] = []
        instrument = chance.choice((*books, 1, 2))
        account = chance.choice((1, 1, 2, 70, 0, 3, 2**32 - 1) if step % 5 == 0 else (1, 2, 70))
        for _ in range(4):
            order_type, tif = chance.choice(((0, 0), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3)))
            price = 0 if order_type and chance.randrange(9) else chance.choice(prices)
            terms = (chance.randrange(2), order_type, tif, price, chance.choice(quantities))
            commands.append(SubmitOrder(account, instrument, *terms))
        for order in chance.sample(live(pair), min(2, len(live(pair)))):
            price, quantity = chance.choice((0, *prices)), chance.choice((0, *quantities))
            commands.append(ReplaceOrder(*order, price, quantity, chance.randrange(6)))
        wrong = chance.choice((0, 2, 66, 2**16, 2**32 - 1))
        commands.append(
            chance.choice(
                (
                    SubmitOrder(account, wrong, 0, 0, 0, 5, 10, b"id"),
                    SubmitOrder(account, instrument, 1, 0, 1, 5, 70, bytes([0x20 + step % 97])),
                    CancelOrder(account, wrong, 0, b"id"),
                    ReplaceOrder(account, wrong, -1, 5, 10),
                    MassCancel(account, wrong, chance.randrange(4)),
                    SubmitOrder(
                        account, instrument, chance.randrange(4), *(step % 3, step % 6, 5, 70)
                    ),
                    MassCancel(0, instrument, chance.randrange(4)),
                    SetTradingState(instrument, chance.randrange(5)),
                )
            )
        )
        yield [*commands, *(SetTradingState(n, 0) for n in books if step % 7 == 0)]


def doors(pair: Pair, seed: int) -> Recipe:
    """Every trading state, with every command at its door, on either side; then a close."""
    del pair, seed
    yield opening()
    for state, side in product((1, 2, 3, 0), (0, 1)):
        yield [
            SubmitOrder(1, 1, side, 0, 1, 100, 10, b"gtc"),
            SubmitOrder(2, 1, side, 0, 0, 100, 10, b"day"),
            SubmitOrder(1, 1, side, 0, 0, 99 + 2 * side, 10, b"far"),
            SetTradingState(1, state),
            *(
                ReplaceOrder(1, 1, 0, price, quantity, flags, b"gtc")
                for price, quantity, flags in product((0, 100), (0, 10, 9, 11), (0, 1, 2, 4))
            ),
            SubmitOrder(1, 1, side, 0, 1, 100, 10, b"gtc"),
            SubmitOrder(1, 1, side, 0, 1, 100, 10, b"new"),
            CancelOrder(2, 1, 0, b"day"),
            SetTradingState(1, state),
        ]
        yield [
            SetTradingState(1, 3),
            SetTradingState(1, 0),
            CancelOrder(1, 1, 0, b"gtc"),
            MassCancel(0, 1, 1 - side),
            MassCancel(0, 1, side),
        ]


def scattered(pair: Pair, seed: int) -> Recipe:
    """Deep books over the whole price range: far neighbours, every height of an index of prices."""
    chance = random.Random(seed)
    yield opening()

    def order(tif: int, crosses: bool) -> SubmitOrder:
        side, instrument = chance.randrange(2), chance.choice((1, 20))
        away = int(chance.choice((40, 900, 5_000, 2**20, 2**31 - 10)) * chance.random())
        price = 2**31 + (away if (side == codes.SELL) != crosses else -away)
        return SubmitOrder(
            chance.choice((1, 2)), instrument, side, 0, tif, price, chance.randint(1, 99)
        )

    for _ in range(30):
        yield [order(1, False) for _ in range(30)]
    for _ in range(30):
        commands: list[Command] = []
        for named in chance.sample(live(pair), 22):
            requeued = ReplaceOrder(*named, 0, chance.randint(1, 60), codes.REPLACE_REQUEUE)
            commands.append(chance.choice((CancelOrder(*named), CancelOrder(*named), requeued)))
        yield [*commands, *(order(chance.choice((1, 1, 2, 3)), True) for _ in range(3))]
        yield [order(1, False) for _ in range(8)]
    yield [MassCancel(1, 20, codes.BUY), MassCancel(2, 0, codes.BOTH_SIDES)]
    yield [MassCancel(0, 0, codes.SELL), MassCancel(0, 0, codes.BOTH_SIDES)]


def walking(pair: Pair, seed: int) -> Recipe:
    """A market that walks: levels empty and fill again, more of them than wait with their rows."""
    chance = random.Random(seed)
    yield opening()
    middle = 50_000
    for step in range(90):
        middle += chance.randrange(-60, 61) if step % 3 else 0
        resting = live(pair)
        named = chance.sample(resting, max(0, min(20, len(resting) - 70)))
        commands: list[Command] = [CancelOrder(*order) for order in named]
        for order in chance.sample(resting, min(3, len(resting))):
            commands.append(ReplaceOrder(*order, middle + chance.randrange(-200, 200)))
        for _ in range(20):
            side, tif = chance.randrange(2), chance.choice((0, 1, 1, 2))
            away = chance.choice((2, 30, 300))
            price = middle + chance.randrange(-away // 4, away) * (1 if side else -1)
            commands.append(
                SubmitOrder(1, chance.choice((1, 1, 20)), side, 0, tif, price, chance.randint(1, 9))
            )
        chance.shuffle(commands)
        yield commands


def named(pair: Pair, seed: int) -> Recipe:
    """Client order ids: enough for tables to grow twice, closes that forget, repeats of old ids."""
    chance = random.Random(seed)
    yield opening()
    number = 0
    tick = 0
    for step in range(110):
        commands: list[Command] = []
        for _ in range(18):
            number += 1
            again = chance.randrange(max(1, number - 900), number + 1)
            text = b"%d" % (number if chance.randrange(5) else again)
            text = (text * 40)[: chance.choice((len(text), 7, 8, 9, 16, 36))]
            terms = (chance.randrange(2), 0, 1 + 2 * (chance.randrange(8) > 0), 100, 1 + number % 3)
            instrument = chance.choice((1, 1, 1, 20))
            commands.append(SubmitOrder(chance.choice((1, 2)), instrument, *terms, text))
            if chance.randrange(12) == 0:
                commands.append(CancelOrder(chance.choice((1, 2)), instrument, 0, text))
            if chance.randrange(12) == 0:
                commands.append(ReplaceOrder(1, instrument, 0, 99, 5, 0, text))
        if step % 22 == 21:
            tick += 10**9
            which = 20 if step % 44 == 21 else 1
            commands += [SetTradingState(which, 3), ClockTick(tick), SetTradingState(which, 0)]
        yield commands


def full(pair: Pair, seed: int) -> Recipe:
    """Many accounts and deep queues: links in the middle of lists, kills, limits at their edge."""
    chance = random.Random(seed)
    accounts = [*range(1, 9), 33]
    yield [*opening(), *(SetAccount(account, 6 * (account % 2)) for account in accounts)]
    for step in range(80):
        commands: list[Command] = []
        resting = live(pair)
        for order in chance.sample(resting, min(4, len(resting))):
            commands.append(CancelOrder(*order))
        for order in chance.sample(resting, min(4, len(resting))):
            price = chance.choice((0, 0, 99, 100, 101, 102))
            flags, quantity = chance.randrange(4), chance.randrange(40)
            commands.append(ReplaceOrder(*order, price, quantity, flags))
        for _ in range(12):
            side, tif = chance.randrange(2), chance.choice((0, 0, 1, 1, 2, 3))
            price = chance.choice((98, 99, 100)) + 2 * side
            market = chance.randrange(20) == 0
            commands.append(
                SubmitOrder(
                    chance.choice(accounts),
                    chance.choice((1, 20)),
                    side,
                    int(market),
                    3 - chance.randrange(2) if market else tif,
                    0 if market else price,
                    chance.randint(1, 30),
                )
            )
        if step % 9 == 8:
            account = chance.choice(accounts)
            commands.append(SetAccount(account, 0, True))
            commands.append(SetAccount(account, 6 * (account % 2)))
        if step % 10 == 5:
            commands.append(
                MassCancel(chance.choice((0, *accounts)), chance.choice((0, 1, 20)), step // 10 % 3)
            )
        if step % 20 == 13:
            commands += [SetTradingState(20, state) for state in (2, 1, 3, 0)]
        chance.shuffle(commands)
        yield commands


STREAMS: dict[str, tuple[Callable[[Pair, int], Recipe], int]] = {
    "mixed-1": (mixed, 1),
    "full": (full, 2),
    "edges": (edges, 7),
    "doors": (doors, 0),
    "mixed-2": (mixed, 2),
    "mixed-3": (mixed, 3),
    "named": (named, 4),
    "walking": (walking, 5),
    "scattered": (scattered, 6),
}


# --- freezing -------------------------------------------------------------------------------------


def record(name: str) -> list[bytes]:
    """The batches of a stream, played as they are made: engine and reference agree on all."""
    recipe, seed = STREAMS[name]
    pair = Pair()
    batches: list[bytes] = []
    for commands in recipe(pair, seed):
        records = [record_of(command) for command in commands]
        number = len(batches) + 1
        batches.append(
            batch_of(records, session=SESSION, batch_number=number, audit_timestamp_ns=7)
        )
        pair.send(SESSION, number, commands)
    return batches


def freeze(batches: list[bytes]) -> Frozen:
    """What a fresh engine makes of a stream."""
    exchange = Exchange(SHARD)
    answers: list[bytes] = []
    half = b""
    for position, batch in enumerate(batches, start=1):
        answers.append(answer_digest(exchange.apply(position, batch)))
        if position == len(batches) // 2:
            half = state_hash(exchange)
    return Frozen(batches, answers, half, state_hash(exchange))


def write(name: str, frozen: Frozen) -> None:
    """To `frozen/<name>.xz`: both hashes, then each batch's length, digest and bytes."""
    parts = [frozen.half_hash, frozen.end_hash]
    for batch, answer in zip(frozen.batches, frozen.answers, strict=True):
        parts += [struct.pack("<I", len(batch)), answer, batch]
    (FROZEN / f"{name}.xz").write_bytes(lzma.compress(b"".join(parts), preset=9))


def read(name: str) -> Frozen:
    """A frozen stream."""
    data = lzma.decompress((FROZEN / f"{name}.xz").read_bytes())
    batches: list[bytes] = []
    answers: list[bytes] = []
    at = 64
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        at += 4 + DIGEST_BYTES
        answers.append(data[at - DIGEST_BYTES : at])
        batches.append(data[at : at + length])
        at += length
    return Frozen(batches, answers, data[:32], data[32:64])


if __name__ == "__main__":
    for each in STREAMS:
        made = freeze(record(each))
        write(each, made)
        print(each, len(made.batches), (FROZEN / f"{each}.xz").stat().st_size)
