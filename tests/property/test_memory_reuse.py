"""Memory follows what rests: rows of gone orders and levels are used again, and the price range
costs nothing. Counted in the engine's own vectors, so the figures do not depend on the machine.
"""

from __future__ import annotations

import pytest

from benchmarks.cases import vector_bytes
from benchmarks.flows import Market, run
from domain.exchange import Exchange

ORDERS = 3_000
MIDDLE = 2**31


def opened(market: Market) -> Exchange:
    exchange = Exchange(0)
    run(exchange, market.opening())
    return exchange


def fill(exchange: Exchange, market: Market) -> int:
    """Rest ORDERS orders; the position of the first of them."""
    first = market.position + 1
    run(exchange, market.resting(ORDERS))
    assert exchange.order_count == ORDERS
    return first


@pytest.mark.parametrize("levels", [20, ORDERS // 2])
def test_a_book_filled_again_takes_no_more_than_the_first_time(levels: int) -> None:
    market = Market(2, levels=levels, named=False, remembers=False, batch_commands=512)
    exchange = opened(market)
    first = fill(exchange, market)
    full = vector_bytes(exchange)
    for _ in range(5):
        run(exchange, market.cancels(first, ORDERS))
        assert exchange.order_count == 0
        first = fill(exchange, market)
        assert vector_bytes(exchange) <= full


def test_prices_that_move_on_leave_nothing_behind() -> None:
    """A book whose levels never come back takes little more than it took at first."""
    held: list[int] = []
    exchange: Exchange | None = None
    for step in range(8):
        market = Market(
            levels=1_000,
            named=False,
            remembers=False,
            batch_commands=512,
            tick_size=1,
            middle_ticks=MIDDLE + step * 10_000,
            spread_ticks=1,
        )
        if exchange is None:
            exchange = opened(market)
        else:
            market.position = market.batch_number = exchange.position
        first = fill(exchange, market)
        held.append(vector_bytes(exchange))
        run(exchange, market.cancels(first, ORDERS))
    # The rows of emptied levels wait a bounded while before they are used again.
    assert max(held) <= held[0] + 1_024 * 400


def test_the_price_range_costs_a_level_a_bounded_sum() -> None:
    per_order = []
    for spread in (1, (MIDDLE - 1) // (ORDERS // 2 + 1)):
        market = Market(
            levels=ORDERS // 2,
            named=False,
            remembers=False,
            tick_size=1,
            middle_ticks=MIDDLE,
            spread_ticks=spread,
        )
        exchange = opened(market)
        before = vector_bytes(exchange)
        fill(exchange, market)
        per_order.append((vector_bytes(exchange) - before) / ORDERS)
    side_by_side, apart = per_order
    assert apart < side_by_side + 7 * 64  # one index word a height, with room in its table
    assert side_by_side < 400
