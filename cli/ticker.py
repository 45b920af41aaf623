"""The line a second by which `crossbook up` shows that orders trade.

It reads the history like any reader, so what it shows has gone through the whole exchange: gateway,
log, matching, projection.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg

TRADES_SHOWN = 4
PATIENCE = "-c statement_timeout=1000"  # a line is not worth a wait: the supervisor has work
TRADES_SINCE = """
SELECT i.symbol, t.price_ticks, t.quantity, t.aggressor_side, t.executed_at_ns, count(*) OVER ()
FROM history.trades t JOIN history.instruments i USING (instrument)
WHERE t.executed_at_ns > %s ORDER BY t.executed_at_ns DESC, t.match_number DESC LIMIT %s
"""


class TradeTicker:
    """Trades since the last line. Without a database it says nothing, and looks again later."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._since_ns = time.time_ns()

    def line(self) -> str:
        """The newest trades and their number; "" where there were none."""
        try:
            rows = self._rows()
        except psycopg.Error:
            # The supervisor starts the server again; meanwhile there is nothing to show.
            self.close()
            return ""
        if not rows:
            return ""
        self._since_ns, number = rows[0][4:]
        shown = "  ".join(trade_text(*row[:4]) for row in rows)
        count = f"{number:,} trade{'s' if number != 1 else ''}"
        return f"{time.strftime('%H:%M:%S')}  {count:>12}  {shown}"

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _rows(self) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._dsn, autocommit=True, connect_timeout=2, options=PATIENCE
            )
        return self._connection.execute(TRADES_SINCE, [self._since_ns, TRADES_SHOWN]).fetchall()


def trade_text(symbol: str, price_ticks: int, quantity: int, aggressor_side: int) -> str:
    """One trade: who was hit shows in the sign."""
    sign = "-" if aggressor_side else "+"
    cents = (price_ticks + 50) // 100
    return f"{symbol} {sign}{quantity:,} @ {cents // 100:,}.{cents % 100:02d}"
