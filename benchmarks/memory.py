"""`python -m benchmarks.memory [CASE…]`: what the engine's state costs, in bytes.

One JSON line a case, each in a process of its own. `bytes_each` is the growth of the process's
resident memory over what is counted, `vector_bytes_each` of the used cells of the engine's vectors.
`orders` and `named_orders`: 1,000,000 resting orders on 2,000 levels, without and with a client
order id of 16 characters. `refill`: a book filled and cancelled whole, eleven times; what the last
ten cycles added. `levels` and `wide_levels`: 1,000,000 levels of one order each, side by side and
spread over all prices from 1 to 2³² ticks; `wide_orders`: the orders of `orders`, so spread.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from benchmarks.cases import resident_bytes, run_cases, vector_bytes
from benchmarks.flows import Market, run
from domain.exchange import Exchange

CYCLES: Final = 10
LEVELS: Final = 1_000  # a side
PRICES: Final = 2**32
MIDDLE: Final = PRICES // 2


def _figures(market: Market, count: int, what: str) -> dict[str, Any]:
    """Rest `count` orders, and tell the growth over an engine that has only been opened."""
    exchange = Exchange(0)
    run(exchange, market.opening())
    warm = Exchange(0)
    run(warm, Market().opening())
    del warm
    before, vectors_before = resident_bytes(), vector_bytes(exchange)
    run(exchange, market.resting(count))
    after, vectors_after = resident_bytes(), vector_bytes(exchange)
    assert exchange.order_count == count, exchange.order_count
    return {
        what: count,
        "bytes_each": round((after - before) / count, 1),
        "vector_bytes_each": round((vectors_after - vectors_before) / count, 1),
    }


def orders(count: int) -> Mapping[str, Any]:
    """Resting orders without client order ids."""
    return _figures(Market(levels=LEVELS, named=False, remembers=False), count, "orders")


def named_orders(count: int) -> Mapping[str, Any]:
    """Resting orders with client order ids."""
    return _figures(Market(levels=LEVELS, remembers=False), count, "orders")


def wide_orders(count: int) -> Mapping[str, Any]:
    """Resting orders on levels that lie far apart."""
    return _figures(_wide(LEVELS), count, "orders")


def levels(count: int) -> Mapping[str, Any]:
    """Levels of one order each, side by side."""
    return _figures(_spread(count // 2, 1), count, "levels")


def wide_levels(count: int) -> Mapping[str, Any]:
    """Levels of one order each, over all prices."""
    return _figures(_wide(count // 2), count, "levels")


def _wide(levels_a_side: int) -> Market:
    return _spread(levels_a_side, (MIDDLE - 1) // (levels_a_side + 1))


def _spread(levels_a_side: int, spread_ticks: int) -> Market:
    return Market(
        levels=levels_a_side,
        named=False,
        remembers=False,
        tick_size=1,
        middle_ticks=MIDDLE,
        spread_ticks=spread_ticks,
    )


def refill(count: int) -> Mapping[str, Any]:
    """Fill the book, cancel all of it in strides, and again."""
    exchange = Exchange(0)
    market = Market(levels=LEVELS, named=False, remembers=False)
    run(exchange, market.opening())
    full: list[int] = []
    empty: list[int] = []
    for _ in range(1 + CYCLES):
        first = market.position + 1
        run(exchange, market.resting(count))
        assert exchange.order_count == count
        full.append(vector_bytes(exchange))
        run(exchange, market.cancels(first, count))
        assert exchange.order_count == 0
        empty.append(resident_bytes())
    return {
        "orders": count,
        "cycles": CYCLES,
        "vector_growth_bytes": full[-1] - full[0],
        "growth_mb": round((empty[-1] - empty[0]) / 1e6, 2),
        "held_mb": round(empty[-1] / 1e6, 1),
    }


if __name__ == "__main__":
    sys.exit(
        run_cases(
            "memory",
            (__doc__ or "").split("\n")[0],
            {
                "orders": (orders, 1_000_000),
                "named_orders": (named_orders, 1_000_000),
                "wide_orders": (wide_orders, 1_000_000),
                "levels": (levels, 1_000_000),
                "wide_levels": (wide_levels, 1_000_000),
                "refill": (refill, 200_000),
            },
        )
    )
