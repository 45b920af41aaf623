"""The frames of analytics from PostgreSQL: text COPY into Polars' CSV reader.

Guarantees: only the named instrument and time range is read, and of level changes all that came
before, which make the book; a bound on rows is kept, else TooMuchError. COPY and the reader are
each about as quick as the server makes rows, and need no driver besides ours.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import date
from io import BytesIO
from typing import Any, Final

import polars as pl
import psycopg
from psycopg.sql import SQL, Identifier, Literal

from projections.analytics import orders, quotes, trades
from projections.postgres.schema import HISTORY

PACKED: Final = struct.Struct("<IIqq")
ROWS_MAX: Final = 5_000_000

Connection = psycopg.Connection[Any]

TRADES: Final = """
    SELECT executed_at_ns AS time_ns, match_number, price_ticks, quantity, aggressor_side,
        book_sequence
    FROM trades WHERE instrument = {instrument} AND executed_at_ns >= {from_ns}
        AND executed_at_ns < {until_ns} AND trading_day BETWEEN {first_day} AND {last_day}
    LIMIT {rows_max}"""
ORDERS: Final = """
    SELECT accepted_at_ns AS time_ns, quantity, executed_quantity FROM orders
    WHERE instrument = {instrument} AND accepted_at_ns >= {from_ns}
        AND accepted_at_ns < {until_ns} AND status <> 5 LIMIT {rows_max}"""
MESSAGES: Final = """
    SELECT * FROM (
        SELECT accepted_at_ns AS time_ns, 'submit' AS kind FROM orders
        WHERE instrument = {instrument} AND status <> 5
        UNION ALL
        SELECT updated_at_ns, 'cancel' FROM orders WHERE instrument = {instrument} AND status = 3
        UNION ALL
        SELECT occurred_at_ns, 'replace' FROM order_steps
        WHERE instrument = {instrument} AND step = 1
    ) every WHERE time_ns >= {from_ns} AND time_ns < {until_ns} LIMIT {rows_max}"""
LEVELS: Final = """
    SELECT occurred_at_ns, changes FROM level_changes
    WHERE instrument = %s AND occurred_at_ns < %s ORDER BY position"""
DAYS: Final = """
    SELECT min(trading_day), max(trading_day) FROM daily_summaries
    WHERE instrument = %s AND last_executed_at_ns >= %s AND first_executed_at_ns < %s"""
NUMBERS: Final = "SELECT symbol, instrument FROM instruments"


class TooMuchError(Exception):
    """The range holds more rows than one answer may read: ask for a shorter one."""


class HistorySource:
    """Reads one database. `connection` is the caller's, in autocommit, and used by one thread."""

    def __init__(self, connection: Connection, *, rows_max: int = ROWS_MAX) -> None:
        self._connection = connection
        self._rows_max = rows_max
        connection.execute(SQL("SET search_path = {}").format(Identifier(HISTORY)))
        connection.execute("SET default_transaction_read_only = on")
        self._numbers = dict(connection.execute(NUMBERS).fetchall())

    @property
    def symbols(self) -> list[str]:
        """Every instrument's symbol."""
        return sorted(self._numbers)

    def trades(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Trades by the gateway's clock, in order of match number."""
        number = self._numbers[symbol]
        first, last = self._connection.execute(DAYS, [number, from_ns, until_ns]).fetchone() or (
            None,
            None,
        )
        if first is None:
            return pl.LazyFrame(schema=trades.SCHEMA)
        days = {"first_day": first, "last_day": last}
        found = self._copied(TRADES, trades.SCHEMA, number, from_ns, until_ns, **days)
        return found.lazy().sort("match_number")

    def orders(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Orders accepted in the range, without whose they are."""
        number = self._numbers[symbol]
        return self._copied(ORDERS, orders.ORDERS, number, from_ns, until_ns).lazy()

    def messages(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Submits, replaces and cancels that were applied in the range."""
        number = self._numbers[symbol]
        return self._copied(MESSAGES, orders.MESSAGES, number, from_ns, until_ns).lazy()

    def quotes(self, symbol: str, from_ns: int, until_ns: int) -> pl.LazyFrame:
        """Best bid and offer and depth in the range, and the state that it began with."""
        changes = self._changes(self._numbers[symbol], until_ns)
        return quotes.quotes_of(changes, from_ns=from_ns).lazy()

    def _changes(self, number: int, until_ns: int) -> Iterator[quotes.Change]:
        count = 0
        with (
            self._connection.transaction(),
            self._connection.cursor("levels", binary=True) as cursor,
        ):
            cursor.itersize = 5_000
            cursor.execute(LEVELS, [number, until_ns])
            for occurred_at_ns, packed in cursor:
                for price, _, doubled, sequence in PACKED.iter_unpack(packed):
                    yield occurred_at_ns, sequence, doubled & 1, price, doubled >> 1
                count += len(packed) // PACKED.size
                if count > self._rows_max:
                    raise TooMuchError(f"more than {self._rows_max:,} level changes")

    def _copied(
        self,
        query: str,
        schema: dict[str, Any],
        number: int,
        from_ns: int,
        until_ns: int,
        **more: date,
    ) -> pl.DataFrame:
        named = {"instrument": number, "from_ns": from_ns, "until_ns": until_ns, **more}
        named["rows_max"] = self._rows_max + 1
        bound = SQL(query).format(**{name: Literal(value) for name, value in named.items()})
        text = BytesIO()
        with self._connection.cursor().copy(
            SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(bound)
        ) as copy:
            for block in copy:
                text.write(block)
        if not text.tell():
            return pl.DataFrame(schema=schema)
        text.seek(0)
        frame = pl.read_csv(text, has_header=False, schema=schema)
        if frame.height > self._rows_max:
            raise TooMuchError(f"more than {self._rows_max:,} rows")
        return frame
