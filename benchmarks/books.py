"""`python -m benchmarks.books [CASE…]`: one engine with many books, a large book, many ids.

One JSON line a case. `instruments`: a flow over 4,000 instruments beside the same flow over one.
`resting`: a flow on a book of 1,000,000 resting orders beside the same on one of 1,000. Both take
turns in one process and give `rate` and `rate_small` (messages a second, medians over the rounds)
and `ratio`, the former over the latter. `client_ids`: orders that rest nowhere, each with a client
order id of its own: the rate of adding them at a tenth, a half and the whole of 10,000,000, bytes
of memory an id, and the longest that a batch of `STALL_COMMANDS` ever took.
"""

from __future__ import annotations

import statistics
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from benchmarks.cases import resident_bytes, run_cases, vector_bytes
from benchmarks.flows import ACCOUNTS, MIDDLE_TICKS, SESSION, TICK_SIZE, Market, run
from domain.codes import IOC, LIMIT
from domain.exchange import Exchange
from domain.wire import encode_batch

ROUNDS: Final = 15
ROUND_COMMANDS: Final = 100_000
TIMED_BATCH_COMMANDS: Final = 512  # as in benchmarks.tapes
STALL_COMMANDS: Final = 64
RATE_BATCHES: Final = 4_096  # batches of STALL_COMMANDS whose time makes a rate
SETTLE_ROUNDS: Final = 2
GROUP_BATCHES: Final = 256  # made before they are timed


def _grown(market: Market, resting: int) -> Exchange:
    exchange = Exchange(0)
    run(exchange, market.opening())
    run(exchange, market.resting(resting))
    assert exchange.order_count == resting, exchange.order_count
    return exchange


def _timed(exchange: Exchange, batches: list[bytes]) -> float:
    began = time.perf_counter()
    run(exchange, batches)
    return time.perf_counter() - began


def _side_by_side(small: Market, large: Market, small_resting: int, resting: int) -> dict[str, Any]:
    """Rounds of the same flow on both, by turns, so that whatever else runs meets both alike."""
    pairs = [(small, _grown(small, small_resting)), (large, _grown(large, resting))]
    for market, _ in pairs:
        market.batch_commands = TIMED_BATCH_COMMANDS
    rates: list[list[float]] = [[], []]
    for number in range(SETTLE_ROUNDS + ROUNDS):
        for (market, exchange), seen in zip(pairs, rates, strict=True):
            seconds = _timed(exchange, list(market.flow(ROUND_COMMANDS)))
            if number >= SETTLE_ROUNDS:
                seen.append(ROUND_COMMANDS / seconds)
    ratio = statistics.median(big / base for base, big in zip(*rates, strict=True))
    return {
        "resting_small": small_resting,
        "rate_small": round(statistics.median(rates[0])),
        "rate": round(statistics.median(rates[1])),
        "ratio": round(ratio, 3),
        "resting_after": pairs[1][1].order_count,
    }


def instruments(count: int) -> Mapping[str, Any]:
    """`count` instruments beside one, with as many resting orders in all."""
    resting = 40_000
    one, many = Market(1, levels=100), Market(count, levels=100)
    return {"instruments": count, "resting": resting} | _side_by_side(one, many, resting, resting)


def resting(count: int) -> Mapping[str, Any]:
    """A book of `count` resting orders beside one of 1,000, both over 1,000 prices a side."""
    return {"resting": count} | _side_by_side(Market(), Market(), 1_000, count)


def client_ids(count: int) -> Mapping[str, Any]:
    """`count` client order ids in one engine."""
    exchange = Exchange(0)
    run(exchange, Market().opening())
    before, vectors_before = resident_bytes(), vector_bytes(exchange)
    source = _named_batches()
    times: list[float] = []
    marks = [count // 10, count // 2, count]
    rates: list[int] = []
    while len(times) * STALL_COMMANDS < count:
        for batch in list(islice(source, GROUP_BATCHES)):
            began = time.perf_counter()
            exchange.apply(exchange.position + 1, batch)
            times.append(time.perf_counter() - began)
        while len(rates) < 3 and len(times) * STALL_COMMANDS >= marks[len(rates)]:
            rates.append(_rate(times))
    ids = len(times) * STALL_COMMANDS
    assert exchange.order_count == 0
    return {
        "ids": ids,
        "rate_at_1_tenth": rates[0],
        "rate_at_1_half": rates[1],
        "rate_at_all": rates[2],
        "bytes_an_id": round((resident_bytes() - before) / ids, 1),
        "vector_bytes_an_id": round((vector_bytes(exchange) - vectors_before) / ids, 1),
        "longest_stall_ms": round(max(times) * 1_000, 2),
        "longest_stall_at_ids": times.index(max(times)) * STALL_COMMANDS,
    }


def _rate(times: list[float]) -> int:
    """Ids a second lately, growth of a table included where one fell into it."""
    lately = times[-RATE_BATCHES:]
    return round(len(lately) * STALL_COMMANDS / sum(lately))


def _named_batches() -> Iterator[bytes]:
    """Immediate-or-cancel orders that meet nothing."""
    submit = struct.Struct("<4s4BIIII").pack
    head = bytes([1, 5, 16, 0])
    price = MIDDLE_TICKS - TICK_SIZE
    number = 0
    batch_number = 1  # the opening was the session's first
    while True:
        records = [
            submit(head, 0, LIMIT, IOC, 0, 1 + at % ACCOUNTS, 1, price, 100) + b"%016d" % at
            for at in range(number, number + STALL_COMMANDS)
        ]
        number += STALL_COMMANDS
        batch_number += 1
        yield encode_batch(SESSION, batch_number, 0, records)


if __name__ == "__main__":
    sys.exit(
        run_cases(
            "books",
            (__doc__ or "").split("\n")[0],
            {
                "instruments": (instruments, 4_000),
                "resting": (resting, 1_000_000),
                "client_ids": (client_ids, 10_000_000),
            },
        )
    )
