"""`python -m benchmarks.swings [SCENARIO…]`: prices that move far, as the public tapes' do.

Three of the public benchmark's five scenarios are told apart by how far the price goes in a run:
25, 40 and 60 % (`flash-crash`). This makes tapes of its own after the published description of that
workload (arXiv:2606.01183), so their reports have no published hash; with the benchmark's own files
use `benchmarks.tapes`. Buys are priced along the first half of a random walk and sells along the
second, and all are shuffled: orders meet tens of thousands of prices, most of them emptied again at
once. One JSON line a scenario: `scenario, messages, prices, rate_median, rate_best` (messages a
second, timed as in `benchmarks.tapes`).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Final

from benchmarks.adapters import (
    CANCEL,
    MODIFY,
    NEW,
    TAPE_MESSAGE,
    AdapterError,
    Tape,
    flow_of_tape,
    measure,
)
from domain import is_compiled
from domain.codes import BUY, SELL

SWINGS: Final = {
    "static": 0.0,
    "normal": 0.02,
    "swing-25": 0.25,
    "swing-40": 0.4,
    "flash-crash": 0.6,
}
SHOWN: Final = ("swing-25", "swing-40", "flash-crash")
START_TICKS: Final = 33_504
DEPTH_MAX: Final = 800
DEPTH_EXPONENT: Final = 2.23
HUMP_TICKS: Final = 8
HUMP_HEIGHT: Final = 5.0
IOC_PART: Final = 0.15
MODIFIED_PART: Final = 0.2
REPRICED_PART: Final = 0.8  # of what is modified
CANCELLED_PART: Final = 0.95
REPEATED_PART: Final = 0.02  # of cancels, and of modifies of what is cancelled: they come too late
LIFE_US_MEDIAN: Final = 431.0
SEED: Final = 23


@dataclass(frozen=True, slots=True)
class Placed:
    """A new order: where it comes to lie, `depth` ticks from the middle of its time."""

    tape_id: int
    side: int
    price: int
    quantity: int
    depth: int


def placed_orders(random: Random, count: int, swing: float) -> list[Placed]:
    """`count` new orders in the order of arrival."""
    weights = [
        (1 + depth) ** -DEPTH_EXPONENT + HUMP_HEIGHT * math.exp(-0.5 * (depth - HUMP_TICKS) ** 2)
        for depth in range(DEPTH_MAX)
    ]
    depths = random.choices(range(DEPTH_MAX), cum_weights=list(accumulate(weights)), k=count)
    deviation = swing / math.sqrt(count)
    middle = 0.0  # natural logarithm of the price over the first one
    placed: list[Placed] = []
    for number, depth in enumerate(depths):
        middle += deviation * random.gauss(0.0, 1.0) - deviation * deviation / 2
        side = BUY if number < count // 2 else SELL
        away = -(1 + depth) if side == BUY else 1 + depth
        price = max(1, round(START_TICKS * math.exp(middle)) + away)
        placed.append(Placed(number + 1, side, price, random.randint(1, 100), depth))
    random.shuffle(placed)
    return placed


def messages_of(random: Random, placed: list[Placed]) -> Iterator[tuple[int, bytes]]:
    """Each message with its time in microseconds: every order arrives when the one before it has
    had its life, so the book holds what nobody cancels.
    """

    def told(kind: int, order: Placed, ioc: int, quantity: int, price: int) -> bytes:
        return TAPE_MESSAGE.pack(kind, order.side, ioc, quantity, 0, order.tape_id, price)

    now_us = 0
    for order in placed:
        now_us += 1
        quantity, price = order.quantity, order.price
        ioc = random.random() < IOC_PART
        yield now_us, told(NEW, order, int(ioc), quantity, price)
        if ioc:
            continue
        modified = random.random() < MODIFIED_PART
        if modified:
            now_us += random.randint(30, 100)
            quantity += 1
            if random.random() < REPRICED_PART:
                price += 1 if order.side == BUY else -1
            yield now_us, told(MODIFY, order, 0, quantity, price)
        if random.random() >= CANCELLED_PART:
            continue
        now_us += int(random.expovariate(math.log(2) / LIFE_US_MEDIAN / math.sqrt(1 + order.depth)))
        yield now_us, told(CANCEL, order, 0, quantity, price)
        if random.random() < REPEATED_PART:
            now_us += random.randint(1, 20)
            yield now_us, told(CANCEL, order, 0, quantity, price)
        if modified and random.random() < REPEATED_PART:
            now_us += random.randint(1, 20)
            yield now_us, told(MODIFY, order, 0, quantity, price)


def tape_of(scenario: str, orders: int, seed: int = SEED) -> Tape:
    """A tape of `orders` new orders and what becomes of them, about twice as many messages."""
    random = Random(seed)
    placed = placed_orders(random, orders, SWINGS[scenario])
    timed = sorted(messages_of(random, placed), key=lambda message: message[0])
    body = bytearray(b"".join(message for _, message in timed))
    for number in range(len(timed)):
        at = number * TAPE_MESSAGE.size + 8
        body[at : at + 8] = number.to_bytes(8, "little")
    return Tape(scenario, bytes(body))


def main(arguments: list[str] | None = None) -> int:
    """Make and run the scenarios named on the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.swings", description=__doc__.split("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", default=SHOWN, help=str(SHOWN))
    parser.add_argument("--orders", type=int, default=1_000_000, help="new orders a tape (1000000)")
    parser.add_argument("--runs", type=int, default=5, help="timed runs a tape (5)")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    unknown = set(options.scenarios) - set(SWINGS)
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}: {', '.join(SWINGS)}")
    if options.orders < 2 or options.runs < 1:
        parser.error("at least two orders and one run")
    for scenario in options.scenarios:
        engine = "compiled" if is_compiled() else "interpreted"
        print(f"{scenario}: making, then {options.runs} runs, {engine}", file=sys.stderr)
        tape = tape_of(scenario, options.orders, options.seed)
        try:
            rates = measure(flow_of_tape(tape), options.runs)
        except AdapterError as error:
            print(f"{scenario}: {error}", file=sys.stderr)
            return 1
        result = {
            "scenario": scenario,
            "messages": len(tape),
            "prices": len({(side, price) for _, side, *_, price in tape.messages()}),
            "rate_median": round(rates.median),
            "rate_best": round(rates.best),
        }
        print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
