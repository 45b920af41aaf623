"""A run of batches' rows into the tables of its trading day, within the caller's transaction.

Guarantees: rows go straight into the partitions that hold them; an older order is looked for only
in the partition of the day it was born.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, TypeAlias

from psycopg.sql import SQL, Identifier

from domain.batch import EventBatch, SinkError
from projections.postgres.copy_rows import COLUMNS, DAY_NS
from projections.postgres.fold import Listing, Rows, fold
from projections.postgres.schema import Connection, Cursor

Run: TypeAlias = tuple[int, list[bytes]]  # a day since 1970, and EventBatch records

EPOCH: Final = date(1970, 1, 1)
ORDER_ID_MAX: Final = 2**63 - 1
COPY: Final = SQL("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")
CHANGE_ORDERS: Final = """
    UPDATE {table} o SET
        price_ticks = CASE WHEN c.price_ticks = 0 THEN o.price_ticks ELSE c.price_ticks END,
        quantity = CASE WHEN c.quantity = 0 THEN o.quantity ELSE c.quantity END,
        executed_quantity = o.executed_quantity + c.executed_quantity,
        leaves_quantity = c.leaves_quantity,
        executed_value = o.executed_value + c.executed_value,
        status = c.status, reason = c.reason,
        updated_position = c.updated_position, updated_at_ns = c.updated_at_ns,
        updated_trading_time_ns = c.updated_trading_time_ns
    FROM order_changes c WHERE o.order_id = c.order_id
"""
OF_ONE_DAY: Final = " AND c.order_id >= %s AND c.order_id < %s"
SUMMARISE: Final = """
    INSERT INTO daily_summaries AS d (trading_day, shard, instrument, open_ticks, high_ticks,
        low_ticks, close_ticks, volume, value, trade_count, first_match_number, last_match_number,
        first_executed_at_ns, last_executed_at_ns)
    SELECT %s, %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::bigint[], %s::bigint[], %s::numeric[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::bigint[], %s::bigint[])
    ON CONFLICT (instrument, trading_day) DO UPDATE SET
        high_ticks = greatest(d.high_ticks, EXCLUDED.high_ticks),
        low_ticks = least(d.low_ticks, EXCLUDED.low_ticks),
        close_ticks = EXCLUDED.close_ticks,
        volume = d.volume + EXCLUDED.volume,
        value = d.value + EXCLUDED.value,
        trade_count = d.trade_count + EXCLUDED.trade_count,
        last_match_number = EXCLUDED.last_match_number,
        first_executed_at_ns = least(d.first_executed_at_ns, EXCLUDED.first_executed_at_ns),
        last_executed_at_ns = greatest(d.last_executed_at_ns, EXCLUDED.last_executed_at_ns)
"""
FIRST_OF_DAY: Final = (
    "INSERT INTO trading_days (shard, first_position, trading_day) VALUES (%s, %s, %s)"
)
SELECT_DAYS: Final = (
    "SELECT first_position, trading_day FROM trading_days WHERE shard = %s ORDER BY first_position"
)
LIST_INSTRUMENT: Final = """
    INSERT INTO instruments (instrument, shard, symbol, tick_size, lot_size, price_collar, state,
        listed_position, updated_position)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
CHANGE_STATE: Final = (
    "UPDATE instruments SET state = %s, updated_position = %s WHERE instrument = %s"
)


@dataclass(frozen=True)
class Days:
    """The trading days on which a shard's orders were born: the first order id of each, ascending,
    and the day (since 1970)."""

    first_ids: tuple[int, ...] = ()
    days: tuple[int, ...] = ()

    @staticmethod
    def stored(connection: Connection, shard: int) -> Days:
        """What the tables say."""
        rows = connection.execute(SELECT_DAYS, [shard]).fetchall()
        return Days(
            tuple(first_order_id(shard, row[0]) for row in rows),
            tuple((row[1] - EPOCH).days for row in rows),
        )

    def first_id_of(self, day: int) -> int:
        """The first order id of `day`, the newest there is; past every id before its first."""
        return self.first_ids[-1] if self.days and self.days[-1] == day else ORDER_ID_MAX

    def with_day(self, first_id: int, day: int) -> Days:
        """One day more."""
        return Days((*self.first_ids, first_id), (*self.days, day))

    def at(self, order_id: int) -> int:
        """The place of the order's day. Raises SinkError where no day is so old."""
        place = bisect_right(self.first_ids, order_id) - 1
        if place < 0:
            raise SinkError(f"order {order_id} is missing: `crossbook rebuild postgres`")
        return place


def first_order_id(shard: int, position: int) -> int:
    """The lowest id of an order born in this batch."""
    return (shard << 55) | (position << 16)


def date_of(day: int) -> date:
    """A day since 1970 as a date."""
    return EPOCH + timedelta(days=day)


def runs_of(batches: Sequence[EventBatch]) -> list[Run]:
    """The batches' records by trading day (since 1970), in order."""
    runs: list[Run] = []
    for batch in batches:
        day = batch.header.trading_time_ns // DAY_NS
        if not runs or runs[-1][0] != day:
            runs.append((day, []))
        runs[-1][1].append(batch.record)
    return runs


@dataclass
class Written:
    """What a transaction wrote: the days after it, the days whose partitions are there, counts."""

    days: Days
    made: frozenset[int]
    orders_born: int = 0
    orders_changed: int = 0
    matches: int = 0
    staged: bool = False

    def write(self, connection: Connection, shard: int, runs: Sequence[Run]) -> None:
        """Write the rows of `runs`. Raises SinkError where an order is missing."""
        for day, records in runs:
            rows = fold(shard, records, day, self.days.first_id_of(day))
            self._write_run(connection, rows)
            self.orders_born += rows.orders_born
            self.orders_changed += rows.orders_changed
            self.matches += rows.matches

    def _write_run(self, connection: Connection, rows: Rows) -> None:
        new_day = rows.first_born_position > 0 and rows.day not in self.days.days[-1:]
        with connection.cursor() as cursor:
            images = rows.images()
            if images and rows.day not in self.made:
                cursor.execute("SELECT make_trading_day(%s)", [date_of(rows.day)])
                self.made |= {rows.day}
            for table, image in images:
                _copy(cursor, table, leaf_of(table, rows.day), image)
            if rows.orders_changed > 0:
                self._change_orders(cursor, rows)
            if rows.summaries:
                _summarise(cursor, rows)
            for listing in rows.listings:
                _write_listing(cursor, rows.shard, listing)
            if new_day:
                position = rows.first_born_position
                cursor.execute(FIRST_OF_DAY, (rows.shard, position, date_of(rows.day)))
                self.days = self.days.with_day(first_order_id(rows.shard, position), rows.day)

    def _change_orders(self, cursor: Cursor, rows: Rows) -> None:
        """Each older order in the partition of its day; nearly always that is today's alone."""
        if self.staged:
            cursor.execute("DELETE FROM order_changes")
        self.staged = True
        _copy(cursor, "order_changes", "order_changes", rows.order_changes.getvalue())
        places = {self.days.at(order_id) for order_id in rows.older}
        changed = 0
        if len(rows.older) < rows.orders_changed:
            changed += self._change_day(cursor, len(self.days.days) - 1, alone=not places)
        for place in sorted(places):
            alone = len(places) == 1 and len(rows.older) == rows.orders_changed
            changed += self._change_day(cursor, place, alone=alone)
        if changed != rows.orders_changed:
            missing = rows.orders_changed - changed
            raise SinkError(f"{missing} orders are missing: `crossbook rebuild postgres`")

    def _change_day(self, cursor: Cursor, place: int, *, alone: bool) -> int:
        query = CHANGE_ORDERS.format(table=leaf_of("orders", self.days.days[place]))
        if alone:
            cursor.execute(query.encode())
            return cursor.rowcount
        bounds = (*self.days.first_ids, ORDER_ID_MAX)[place : place + 2]
        cursor.execute((query + OF_ONE_DAY).encode(), bounds)
        return cursor.rowcount


def leaf_of(table: str, day: int) -> str:
    """The partition of a table for a day since 1970."""
    return f"{table}_{date_of(day):%Y%m%d}"


def _copy(cursor: Cursor, table: str, into: str, image: bytes) -> None:
    query = COPY.format(table=Identifier(into), columns=SQL(COLUMNS[table]))
    with cursor.copy(query) as copy:
        copy.write(image)


def _summarise(cursor: Cursor, rows: Rows) -> None:
    found = list(rows.summaries.values())
    columns = (
        [each.instrument for each in found],
        [each.open_ticks for each in found],
        [each.high_ticks for each in found],
        [each.low_ticks for each in found],
        [each.close_ticks for each in found],
        [each.volume for each in found],
        [str(each.value) for each in found],
        [each.trade_count for each in found],
        [each.first_match_number for each in found],
        [each.last_match_number for each in found],
        [each.first_executed_at_ns for each in found],
        [each.last_executed_at_ns for each in found],
    )
    cursor.execute(SUMMARISE, (date_of(rows.day), rows.shard, *columns))


def _write_listing(cursor: Cursor, shard: int, listing: Listing) -> None:
    if not listing.symbol:
        cursor.execute(CHANGE_STATE, (listing.state, listing.position, listing.instrument))
        return
    sizes = (listing.tick_size, listing.lot_size, listing.price_collar)
    symbol = listing.symbol.decode("ascii")
    positions = (listing.position, listing.position)
    cursor.execute(
        LIST_INSTRUMENT, (listing.instrument, shard, symbol, *sizes, listing.state, *positions)
    )
