"""The benchmark's load is what it says:

nothing is refused, a fifth trades, the book stays level.
"""

from __future__ import annotations

import json
from collections import Counter

from benchmarks.pipeline_load import SUBMITS_PER_BATCH, Load, LoadSymbol
from cli.offline_market import OfflineMarket
from domain.events import OrderExecuted


def test_every_command_is_valid_and_a_fifth_of_the_submits_trade() -> None:
    symbols = [LoadSymbol(f"S{number}", 10_000) for number in range(6)]
    market = OfflineMarket({each.symbol: 100 for each in symbols})
    load = Load(symbols, "c0-", 1)
    opening = load.opening()
    market.send(json.loads(opening.body)["commands"])
    resting = market.exchange.order_count
    for batch in load.batches(20):
        items = json.loads(batch.body)["commands"]
        traded = set()
        market.send(items)
        for event in market.events:
            if isinstance(event, OrderExecuted):
                traded |= {event.aggressor_order_id, event.resting_order_id}
        assert Counter(item["op"] for item in items) == {
            "submit": 250,
            "cancel": 225,
            "replace": 25,
        }
        assert len(batch.client_order_ids) == len(batch.submits_at) == SUBMITS_PER_BATCH
        assert len(traded) == SUBMITS_PER_BATCH // 5
        assert not market.reasons
    assert abs(market.exchange.order_count - resting) <= len(symbols)
    # A batch after the first few is stationary to the order.
    before = market.exchange.order_count
    market.send(json.loads(load.batches(1)[0].body)["commands"])
    assert market.exchange.order_count == before
