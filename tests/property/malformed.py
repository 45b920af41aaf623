"""Commands that no honest gateway sends: records whose values are out of range, and batches whose
bytes are unsound.

Guarantees: what `refused` gives is refused by rule, whatever the state of the books; what
`unsound` gives is no batch by rule. Both come of a seeded random source alone.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

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
from tests.property.pools import I64_MAX, KNOWN_ACCOUNTS, KNOWN_INSTRUMENTS
from tests.reference.records import batch_of, record_of

U32_MAX = 2**32 - 1
BAD_TEXTS = (b" ", b"sp ace", b"\x7f", b"\x00a", b"\xff" * 36, b"a" * 35 + b"\x20", b"tab\t")
BAD_SYMBOLS = (b"", b"lower", b"A B", b"\x7f", b"A\x00B", b"\xff" * 8)


# --- values out of range --------------------------------------------------------------------------


def bad_submit(chance: random.Random) -> Command:
    """A submit with one field that must be refused; its client order id, if it has one, is new."""
    account, instrument = chance.choice(KNOWN_ACCOUNTS), chance.choice(KNOWN_INSTRUMENTS)
    sound = SubmitOrder(account, instrument, chance.randrange(2), 0, 1, 100, 10)
    field, value = chance.choice(
        (
            ("account", chance.choice((0, 3, codes.ACCOUNT_MAX + 1, U32_MAX))),
            ("instrument", chance.choice((0, 3, codes.INSTRUMENT_MAX, 2**16, U32_MAX))),
            ("side", chance.randrange(2, 256)),
            ("order_type", chance.randrange(2, 256)),
            ("time_in_force", chance.randrange(4, 256)),
            ("price_ticks", 0),
            ("quantity", chance.choice((0, codes.QUANTITY_MAX + 1, 2**31, U32_MAX))),
            ("client_order_id", chance.choice(BAD_TEXTS)),
        )
    )
    return replace(sound, **{field: value})


def bad_aim(chance: random.Random) -> Command:
    """A cancel or replace of an order that cannot be there, or by nobody."""
    account = chance.choice((0, 3, codes.ACCOUNT_MAX + 1, U32_MAX, 1, 2))
    instrument = chance.choice((0, 1, 2, 3, U32_MAX))
    order_id = chance.choice((1, -1, I64_MAX, -I64_MAX - 1, -chance.randrange(1, 2**62)))
    if chance.randrange(2):
        return CancelOrder(account, instrument, order_id)
    price, quantity = chance.randrange(2**32), chance.randrange(2**32)
    return ReplaceOrder(account, instrument, order_id, price, quantity, chance.randrange(256))


def bad_administration(chance: random.Random) -> Command:
    """A listing, an account, a state, a tick or a mass cancel that must be refused."""
    small = chance.randrange(4, 256)
    return chance.choice(
        (
            ListInstrument(chance.choice((0, 65_536, U32_MAX)), b"NUMBER", 1, 1),
            ListInstrument(chance.choice(KNOWN_INSTRUMENTS), b"TWICE", 1, 1),
            ListInstrument(4, chance.choice(BAD_SYMBOLS), 1, 1),
            ListInstrument(4, b"TICK", 0, 1),
            ListInstrument(4, b"LOT", 1, chance.choice((0, 10**9 + 1, U32_MAX))),
            ListInstrument(4, b"STATE", 1, 1, 0, small),
            SetAccount(chance.choice((0, codes.ACCOUNT_MAX + 1, U32_MAX))),
            SetTradingState(1, small),
            SetTradingState(chance.choice((0, 3, 65_536, U32_MAX)), 0),
            ClockTick(chance.choice((0, -1, -I64_MAX - 1))),
            MassCancel(0, 0, chance.randrange(3, 256)),
            MassCancel(0, chance.choice((3, U32_MAX)), 2),
            MassCancel(chance.choice((3, U32_MAX)), 0, 2),
        )
    )


def refused(chance: random.Random) -> Command:
    """Any of these."""
    kind: Callable[[random.Random], Command] = chance.choice(
        (bad_submit, bad_submit, bad_aim, bad_administration)
    )
    return kind(chance)


# --- unsound bytes --------------------------------------------------------------------------------


def sealed(batch: bytes) -> bytes:
    """The batch with a checksum that is right for what it now holds."""
    return batch[:4] + struct.pack("<I", zlib.crc32(batch[8:])) + batch[8:]


def with_byte(batch: bytes, at: int, value: int) -> bytes:
    """The batch with one byte set."""
    return batch[:at] + bytes([value]) + batch[at + 1 :]


def flipped(batch: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(batch))
    return with_byte(batch, at, batch[at] ^ 1 << chance.randrange(8))


def truncated(batch: bytes, chance: random.Random) -> bytes:
    cut = batch[: chance.randrange(len(batch))]
    return sealed(cut) if len(cut) > 48 and chance.randrange(2) else cut


def padded(batch: bytes, chance: random.Random) -> bytes:
    return sealed(batch + bytes(chance.choice((1, 7, 8, 16))))


def wrong_length(batch: bytes, chance: random.Random) -> bytes:
    """The record's length in words, or its client order id's in bytes, is not what it should be."""
    at = chance.choice((49, 50))
    least = 37 if at == 50 else 0
    values = [value for value in range(least, 256) if value != batch[at]]
    return sealed(with_byte(batch, at, chance.choice(values)))


def unknown_type(batch: bytes, chance: random.Random) -> bytes:
    return sealed(with_byte(batch, 48, chance.choice((0, *range(9, 256)))))


def wrong_count(batch: bytes, chance: random.Random) -> bytes:
    count = chance.choice((0, 2, 3, 65_535, 65_536, U32_MAX))
    return sealed(batch[:12] + struct.pack("<I", count) + batch[16:])


def wrong_checksum(batch: bytes, chance: random.Random) -> bytes:
    (right,) = struct.unpack_from("<I", batch, 4)
    return batch[:4] + struct.pack("<I", right ^ chance.randrange(1, 2**32)) + batch[8:]


def wrong_header(batch: bytes, chance: random.Random) -> bytes:
    """Another magic, version 0, rules version 0, or a batch number not above 0."""
    which = chance.randrange(4)
    if which == 0:
        return with_byte(batch, chance.randrange(4), chance.randrange(128, 256))
    if which < 3:
        return sealed(batch[: 6 + 2 * which] + bytes(2) + batch[8 + 2 * which :])
    number = chance.choice((0, -1, -I64_MAX - 1))
    return sealed(batch[:32] + struct.pack("<q", number) + batch[40:])


def random_bytes(batch: bytes, chance: random.Random) -> bytes:
    """Nothing but chance, or chance instead of the record, under a right checksum."""
    junk = chance.randbytes(chance.randrange(1, 200))
    return sealed(batch[:48] + junk) if chance.randrange(2) else junk


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped,
    truncated,
    padded,
    wrong_length,
    unknown_type,
    wrong_count,
    wrong_checksum,
    wrong_header,
    random_bytes,
)


def unsound(command: Command, session: bytes, number: int, chance: random.Random) -> bytes:
    """A batch of one command, damaged in one of DAMAGES' ways."""
    batch = batch_of([record_of(command)], session=session, batch_number=number)
    return chance.choice(DAMAGES)(batch, chance)
