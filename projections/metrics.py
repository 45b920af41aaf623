"""Prometheus metrics of what the read models write.

Guarantees: counted once committed, by the batch; a history that is built again counts again.
Metrics register with prometheus_client's default registry once, on import."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

TRADES: Final = Counter("crossbook_trades", "Matches written to the history", ["shard"])
HISTORY_ROWS: Final = Counter(
    "crossbook_history_rows",
    "Rows written to the history: orders_inserted, orders_updated, executions",
    ["shard", "rows"],
)


class HistoryMetrics:
    """One shard's history."""

    def __init__(self, shard: int) -> None:
        self._trades = TRADES.labels(str(shard))
        self._inserted = HISTORY_ROWS.labels(str(shard), "orders_inserted")
        self._updated = HISTORY_ROWS.labels(str(shard), "orders_updated")
        self._executions = HISTORY_ROWS.labels(str(shard), "executions")

    def committed(self, orders_inserted: int, orders_updated: int, matches: int) -> None:
        """A group of batches is committed; a match has two executions."""
        self._inserted.inc(orders_inserted)
        self._updated.inc(orders_updated)
        self._executions.inc(2 * matches)
        self._trades.inc(matches)
