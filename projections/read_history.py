"""Orders, executions and trades as PostgreSQL holds them, for the API.

Guarantees: every query is bounded in rows and time, and answers in a stable order that can be paged
through while new rows arrive. Newest first throughout.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.batch import START, Position
from domain.codes import DUPLICATE_CLIENT_ORDER_ID
from projections.postgres.fold import STATUS_NAMES
from projections.postgres.schema import HISTORY

Row = TypeVar("Row")

LIMIT_MAX: Final = 1_000
BIGINT_MAX: Final = 2**63 - 1
STATEMENT_TIMEOUT_MS: Final = 5_000
POOL_WAIT_S: Final = 2.0
STATUS_CODES: Final = {name: code for code, name in enumerate(STATUS_NAMES)}
UNAVAILABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    PoolTimeout,
    # Before the sink has made its tables.
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    # Before it has brought those of an older release up to date.
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
)


class HistoryUnavailableError(Exception):
    """PostgreSQL does not answer, takes too long, or has no tables yet."""


class HistoryBehindError(HistoryUnavailableError):
    """The history is not (or, since the server crashed, no longer) as new as was asked for."""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One order as it is now. Prices in 1/10,000 dollar, times in ns since 1970.

    `quantity` is the total; `executed_value` is price ticks × quantity over all executions;
    `reason` is a `domain.codes.Reason`, 0 where none; `trading_time_ns` is the exchange's time at
    arrival.
    """

    order_id: int
    shard: int
    account: int
    instrument: int
    client_order_id: str | None
    side: int
    order_type: int
    time_in_force: int
    price_ticks: int
    quantity: int
    executed_quantity: int
    leaves_quantity: int
    executed_value: int
    status: str
    reason: int
    accepted_position: int
    updated_position: int
    accepted_at_ns: int
    updated_at_ns: int
    trading_time_ns: int


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """One order's side of one match. `aggressor` tells whether it was the order that arrived."""

    order_id: int
    match_number: int
    shard: int
    account: int
    instrument: int
    side: int
    aggressor: bool
    price_ticks: int
    quantity: int
    leaves_quantity: int
    position: int
    executed_at_ns: int
    trading_time_ns: int


@dataclass(frozen=True, slots=True)
class OrderEventRow:
    """One event of an order. `event`: accepted, rejected, executed, replaced, cancelled, expired,
    cancel_refused or replace_refused; None where an event has no such thing, or where it was
    written before there was a place for it (book_sequence, trading_time_ns).

    `quantity` is the total after a replacement, and what was taken off by a cancel or expiry.
    """

    order_id: int
    shard: int
    account: int
    instrument: int
    position: int
    event: str
    side: int | None
    price_ticks: int
    quantity: int
    leaves_quantity: int | None
    reason: int
    match_number: int | None
    aggressor: bool | None
    previous_price_ticks: int | None
    previous_leaves_quantity: int | None
    kept_priority: bool | None
    book_sequence: int | None
    occurred_at_ns: int
    trading_time_ns: int | None


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One instrument's trading day. `value` is price ticks × quantity over all trades: over
    `volume`, the day's VWAP. Days without a trade have no row."""

    instrument: int
    trading_day: date
    shard: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume: int
    value_text: str
    trade_count: int
    first_match_number: int
    last_match_number: int

    @property
    def value(self) -> int:
        """Exact, however large."""
        return int(self.value_text)


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One match, without who traded. `book_sequence` is None where version 1 of the tables wrote
    it."""

    instrument: int
    match_number: int
    shard: int
    aggressor_side: int
    price_ticks: int
    quantity: int
    position: int
    executed_at_ns: int
    trading_time_ns: int
    book_sequence: int | None


@dataclass(frozen=True, slots=True)
class InstrumentRow:
    """One instrument as the shard knows it."""

    instrument: int
    shard: int
    symbol: str
    tick_size: int
    lot_size: int
    price_collar: int
    state: int


SELECT_ORDERS: Final = """
    SELECT order_id, shard, account, instrument, client_order_id, side, order_type, time_in_force,
        price_ticks, quantity, executed_quantity, leaves_quantity, executed_value,
        ('{open,partially_filled,filled,cancelled,expired,rejected}'::text[])[status + 1] AS status,
        reason, accepted_position, updated_position, accepted_at_ns, updated_at_ns, trading_time_ns
    FROM orders WHERE """
SELECT_EXECUTIONS: Final = """
    SELECT order_id, match_number, shard, account, instrument, side, liquidity = 1 AS aggressor,
        price_ticks, quantity, leaves_quantity, position, executed_at_ns, trading_time_ns
    FROM executions WHERE """
SELECT_TRADES: Final = """
    SELECT instrument, match_number, shard, aggressor_side, price_ticks, quantity, position,
        executed_at_ns, trading_time_ns, book_sequence
    FROM trades WHERE """
# An order lies in the partition of the day it was born; what befell it, there or later.
OF_ITS_DAY: Final = " AND trading_day = day_of_order(%(order_id)s)"
SINCE_ITS_DAY: Final = "trading_day >= day_of_order(%(order_id)s)"
SELECT_ORDER_EVENTS: Final = f"""
    SELECT order_id, shard, account, instrument, position, event, side, price_ticks, quantity,
        leaves_quantity, reason, match_number, aggressor, previous_price_ticks,
        previous_leaves_quantity, kept_priority, book_sequence, occurred_at_ns, trading_time_ns
    FROM order_events
    WHERE order_id = %(order_id)s AND {SINCE_ITS_DAY}
    ORDER BY position, place, book_sequence, command_index LIMIT """
SELECT_SUMMARIES: Final = """
    SELECT instrument, trading_day, shard, open_ticks, high_ticks, low_ticks, close_ticks, volume,
        value::text AS value_text, trade_count, first_match_number, last_match_number
    FROM daily_summaries
    WHERE instrument = %(instrument)s AND trading_day BETWEEN %(first)s AND %(last)s
    ORDER BY trading_day DESC LIMIT """
SELECT_INSTRUMENTS: Final = """
    SELECT instrument, shard, symbol, tick_size, lot_size, price_collar, state
    FROM instruments ORDER BY instrument"""
SELECT_POSITION: Final = """
    SELECT position, chain FROM sink_positions WHERE sink = 'postgres' AND shard = %(shard)s"""
SESSION: Final = f"""
    SET search_path = {HISTORY};
    SET statement_timeout = {STATEMENT_TIMEOUT_MS};
    SET default_transaction_read_only = on"""
NEWEST_ORDERS: Final = " ORDER BY accepted_at_ns DESC, order_id DESC LIMIT "
# By a column without an index, so that the planner takes that of the names.
SELECT_NAMED: Final = f"""
    SELECT found.* FROM unnest(%(instruments)s::bigint[], %(names)s::text[], %(before)s::bigint[])
        AS asked (number, name, before)
    CROSS JOIN LATERAL ({SELECT_ORDERS} account = %(account)s AND client_order_id = asked.name
        AND instrument = asked.number AND order_id < asked.before
        AND reason <> {DUPLICATE_CLIENT_ORDER_ID}
        ORDER BY accepted_position DESC, order_id DESC LIMIT 1) AS found"""
NEWEST_EXECUTIONS: Final = " ORDER BY executed_at_ns DESC, match_number DESC, order_id DESC LIMIT "
BEFORE_ORDER: Final = """
    AND (accepted_at_ns, order_id) < ((SELECT accepted_at_ns FROM orders
        WHERE order_id = %(before)s AND trading_day = day_of_order(%(before)s)), %(before)s)"""
BEFORE_EXECUTION: Final = """(executed_at_ns, match_number, order_id)
    < (%(before_ns)s, %(before_match)s, %(before_order)s)"""


@dataclass(frozen=True, slots=True)
class _PositionRow:
    position: int
    chain: bytes


class HistoryReader:
    """Reads the history. `open` it in the event loop that uses it; safe for many tasks.

    Every method raises HistoryUnavailableError where PostgreSQL does not answer in time, and
    ValueError where `limit` is not 1 to 1,000.
    """

    def __init__(self, dsn: str, *, connections_max: int = 8, role: str | None = None) -> None:
        """`role`: what to read as (`SET ROLE`), such as `crossbook_reader`; None: as whoever
        the DSN logs in."""
        self._role = role
        self._wanted: Mapping[int, int] = {}
        self._pool: AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=connections_max,
            open=False,
            timeout=POOL_WAIT_S,
            configure=self._configure,
            check=AsyncConnectionPool.check_connection,
            kwargs={
                "autocommit": True,
                "connect_timeout": 5,
                "application_name": "crossbook reads",
            },
        )

    def at_least(self, positions: Mapping[int, int]) -> HistoryReader:
        """The same reader, whose every answer is at least as new as `positions` (by shard), or
        HistoryBehindError.

        A server that crashed may have lost its newest commits, which the sink then writes again: so
        the position is asked on the very connection that reads the rows.
        """
        reader = copy.copy(self)
        reader._wanted = {shard: position for shard, position in positions.items() if position > 0}
        return reader

    async def open(self) -> None:
        """Begin to connect; queries wait for that."""
        await self._pool.open()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def order(self, order_id: int) -> OrderRow | None:
        """One order by its number."""
        rows = await self.fetch(
            OrderRow, SELECT_ORDERS + "order_id = %(order_id)s" + OF_ITS_DAY, order_id=order_id
        )
        return rows[0] if rows else None

    async def orders_numbered(self, account: int, order_ids: Collection[int]) -> list[OrderRow]:
        """Those of an account's orders that have these numbers, at most 1,000, in no order."""
        if len(order_ids) > LIMIT_MAX:
            raise ValueError(f"at most {LIMIT_MAX} orders at once")
        query = SELECT_ORDERS + "order_id = ANY(%(ids)s::bigint[]) AND account = %(account)s"
        return await self.fetch(OrderRow, query, ids=list(order_ids), account=account)

    async def order_by_client_id(
        self, account: int, client_order_id: str, instrument: int | None = None
    ) -> list[OrderRow]:
        """Every order that an account sent under one client order id, refused duplicates too."""
        if not client_order_id.isascii() or not client_order_id.isprintable():
            return []
        query = SELECT_ORDERS + "account = %(account)s AND client_order_id = %(client_order_id)s"
        if instrument is not None:
            query += " AND instrument = %(instrument)s"
        query += NEWEST_ORDERS + str(LIMIT_MAX)
        return await self.fetch(
            OrderRow,
            query,
            account=account,
            client_order_id=client_order_id,
            instrument=instrument,
        )

    async def orders_named(
        self, account: int, asked: Sequence[tuple[int, str, int]]
    ) -> list[OrderRow]:
        """Of each (instrument, client order id, order id), at most 1,000, the account's newest
        order under that name that was born before that order id; in no order. Duplicates that were
        refused took nothing and are passed over."""
        if len(asked) > LIMIT_MAX:
            raise ValueError(f"at most {LIMIT_MAX} orders at once")
        instruments, names, before = zip(*asked, strict=True) if asked else ((), (), ())
        return await self.fetch(
            OrderRow,
            SELECT_NAMED,
            account=account,
            instruments=list(instruments),
            names=list(names),
            before=list(before),
        )

    async def orders(
        self,
        account: int,
        instrument: int | None = None,
        status: str | Collection[str] | None = None,
        limit: int = 100,
        before_order_id: int | None = None,
    ) -> list[OrderRow]:
        """An account's orders, in any of the states `status` names (see STATUS_CODES; None: all).

        The page after one that ended with `before_order_id` begins right behind that order.
        """
        query = SELECT_ORDERS + "account = %(account)s"
        if instrument is not None:
            query += " AND instrument = %(instrument)s"
        if status is not None:
            query += " AND status = ANY(%(statuses)s::smallint[])"
        if before_order_id is not None:
            query += BEFORE_ORDER
        names = [status] if isinstance(status, str) else status or ()
        return await self.fetch(
            OrderRow,
            query + NEWEST_ORDERS + _limit(limit),
            account=account,
            instrument=instrument,
            statuses=[STATUS_CODES[name] for name in names],
            before=before_order_id,
        )

    async def executions(
        self,
        *,
        order_id: int | None = None,
        account: int | None = None,
        instrument: int | None = None,
        limit: int = 100,
        before: tuple[int, int, int] | None = None,
    ) -> list[ExecutionRow]:
        """The executions of an order or an account (one of them is needed, both may be given).

        `before` is (executed_at_ns, match_number, order_id) of the last row of the page before.
        """
        given = {"order_id": order_id, "account": account, "instrument": instrument}
        if order_id is None and account is None:
            raise ValueError("executions of an order or of an account")
        conditions = [f"{name} = %({name})s" for name, value in given.items() if value is not None]
        if order_id is not None:
            conditions.append(SINCE_ITS_DAY)
        if before is not None:
            conditions.append(BEFORE_EXECUTION)
        query = SELECT_EXECUTIONS + " AND ".join(conditions) + NEWEST_EXECUTIONS + _limit(limit)
        at_ns, match_number, order = before or (0, 0, 0)
        last = {"before_ns": at_ns, "before_match": match_number, "before_order": order}
        return await self.fetch(ExecutionRow, query, **given, **last)

    async def trades(
        self,
        instrument: int,
        limit: int = 100,
        before_match_number: int | None = None,
        since_ns: int | None = None,
    ) -> list[TradeRow]:
        """An instrument's trades, those before a match and not before a time where these are
        given."""
        query = SELECT_TRADES + "instrument = %(instrument)s"
        if before_match_number is not None:
            query += " AND match_number < %(before)s"
        if since_ns is not None:
            query += " AND executed_at_ns >= %(since_ns)s"
        return await self.fetch(
            TradeRow,
            query + " ORDER BY match_number DESC LIMIT " + _limit(limit),
            instrument=instrument,
            before=before_match_number,
            since_ns=since_ns,
        )

    async def order_events(self, order_id: int, limit: int = LIMIT_MAX) -> list[OrderEventRow]:
        """The life of an order, oldest first: the first `limit` events, those of anyone who aimed
        at it in vain too (`account` says who)."""
        query = SELECT_ORDER_EVENTS + _limit(limit)
        return await self.fetch(OrderEventRow, query, order_id=order_id)

    async def summaries(
        self, instrument: int, first: date, last: date, limit: int = LIMIT_MAX
    ) -> list[SummaryRow]:
        """The trading days of an instrument from `first` to `last`, both included, newest first."""
        query = SELECT_SUMMARIES + _limit(limit)
        return await self.fetch(SummaryRow, query, instrument=instrument, first=first, last=last)

    async def instruments(self) -> list[InstrumentRow]:
        """Every instrument, in order of its number."""
        return await self.fetch(InstrumentRow, SELECT_INSTRUMENTS)

    async def position(self, shard: int) -> int:
        """How far the shard's history is; 0 where there is none."""
        return (await self.stands_at(shard)).position

    async def stands_at(self, shard: int) -> Position:
        """The last batch in the shard's history; START where there is none."""
        rows = await self.fetch(_PositionRow, SELECT_POSITION, shard=shard)
        return Position(rows[0].position, bytes(rows[0].chain)) if rows else START

    async def fetch(self, kind: type[Row], query: str, **arguments: Any) -> list[Row]:
        """The rows of one bounded query of another reader over these tables, such as
        `projections.read_market`. Numbers past 64 bits are bound as the nearest that fit."""
        bound = {name: _bound(value) for name, value in arguments.items()}
        try:
            async with (
                self._pool.connection() as connection,
                connection.cursor(row_factory=class_row(kind), binary=True) as cursor,
            ):
                await self._expect_position(connection)
                await cursor.execute(query.encode(), bound)
                return await cursor.fetchall()
        except UNAVAILABLE as error:
            raise HistoryUnavailableError(str(error)) from error

    async def _configure(self, connection: AsyncConnection[tuple[Any, ...]]) -> None:
        await connection.execute(SESSION)
        if self._role is not None:
            await connection.execute(SQL("SET ROLE {}").format(Identifier(self._role)))

    async def _expect_position(self, connection: AsyncConnection[tuple[Any, ...]]) -> None:
        for shard, position in self._wanted.items():
            found = await connection.execute(SELECT_POSITION.encode(), {"shard": shard})
            row = await found.fetchone()
            if row is None or row[0] < position:
                raise HistoryBehindError(f"the history has not come to {shard}-{position}")


def _limit(limit: int) -> str:
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit is 1 to {LIMIT_MAX}")
    return str(limit)


def _bound(value: Any) -> Any:
    """Numbers past 64 bits would be compared as numerics, without an index."""
    if isinstance(value, int):
        return max(-BIGINT_MAX, min(BIGINT_MAX, value))
    return value
