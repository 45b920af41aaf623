"""Analytics for the API: off the event loop, few at a time, bounded in range, rows and time.

Guarantees: an answer holds up neither the loop nor the matcher: at most `CONCURRENT_MAX` are made
at once and `WAITING_MAX` wait; each reads at most `ROWS_MAX` rows within `STATEMENT_TIMEOUT_MS` a
query, with the reader's rights.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier

from projections.read_history import UNAVAILABLE, HistoryUnavailableError

CONCURRENT_MAX: Final = 2
WAITING_MAX: Final = 32
ROWS_MAX: Final = 200_000
INTERVALS_MAX: Final = 2_000
RANGE_NS_MAX: Final = 31 * 86_400 * 10**9
STATEMENT_TIMEOUT_MS: Final = 5_000


class AnalyticsBusyError(Exception):
    """So many questions wait that another would wait too long."""


class AnalyticsReader:
    """Answers the metrics of `projections.analytics.metrics`. For one event loop."""

    def __init__(self, dsn: str, *, role: str | None = None) -> None:
        self._dsn = dsn
        self._role = role
        self._turns = asyncio.Semaphore(CONCURRENT_MAX)
        self._waiting = 0

    async def ask(
        self, metric: str, symbol: str | None, *, from_ns: int, until_ns: int, every_ns: int
    ) -> list[dict[str, Any]]:
        """The metric's rows, as JSON has them: times in ns and values are decimal strings.

        `symbol` may be None for `movers` alone. Raises ValueError where the question makes no sense
        or is too large, HistoryUnavailableError, AnalyticsBusyError.
        """
        if until_ns - from_ns > RANGE_NS_MAX:
            raise ValueError("a range is of at most 31 days")
        if (until_ns - from_ns) // every_ns > INTERVALS_MAX:
            raise ValueError(f"more than {INTERVALS_MAX:,} intervals: ask for longer ones")
        if self._waiting >= CONCURRENT_MAX + WAITING_MAX:
            raise AnalyticsBusyError("too many questions wait: ask again later")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(
                    self._answer, metric, symbol, from_ns, until_ns, every_ns
                )
        except UNAVAILABLE as error:
            raise HistoryUnavailableError(str(error)) from error
        finally:
            self._waiting -= 1

    def _answer(
        self, metric: str, symbol: str | None, from_ns: int, until_ns: int, every_ns: int
    ) -> list[dict[str, Any]]:
        # Polars is imported where it is first wanted: an API that is not asked starts without.
        from projections.analytics.from_postgres import HistorySource, TooMuchError
        from projections.analytics.metrics import Question, analyse, json_rows

        with psycopg.connect(
            self._dsn, autocommit=True, connect_timeout=5, application_name="crossbook analytics"
        ) as connection:
            if self._role is not None:
                connection.execute(SQL("SET ROLE {}").format(Identifier(self._role)))
            connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}".encode())
            source = HistorySource(connection, rows_max=ROWS_MAX)
            try:
                asked = Question(symbol, from_ns, until_ns, every_ns)
                return json_rows(analyse(metric, source, asked))
            except TooMuchError as error:
                raise ValueError(f"{error}: ask for a shorter range") from error
