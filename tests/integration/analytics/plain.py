"""Every figure once more, one plain loop each over the events themselves: exact, slow, obvious."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

from domain.batch import EventBatch
from domain.events import (
    LevelChanged,
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderReplaced,
)

Rows = list[dict[str, Any]]


class Plain:
    """One instrument's events with their times, and figures from them."""

    def __init__(self, batches: list[EventBatch], instrument: int, from_ns: int, until_ns: int):
        self.from_ns, self.until_ns = from_ns, until_ns
        self.events = [
            (batch.header.audit_timestamp_ns, event)
            for batch in batches
            for event in batch.events()
            if getattr(event, "instrument", None) == instrument
        ]
        self.trades = [
            (at, event)
            for at, event in self.events
            if isinstance(event, OrderExecuted) and from_ns <= at < until_ns
        ]
        self.states = self._states()

    def _states(self) -> list[tuple[int, int, int | None, int | None, int, int]]:
        """(time, sequence, bid, ask, bid depth, ask depth) after each level change."""
        books: tuple[dict[int, int], dict[int, int]] = ({}, {})
        states = []
        for at, event in self.events:
            if not isinstance(event, LevelChanged):
                continue
            books[event.side][event.price_ticks] = event.quantity
            bids = sorted((p for p, q in books[0].items() if q), reverse=True)
            asks = sorted(p for p, q in books[1].items() if q)
            states.append(
                (
                    at,
                    event.book_sequence,
                    bids[0] if bids else None,
                    asks[0] if asks else None,
                    sum(books[0][p] for p in bids[:5]),
                    sum(books[1][p] for p in asks[:5]),
                )
            )
        return states

    def by_interval(self, every: int, figure: Callable[[list[Any]], dict[str, Any]]) -> Rows:
        groups = defaultdict(list)
        for at, trade in self.trades:
            groups[at // every * every].append(trade)
        return [{"begins_ns": begins, **figure(groups[begins])} for begins in sorted(groups)]

    def candles(self, every: int) -> Rows:
        def figure(group: list[OrderExecuted]) -> dict[str, Any]:
            prices = [trade.price_ticks for trade in group]
            value = sum(trade.price_ticks * trade.quantity for trade in group)
            volume = sum(trade.quantity for trade in group)
            return {
                "open_ticks": prices[0],
                "high_ticks": max(prices),
                "low_ticks": min(prices),
                "close_ticks": prices[-1],
                "volume": volume,
                "value": value,
                "trade_count": len(group),
                "vwap_ticks": float(Fraction(value, volume)),
            }

        return self.by_interval(every, figure)

    def activity(self, every: int) -> Rows:
        def figure(group: list[OrderExecuted]) -> dict[str, Any]:
            bought = sum(trade.quantity for trade in group if trade.aggressor_side == 0)
            sold = sum(trade.quantity for trade in group if trade.aggressor_side == 1)
            return {
                "trade_count": len(group),
                "volume": bought + sold,
                "bought": bought,
                "sold": sold,
            }

        return self.by_interval(every, figure)

    def over_time(self, every: int, value_at: Callable[[int], Any]) -> dict[int, list[Any]]:
        """A value at the beginning of every millisecond of the range, by interval: the flow's
        batches are whole milliseconds."""
        found: dict[int, list[Any]] = defaultdict(list)
        for at in range(self.from_ns, self.until_ns, 1_000_000):
            value = value_at(at)
            if value is not None:
                found[at // every * every].append(value)
        return found

    def twap(self, every: int) -> Rows:
        def price_at(at: int) -> int | None:
            earlier = [trade.price_ticks for when, trade in self.trades if when <= at]
            return earlier[-1] if earlier else None

        return [
            {
                "begins_ns": begins,
                "twap_ticks": float(Fraction(sum(prices), len(prices))),
                "held_ns": len(prices) * 1_000_000,
            }
            for begins, prices in self.over_time(every, price_at).items()
        ]

    def state_at(self, at: int) -> Any:
        earlier = [state for state in self.states if state[0] <= at]
        return earlier[-1] if earlier else None

    def quoted_spread(self, every: int) -> Rows:
        def spread_at(at: int) -> tuple[int, float] | None:
            state = self.state_at(at)
            if state is None or state[2] is None or state[3] is None:
                return None
            return state[3] - state[2], 20_000 * (state[3] - state[2]) / (state[3] + state[2])

        return [
            {
                "begins_ns": begins,
                "spread_ticks": sum(each[0] for each in seen) / len(seen),
                "spread_bps": sum(each[1] for each in seen) / len(seen),
                "held_ns": len(seen) * 1_000_000,
            }
            for begins, seen in self.over_time(every, spread_at).items()
        ]

    def depth(self, every: int) -> Rows:
        rows = []
        for begins, seen in self.over_time(every, self.state_at).items():
            bids, asks = sum(s[4] for s in seen), sum(s[5] for s in seen)
            rows.append(
                {
                    "begins_ns": begins,
                    "bid_depth": bids / len(seen),
                    "ask_depth": asks / len(seen),
                    "imbalance": (bids - asks) / (bids + asks) if bids + asks else None,
                }
            )
        return rows

    def spread_paid(
        self, every: int, name: str, paid: Callable[[int, OrderExecuted], int | None]
    ) -> Rows:
        groups: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for at, trade in self.trades:
            ticks = paid(at, trade)
            groups[at // every * every].extend([] if ticks is None else [(ticks, trade.quantity)])
        rows = []
        for begins, pairs in sorted(groups.items()):
            volume = sum(quantity for _, quantity in pairs)
            total = sum(ticks * quantity for ticks, quantity in pairs)
            rows.append(
                {"begins_ns": begins, name: total / volume if volume else None, "volume": volume}
            )
        return rows

    def effective_spread(self, every: int) -> Rows:
        def paid(_: int, trade: OrderExecuted) -> int | None:
            earlier = [state for state in self.states if state[1] < trade.book_sequence]
            if not earlier or None in earlier[-1][2:4]:
                return None
            return abs(2 * trade.price_ticks - earlier[-1][2] - earlier[-1][3])

        return self.spread_paid(every, "effective_spread_ticks", paid)

    def realised_spread(self, every: int, after_ns: int) -> Rows:
        known_until = max((state[0] for state in self._seen(after_ns)), default=0)

        def kept(at: int, trade: OrderExecuted) -> int | None:
            state = self.state_at(at + after_ns)
            if at + after_ns > known_until or state is None or None in state[2:4]:
                return None
            sign = 1 if trade.aggressor_side == 0 else -1
            return sign * (2 * trade.price_ticks - state[2] - state[3])

        return self.spread_paid(every, "realised_spread_ticks", kept)

    def _seen(self, after_ns: int) -> list[Any]:
        """The changes of the quote that the range and Δ after it hold."""
        changed, last = [], None
        for state in self.states:
            if state[0] < self.until_ns + after_ns and state[2:] != last:
                changed.append(state)
                last = state[2:]
        return changed

    def volatility(self, every: int) -> Rows:
        closes = [row["close_ticks"] for row in self.candles(every)]
        returns = [math.log(b / a) for a, b in pairwise(closes)]
        total = math.sqrt(sum(each * each for each in returns)) if returns else None
        return [{"volatility": total, "return_count": len(returns)}]

    def volume_profile(self, bucket: int) -> Rows:
        found: dict[int, list[OrderExecuted]] = defaultdict(list)
        for _, trade in self.trades:
            found[trade.price_ticks // bucket * bucket].append(trade)
        return [
            {
                "price_ticks": price,
                "volume": sum(t.quantity for t in group),
                "bought": sum(t.quantity for t in group if t.aggressor_side == 0),
                "sold": sum(t.quantity for t in group if t.aggressor_side == 1),
                "trade_count": len(group),
            }
            for price, group in sorted(found.items())
        ]

    def order_to_trade(self, every: int) -> Rows:
        kinds = {OrderAccepted: "submit", OrderReplaced: "replace", OrderCancelled: "cancel"}
        counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for at, event in self.events:
            if self.from_ns <= at < self.until_ns and type(event) in kinds:
                counts[at // every * every][kinds[type(event)]] += 1
        for at, _ in self.trades:
            counts[at // every * every]["trade"] += 1
        rows = []
        for begins, found in sorted(counts.items()):
            messages = found["submit"] + found["replace"] + found["cancel"]
            rows.append(
                {
                    "begins_ns": begins,
                    "messages": messages,
                    "submit_count": found["submit"],
                    "replace_count": found["replace"],
                    "cancel_count": found["cancel"],
                    "trade_count": found["trade"],
                    "order_to_trade": messages / found["trade"] if found["trade"] else None,
                }
            )
        return rows

    def fill_rate(self, every: int) -> Rows:
        born: dict[int, int] = {}
        total: dict[int, int] = {}
        executed: dict[int, int] = defaultdict(int)
        for at, event in self.events:
            if isinstance(event, OrderAccepted):
                born[event.order_id], total[event.order_id] = at, event.quantity
            elif isinstance(event, OrderReplaced):
                total[event.order_id] = event.executed_quantity + event.leaves_quantity
            elif isinstance(event, OrderExecuted):
                executed[event.aggressor_order_id] += event.quantity
                executed[event.resting_order_id] += event.quantity
        groups: dict[int, list[int]] = defaultdict(list)
        for order_id, at in born.items():
            if self.from_ns <= at < self.until_ns:
                groups[at // every * every].append(order_id)
        rows = []
        for begins, ids in sorted(groups.items()):
            asked, got = sum(total[i] for i in ids), sum(executed[i] for i in ids)
            some = sum(1 for i in ids if executed[i])
            rows.append(
                {
                    "begins_ns": begins,
                    "order_count": len(ids),
                    "executed_count": some,
                    "quantity": asked,
                    "executed_quantity": got,
                    "fill_rate": got / asked,
                    "executed_share": some / len(ids),
                }
            )
        return rows
