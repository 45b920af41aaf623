"""The values that streams of commands are drawn from: few, so that orders meet, and every boundary
among them."""

from __future__ import annotations

import random
from collections.abc import Sequence

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

I64_MAX = 2**63 - 1
DAY_NS = 24 * 3600 * 10**9

# The engine's tables grow with the highest number in use: the highest allowed are tried elsewhere.
KNOWN_ACCOUNTS = (1, 2, 40)
ACCOUNTS = (*KNOWN_ACCOUNTS, 0, 3, 1_048_576, 2**32 - 1)
KNOWN_INSTRUMENTS = (1, 2, 20)
INSTRUMENTS = (*KNOWN_INSTRUMENTS, 0, 3, 65_535, 65_536, 2**31, 2**32 - 1)
PRICES = (*range(96, 105), 100, 105, 110, 0, 1, 7, 2**31, 2**32 - 1)
QUANTITIES = (1, 2, 3, 5, 10, 10, 20, 30, 50, 0, 10**9 - 10, 10**9, 10**9 + 1, 2**32 - 1)
SIDES = (0, 1, 2, 255)
ORDER_TYPES = (0, 1, 2, 255)
TIMES_IN_FORCE = (0, 1, 2, 3, 4, 255)
CLIENT_ORDER_IDS = (
    b"a",
    b"b",
    b"ab",
    b"~" * 7,
    b"!" * 8,
    b"c" * 9,
    b"d" * 35 + b"1",
    b"d" * 35 + b"2",
    b"sp ace",
    b"del\x7f",
    b"nul\x00",
    b"\x80" * 36,
)
STRANGE_ORDER_IDS = (0, 1, -1, I64_MAX, -I64_MAX - 1, 1 << 16, 5 << 55)
FLAGS = (0, 1, 2, 3, 4, 255)
STATES = (0, 1, 2, 3, 4, 255)
SESSIONS = (
    bytes(15) + b"\x01",
    bytes(15) + b"\x02",
    bytes(range(1, 17)),
    b"\x01" + bytes(15),
    b"\xff" * 16,
)
TIMES_NS = (0, -1, 1, DAY_NS - 1, DAY_NS, 10 * DAY_NS, I64_MAX, -I64_MAX - 1)
LISTINGS = (
    ListInstrument(1, b"AAPL", 1, 1, 0, 0),
    ListInstrument(2, b"BRK/A", 5, 10, 10, 0),
    ListInstrument(20, b"ZVZZT^^^", 1, 1, 2**32 - 1, 0),
)
ODD_LISTINGS = (
    *LISTINGS,
    ListInstrument(0, b"ZERO", 1, 1),
    ListInstrument(65_536, b"MANY", 1, 1),
    ListInstrument(2**32 - 1, b"MANY", 1, 1),
    ListInstrument(4, b"", 1, 1),
    ListInstrument(4, b"lower", 1, 1),
    ListInstrument(4, b"A B", 1, 1),
    ListInstrument(4, b"A\x00B", 1, 1),
    ListInstrument(4, b"\xc3\x84", 1, 1),
    ListInstrument(4, b"TICK", 0, 1),
    ListInstrument(4, b"LOT", 1, 0),
    ListInstrument(4, b"LOT", 1, 10**9 + 1),
    ListInstrument(4, b"STATE", 1, 1, 0, 4),
    ListInstrument(4, b"[`{", 2**32 - 1, 10**9, 2**32 - 1, 3),
)


def opening(open_orders_max: int = 0) -> list[Command]:
    """The commands that make a shard tradable: three instruments, three accounts."""
    return [*LISTINGS, *(SetAccount(account, open_orders_max) for account in KNOWN_ACCOUNTS)]


class CommandSource:
    """Endless seeded commands, mostly sensible: one value in `odd_one_in` is any of its pool.

    `live` is for the caller to keep: (order id, account, instrument) of the orders that rest now.
    """

    def __init__(self, seed: int, odd_one_in: int = 25) -> None:
        self.random = random.Random(seed)
        self.odd_one_in = odd_one_in
        self.live: list[tuple[int, int, int]] = []
        self.order_ids: list[int] = []
        self.submits: list[SubmitOrder] = []
        self.remedies: list[Command] = []
        self.client_number = 0
        self.time_ns = 1

    def pick(self, pool: Sequence[int], sensible: int) -> int:
        """One of the first `sensible` values, now and then any."""
        odd = self.random.randrange(self.odd_one_in) == 0
        return self.random.choice(pool if odd else pool[:sensible])

    def aim(self) -> tuple[int, int, int]:
        """An order's id, its account and instrument: mostly right, now and then any."""
        account, instrument = self.pick(ACCOUNTS, 3), self.pick(INSTRUMENTS, 3)
        dice = self.random.randrange(self.odd_one_in)
        if dice == 0:
            return self.random.choice(STRANGE_ORDER_IDS), account, instrument
        if dice < 6 or not self.live:
            return self.random.choice(self.order_ids[-50:] or [0]), account, instrument
        return self.random.choice(self.live)

    def terms(self, instrument: int) -> tuple[int, int]:
        """A price and a quantity, mostly on the instrument's tick and lot."""
        price, quantity = self.pick(PRICES, 12), self.pick(QUANTITIES, 9)
        if instrument == 2 and self.random.randrange(6) > 0:
            price, quantity = price // 5 * 5, quantity * 10 % 2**32
        return price, quantity

    def client_order_id(self) -> bytes:
        """None, a new one, or one of a few that come again and again."""
        dice = self.random.randrange(20)
        if dice < 7:
            return b""
        if dice < 18:
            self.client_number += 1
            return b"c%d" % self.client_number
        return self.random.choice(CLIENT_ORDER_IDS)

    def submit(self) -> SubmitOrder:
        """A new order, most of them to rest, or a recent one word for word."""
        if self.submits and self.random.randrange(self.odd_one_in) == 0:
            return self.random.choice(self.submits[-20:])
        market = self.random.randrange(12) == 0
        order_type = 1 if market else self.pick(ORDER_TYPES, 1)
        tif = self.random.choice((2, 3)) if market else self.pick((0, 1, *TIMES_IN_FORCE), 6)
        account, instrument = self.pick(ACCOUNTS, 3), self.pick(INSTRUMENTS, 3)
        price, quantity = self.terms(instrument)
        if market and self.random.randrange(self.odd_one_in) > 0:
            price = 0
        side, text = self.pick(SIDES, 2), self.client_order_id()
        if self.random.randrange(3) > 0 and 90 < price < 120:
            price += 10 * side
        submit = SubmitOrder(account, instrument, side, order_type, tif, price, quantity, text)
        self.submits.append(submit)
        return submit

    def command(self, position: int, shard: int, index: int) -> Command:
        """The command at this place. A halt or kill is undone some commands later."""
        if self.remedies and self.random.randrange(30) == 0:
            return self.remedies.pop()
        dice = self.random.randrange(1000)
        order_id, account, instrument = self.aim()
        if dice < 700:
            self.order_ids.append(shard << 55 | position << 16 | index)
            return self.submit()
        if dice < 780:
            order_id *= self.random.randrange(8) > 0
            return CancelOrder(account, instrument, order_id, self.client_order_id())
        if dice < 970:
            price, quantity = self.terms(instrument)
            price *= self.random.randrange(3) > 0
            quantity *= self.random.randrange(3) > 0
            flags, text = self.pick(FLAGS, 4), self.client_order_id()
            return ReplaceOrder(account, instrument, order_id, price, quantity, flags, text)
        if dice < 976:
            return MassCancel(
                self.pick((0, *ACCOUNTS), 4), self.pick((0, *INSTRUMENTS), 4), self.side()
            )
        if dice < 984:
            self.remedies.append(SetTradingState(instrument, 0))
            return SetTradingState(instrument, self.random.choice(STATES))
        if dice < 988:
            self.time_ns += self.random.choice((1, 10**9, DAY_NS // 2))
            return ClockTick(self.random.choice((self.time_ns, self.time_ns, 0, -1)))
        if dice < 990:
            return self.random.choice(ODD_LISTINGS)
        killed = self.random.randrange(3) == 0
        self.remedies.append(SetAccount(account))
        return SetAccount(account, self.random.choice((0, 0, 0, 1, 5, 40)), killed)

    def side(self) -> int:
        """A side for a mass cancel."""
        return self.pick((0, 1, 2, 3, 255), 3)
