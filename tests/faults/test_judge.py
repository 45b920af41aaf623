"""The judge itself: whatever is lost, doubled or changed behind the exchange's back is noticed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
import redis

from projections.redis.keys import live_key, shard_prefix
from tests.faults.exchange import FaultExchange, wait_for
from tests.faults.journal import Acknowledgement, Journal, SentOrder
from tests.faults.judge import CANCELLED, REJECTED, check_history, check_journal, problem_of
from tests.faults.judge_books import check_books
from tests.faults.load import Load
from tests.faults.observer import Observer
from tests.faults.options import NewExchange
from tests.faults.verdict import judge, run_all_again

OPEN = 0
ACKNOWLEDGED = [Acknowledgement(202, None, "0-7", 0), Acknowledgement(200, 7, "0-8", 3)]
ROW = (7, 1, OPEN, 50, 10, 3)  # order id, account, status, price, quantity, executed


def order(**fields: object) -> SentOrder:
    """An order that was acknowledged as 7."""
    made = SentOrder("c-1", 1, "KO", {(50, 10)}, acknowledged=list(ACKNOWLEDGED))
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("sent", "rows", "problem"),
    [
        (order(), [ROW], ""),
        (order(), [], "was acknowledged, and is lost"),
        (order(), [ROW, (8, *ROW[1:])], "is there more than once"),
        (order(), [(8, *ROW[1:])], "was promised as {7}"),
        (order(), [(7, 2, *ROW[2:])], "was promised as {7}"),
        (order(), [(7, 1, OPEN, 51, 10, 3)], "the acknowledged terms are not kept"),
        (order(), [(7, 1, OPEN, 50, 10, 2)], "executions were taken back"),
        (order(cancelled=True), [ROW], "a cancel was acknowledged"),
        (order(cancelled=True), [(7, 1, CANCELLED, 50, 10, 3)], ""),
        (order(refused=True), [ROW], "was refused, and is not"),
        (order(refused=True), [(7, 1, REJECTED, 50, 10, 3)], ""),
        (order(acknowledged=[]), [], "was never answered"),
        (order(acknowledged=[], abandoned=True), [], ""),
        (order(acknowledged=[], abandoned=True), [ROW], "was refused as not written, and is there"),
    ],
)
def test_orders_against_rows(sent: SentOrder, rows: list[tuple[int, ...]], problem: str) -> None:
    assert problem_of(sent, rows) == problem


@contextmanager
def noticed(what: str) -> Iterator[None]:
    """The block must fail, saying so."""
    with pytest.raises(AssertionError, match=what):
        yield


def loaded(exchange: FaultExchange, seed: int) -> Journal:
    """An exchange that some clients have traded on, with all well."""
    exchange.start()
    credentials = exchange.run.read_credentials()
    load = Load.of(credentials, exchange.port, seed, count=3)
    observer = Observer(load, credentials, exchange.port, seed)
    load.start()
    observer.start()
    wait_for("answers", lambda: load.acknowledged > 500, 60.0)
    journal = load.stop()
    observer.stop()
    judge(exchange, journal, [observer])
    return journal


def test_tampering_is_noticed(new_exchange: NewExchange, seed: int) -> None:
    exchange = new_exchange(CLOCK_INTERVAL_MS="0")
    journal = loaded(exchange, seed)
    state, logs = exchange.state(), exchange.logs
    truth = run_all_again(exchange, [])[0]
    rested = next(order for order in journal.orders.values() if order.order_id)

    with psycopg.connect(state.postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE history.trades SET quantity = quantity + 1 WHERE match_number = 1"
        )
        with noticed("wrong in trades"):
            check_history(state.postgres_dsn, logs, {0: truth.position})
        query = "DELETE FROM history.orders WHERE order_id = %s"
        connection.execute(query, [rested.order_id])
        with noticed("is lost"):
            check_journal(state.postgres_dsn, journal)

    with redis.Redis.from_url(state.redis_url) as client:
        generation = client.get(live_key(0))
        assert isinstance(generation, bytes)
        numbers = truth.exchange.instruments()
        number = next(each for each in numbers if truth.exchange.levels(each, 0))
        price, quantity, count = truth.exchange.levels(number, 0)[0]
        key = f"{shard_prefix(0)}{generation.decode()}:{number}:bids:levels"
        client.hset(key, str(price), f"{quantity + 1}:{count}")
        with noticed("not the engine's levels"):
            check_books(state.redis_url, logs, {0: truth.exchange})

    with closing(sqlite3.connect(logs / "events-0.sqlite")) as connection:
        version, record = connection.execute(
            "SELECT originator_version, state FROM stored_events ORDER BY 1 DESC LIMIT 1"
        ).fetchone()
        changed = record[:-1] + bytes([record[-1] ^ 1])
        connection.execute(
            "UPDATE stored_events SET state = ? WHERE originator_version = ?", (changed, version)
        )
        connection.commit()
    with noticed("differ"):
        run_all_again(exchange, [])
