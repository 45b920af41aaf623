"""What the history answers, page by page, and what it does when PostgreSQL is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from domain.codes import BUY, DAY, IOC, LIMIT, SELL, Reason
from domain.commands import CancelOrder, Command, SubmitOrder
from projections.postgres import PostgresSink
from projections.read_history import (
    STATUS_CODES,
    HistoryBehindError,
    HistoryReader,
    HistoryUnavailableError,
    OrderRow,
)
from tests.integration.projections.flow import DAY_BEGAN_NS, Flow
from tests.integration.projections.history_oracle import HistoryOracle

T = TypeVar("T")


def ask(dsn: str, question: Callable[[HistoryReader], Awaitable[T]]) -> T:
    """One question to a reader of its own."""

    async def run() -> T:
        reader = HistoryReader(dsn)
        await reader.open()
        try:
            return await question(reader)
        finally:
            await reader.close()

    return asyncio.run(run())


@pytest.fixture
def flow(postgres_dsn: str) -> Flow:
    """A history of random flow, in PostgreSQL."""
    flow = Flow(seed=13)
    flow.go(20, 60)
    sink = PostgresSink(postgres_dsn)
    sink.apply(0, flow.batches)
    sink.close()
    return flow


def test_an_order_from_its_birth_to_its_end(postgres_dsn: str) -> None:
    flow = Flow()
    flow.run([SubmitOrder(1, 1, SELL, LIMIT, DAY, 5_000, 30, b"resting")])
    flow.run([SubmitOrder(2, 1, BUY, LIMIT, IOC, 5_100, 10, b"taker")])
    order_id = 2 << 16
    flow.run([CancelOrder(1, 1, order_id)])
    sink = PostgresSink(postgres_dsn)
    for batch in flow.batches:
        sink.apply(0, [batch])
    sink.close()
    order = ask(postgres_dsn, lambda reader: reader.order(order_id))
    assert order == OrderRow(
        order_id=order_id,
        shard=0,
        account=1,
        instrument=1,
        client_order_id="resting",
        side=SELL,
        order_type=LIMIT,
        time_in_force=DAY,
        price_ticks=5_000,
        quantity=30,
        executed_quantity=10,
        leaves_quantity=0,
        executed_value=50_000,
        status="cancelled",
        reason=Reason.BY_REQUEST,
        accepted_position=2,
        updated_position=4,
        accepted_at_ns=DAY_BEGAN_NS + 2_000_000,
        updated_at_ns=DAY_BEGAN_NS + 4_000_000,
        trading_time_ns=DAY_BEGAN_NS,
    )
    fills = ask(postgres_dsn, lambda reader: reader.executions(order_id=order_id))
    assert [(fill.aggressor, fill.quantity, fill.leaves_quantity) for fill in fills] == [
        (False, 10, 20)
    ]


def test_pages_of_orders_hold_each_order_once(flow: Flow, postgres_dsn: str) -> None:
    oracle = HistoryOracle.of(flow.batches)
    mine = [row for row in oracle.orders.values() if row["account"] == 2]
    mine.sort(key=lambda row: (row["accepted_at_ns"], row["order_id"]), reverse=True)

    async def all_pages(reader: HistoryReader) -> list[OrderRow]:
        found: list[OrderRow] = []
        before = None
        while page := await reader.orders(2, limit=7, before_order_id=before):
            found += page
            before = page[-1].order_id
        return found

    pages = ask(postgres_dsn, all_pages)
    assert [order.order_id for order in pages] == [row["order_id"] for row in mine]
    assert [STATUS_CODES[order.status] for order in pages] == [row["status"] for row in mine]


def test_what_is_older_than_was_asked_for_is_not_answered(flow: Flow, postgres_dsn: str) -> None:
    last = flow.batches[-1].position

    def orders_at(position: int) -> list[OrderRow]:
        return ask(postgres_dsn, lambda reader: reader.at_least({0: position}).orders(2))

    assert orders_at(last) == orders_at(0) != []
    with pytest.raises(HistoryBehindError):
        orders_at(last + 1)
    with pytest.raises(HistoryBehindError):  # a shard of which nothing is there
        ask(postgres_dsn, lambda reader: reader.at_least({0: last, 1: 1}).orders(2))


def test_orders_by_instrument_and_status(flow: Flow, postgres_dsn: str) -> None:
    oracle = HistoryOracle.of(flow.batches)
    working = {"open", "partially_filled"}

    def expected(instrument: int | None, statuses: set[str]) -> set[int]:
        codes = {STATUS_CODES[name] for name in statuses}
        return {
            row["order_id"]
            for row in oracle.orders.values()
            if row["account"] == 1
            and instrument in (None, row["instrument"])
            and row["status"] in codes
        }

    found = ask(postgres_dsn, lambda reader: reader.orders(1, status=working, limit=1000))
    assert {order.order_id for order in found} == expected(None, working) != set()
    found = ask(postgres_dsn, lambda reader: reader.orders(1, 2, "filled", 1000))
    assert {order.order_id for order in found} == expected(2, {"filled"}) != set()
    with pytest.raises(KeyError):
        ask(postgres_dsn, lambda reader: reader.orders(1, status="sleeping"))


def test_orders_under_one_client_order_id(postgres_dsn: str) -> None:
    flow = Flow()
    same: list[Command] = [
        SubmitOrder(1, 1, BUY, LIMIT, DAY, 5_000, 1, b"mine"),
        SubmitOrder(1, 2, BUY, LIMIT, DAY, 5_000, 1, b"mine"),
        SubmitOrder(1, 1, BUY, LIMIT, DAY, 6_000, 1, b"mine"),
        SubmitOrder(2, 1, BUY, LIMIT, DAY, 6_000, 1, b"mine"),
    ]
    flow.run(same)
    PostgresSink(postgres_dsn).apply(0, flow.batches)
    found = ask(postgres_dsn, lambda reader: reader.order_by_client_id(1, "mine"))
    assert [order.order_id & 0xFFFF for order in found] == [2, 1, 0]
    assert found[0].reason == Reason.DUPLICATE_CLIENT_ORDER_ID
    found = ask(postgres_dsn, lambda reader: reader.order_by_client_id(1, "mine", 2))
    assert [order.order_id & 0xFFFF for order in found] == [1]
    for unknown in ("", "other", "nul\x00", "\ud800", "é"):
        found = ask(postgres_dsn, lambda reader, name=unknown: reader.order_by_client_id(1, name))
        assert found == []


def test_pages_of_executions_of_an_account(flow: Flow, postgres_dsn: str) -> None:
    oracle = HistoryOracle.of(flow.batches)
    mine = [row for row in oracle.executions if row["account"] == 3]
    keys = ("executed_at_ns", "match_number", "order_id")
    mine.sort(key=lambda row: tuple(row[key] for key in keys), reverse=True)

    async def all_pages(reader: HistoryReader) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        before = None
        while page := await reader.executions(account=3, limit=5, before=before):
            found += [(fill.order_id, fill.quantity) for fill in page]
            before = (page[-1].executed_at_ns, page[-1].match_number, page[-1].order_id)
        return found

    assert ask(postgres_dsn, all_pages) == [(row["order_id"], row["quantity"]) for row in mine]
    with pytest.raises(ValueError, match="of an order or of an account"):
        ask(postgres_dsn, lambda reader: reader.executions(instrument=1))


def test_trades_before_a_match_and_since_a_time(flow: Flow, postgres_dsn: str) -> None:
    oracle = HistoryOracle.of(flow.batches)
    numbers = [row["match_number"] for row in oracle.trades if row["instrument"] == 1][::-1]
    assert len(numbers) > 10
    found = ask(postgres_dsn, lambda reader: reader.trades(1, 5))
    assert [trade.match_number for trade in found] == numbers[:5]
    found = ask(postgres_dsn, lambda reader: reader.trades(1, 1000, found[-1].match_number))
    assert [trade.match_number for trade in found] == numbers[5:]
    since = found[0].executed_at_ns
    found = ask(postgres_dsn, lambda reader: reader.trades(1, 1000, since_ns=since))
    assert {trade.match_number for trade in found} == {
        row["match_number"]
        for row in oracle.trades
        if row["instrument"] == 1 and row["executed_at_ns"] >= since
    }


def test_position_and_instruments(flow: Flow, postgres_dsn: str) -> None:
    assert ask(postgres_dsn, lambda reader: reader.position(0)) == flow.at.position
    assert ask(postgres_dsn, lambda reader: reader.position(7)) == 0
    listed = ask(postgres_dsn, lambda reader: reader.instruments())
    assert [(row.instrument, row.symbol) for row in listed] == [
        (1, "SYM1"),
        (2, "SYM2"),
        (3, "SYM3"),
    ]


@pytest.mark.parametrize("number", [-1, -(2**70), 2**63, 10**40])
def test_numbers_that_no_order_has(flow: Flow, postgres_dsn: str, number: int) -> None:
    assert ask(postgres_dsn, lambda reader: reader.order(number)) is None
    assert ask(postgres_dsn, lambda reader: reader.orders(number)) == []
    assert ask(postgres_dsn, lambda reader: reader.orders(1, before_order_id=number)) == []
    assert ask(postgres_dsn, lambda reader: reader.trades(number)) == []
    assert ask(postgres_dsn, lambda reader: reader.executions(order_id=number)) == []


@pytest.mark.parametrize("limit", [-1, 0, 1001])
def test_limits_are_1_to_1000(postgres_dsn: str, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        ask(postgres_dsn, lambda reader: reader.orders(1, limit=limit))
    with pytest.raises(ValueError, match="1 to 1000"):
        ask(postgres_dsn, lambda reader: reader.trades(1, limit))


def test_a_server_without_tables_or_none_at_all(postgres_dsn: str, tmp_path: Path) -> None:
    with pytest.raises(HistoryUnavailableError):
        ask(postgres_dsn, lambda reader: reader.order(1))
    with pytest.raises(HistoryUnavailableError):
        ask(f"postgresql://nobody@/none?host={tmp_path}", lambda reader: reader.order(1))
