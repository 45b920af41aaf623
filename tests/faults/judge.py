"""What is true after the faults: the logs, run again from nothing, against everything else.

Guarantees: nothing here is told by the processes that were killed but through the command log;
every comparison is exact, and every difference is told with the first few that differ.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier

from domain.exchange import Exchange
from domain.snapshot import restore, state_hash
from domain.wire import seal_events
from projections.postgres import PostgresSink
from projections.postgres.schema import HISTORY
from projections.snapshots import SnapshotStore
from streams.logs import PARTS_BITS, SQLiteEventLog
from tests.faults.journal import Journal, SentOrder
from tests.faults.observer import SeenBook

CHAIN_BYTES: Final = 32
PAGE: Final = 64
SHOWN: Final = 5
CANCELLED: Final = 3
REJECTED: Final = 5
TABLES: Final = (
    "orders",
    "executions",
    "trades",
    "order_steps",
    "level_changes",
    "daily_summaries",
    "trading_days",
    "instruments",
)
FRESH_SCHEMA: Final = "judged"


@dataclass
class Truth:
    """One shard's command log run again from nothing, up to `position`."""

    shard: int
    position: int
    exchange: Exchange
    chains: list[bytes]  # after each position
    instruments: dict[str, int]  # number by symbol
    books_compared: int = 0


def _opened(logs: Path, name: str) -> sqlite3.Connection:
    """A log's file, to be read only."""
    return sqlite3.connect(f"file:{logs}/{name}.sqlite?mode=ro", uri=True)


def batches_of(logs: Path, shard: int, after: int, upto: int) -> Iterator[tuple[int, bytes]]:
    """(position, CommandBatch) of a shard's command log, read past every layer of ours."""
    with closing(_opened(logs, f"commands-{shard}")) as connection:
        rows = connection.execute(
            "SELECT rowid, state FROM stored_events WHERE rowid > ? AND rowid <= ? ORDER BY rowid",
            (after, upto),
        )
        yield from rows


def heads_of(logs: Path, shard: int) -> tuple[int, int]:
    """The last positions of a shard's command log and of its event log."""
    with closing(_opened(logs, f"commands-{shard}")) as commands:
        (head,) = commands.execute("SELECT max(rowid) FROM stored_events").fetchone()
    with closing(_opened(logs, f"events-{shard}")) as events:
        (tail,) = events.execute("SELECT max(originator_version) FROM stored_events").fetchone()
    return head or 0, (tail or 0) >> PARTS_BITS


def run_again(
    logs: Path,
    shard: int,
    position: int,
    record_bytes_max: int,
    *,
    seen: list[SeenBook],
    instruments: dict[str, int],
) -> Truth:
    """Apply the whole command log to a fresh engine; every byte must be that of the event log.

    `seen` are books that somebody was shown: each must be the engine's at its position.
    """
    by_position = defaultdict(list)
    for book in seen:
        by_position[book.position].append(book)
    truth = Truth(shard, position, Exchange(shard), [bytes(CHAIN_BYTES)], instruments)
    with closing(_opened(logs, f"events-{shard}")) as connection:
        logged = connection.execute(
            "SELECT originator_version, state FROM stored_events ORDER BY originator_version"
        )
        for expected, (at, batch) in enumerate(batches_of(logs, shard, 0, position), start=1):
            assert at == expected, f"shard {shard}: position {expected} is missing in the log"
            image = truth.exchange.apply(at, batch)
            records, chain = seal_events(image, truth.chains[-1], record_bytes_max)
            for part, record in enumerate(records):
                version, found = next(logged, (None, None))
                assert version == at << PARTS_BITS | part, f"{at}.{part} is missing, or there twice"
                assert found == record, f"shard {shard}: the events of {at}.{part} differ"
            truth.chains.append(chain)
            for book in by_position.pop(at, ()):
                _compare_book(truth, book)
    assert len(truth.chains) == position + 1, f"shard {shard}: the log ends before {position}"
    assert not by_position, f"books were shown of positions that are not: {list(by_position)[:5]}"
    return truth


def _compare_book(truth: Truth, book: SeenBook) -> None:
    engine, number = truth.exchange, truth.instruments[book.symbol]
    found = (engine.book_sequence(number), engine.levels(number, 0), engine.levels(number, 1))
    shown = (book.sequence, book.bids, book.asks)
    assert shown == found, f"{book.symbol} was shown wrongly at {book.position}"
    truth.books_compared += 1


def check_snapshots(truth: Truth, dsn: str, logs: Path) -> int:
    """Every kept snapshot, restored and brought forward, has the very state of the fresh engine.

    Returns how many there are.
    """
    expected = state_hash(truth.exchange)
    store = SnapshotStore(dsn)
    at_most, count = truth.position, 0
    while found := store.newest_sound(truth.shard, at_most):
        at, chunks = found
        assert at.chain == truth.chains[at.position], f"the snapshot of {at.position}"
        exchange = restore(chunks)
        for position, batch in batches_of(logs, truth.shard, at.position, truth.position):
            exchange.apply(position, batch)
        assert state_hash(exchange) == expected, f"restored at {at.position}"
        count += 1
        at_most = at.position - 1
    store.close()
    return count


# --- PostgreSQL -----------------------------------------------------------------------------------


def check_history(dsn: str, logs: Path, positions: dict[int, int]) -> dict[str, int]:
    """The tables against those of a fresh projection of the event log; rows of each."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(FRESH_SCHEMA)))
        fresh = PostgresSink(dsn, schema=FRESH_SCHEMA)
        for shard, upto in positions.items():
            _project(fresh, logs, shard, upto)
        fresh.close()
        counts = {}
        for table in TABLES:
            served, built = (
                SQL("SELECT * FROM {}.{}").format(Identifier(schema), Identifier(table))
                for schema in (HISTORY, FRESH_SCHEMA)
            )
            for name, first, second in (("wrong", served, built), ("missing", built, served)):
                query = SQL("{} EXCEPT ALL {} LIMIT {}").format(first, second, SHOWN)
                rows = connection.execute(query).fetchall()
                assert not rows, f"{name} in {table}: {rows}"
            (counts[table],) = connection.execute(
                SQL("SELECT count(*) FROM ({}) AS t").format(served)
            ).fetchone() or (0,)
    return counts


def _project(sink: Any, logs: Path, shard: int, upto: int) -> None:
    source = SQLiteEventLog(logs, shard)
    at = sink.position(shard).position
    while at < upto:
        batches = [batch for batch in source.read(at, PAGE) if batch.position <= upto]
        at = sink.apply(shard, batches).position
    source.close()


def check_journal(dsn: str, journal: Journal) -> dict[str, int]:
    """Every acknowledged order is in the history once, as it was acknowledged, and none besides."""
    assert not journal.unexpected, "\n".join(journal.unexpected[:SHOWN])
    accounts = {order.account for order in journal.orders.values()}
    prefixes = {name.partition("-")[0] for name in journal.orders}
    rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(
            "SELECT client_order_id, order_id, account, status, price_ticks, quantity,"
            " executed_quantity FROM history.orders WHERE account = ANY(%s)",
            [list(accounts)],
        )
        for name, *row in found:
            if name is not None and name.partition("-")[0] in prefixes:
                rows[name].append(tuple(row))
    strangers = rows.keys() - journal.orders.keys()
    assert not strangers, f"nobody sent {sorted(strangers)[:SHOWN]}"
    wrong = [
        f"{name}: {problem}; rows {rows.get(name)}; {order}"
        for name, order in journal.orders.items()
        if (problem := problem_of(order, rows.get(name, [])))
    ]
    assert not wrong, f"{len(wrong)} orders are wrong:\n" + "\n".join(wrong[:SHOWN])
    return dict(journal.counts) | {"orders": len(journal.orders), "rows": len(rows)}


def problem_of(order: SentOrder, rows: list[tuple[Any, ...]]) -> str:
    """What is wrong with an order, nothing where all is well."""
    if order.abandoned:
        return "was refused as not written, and is there" if rows else ""
    if not order.acknowledged:
        return "was never answered"
    if len(rows) != 1:
        return "was acknowledged, and is lost" if not rows else "is there more than once"
    order_id, account, status, price_ticks, quantity, executed = rows[0]
    promised = {each.order_id for each in order.acknowledged} - {None}
    if promised != {order_id} or account != order.account:
        return f"was promised as {promised}"
    if (status == REJECTED) < order.refused:
        return "was refused, and is not"
    if order.cancelled and status != CANCELLED:
        return "a cancel was acknowledged"
    if (price_ticks, quantity) not in order.terms:
        return "the acknowledged terms are not kept"
    if executed < max(each.executed_quantity for each in order.acknowledged):
        return "executions were taken back"
    return ""
