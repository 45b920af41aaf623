"""The sequencer and the gateway over real SQLite logs: durable before answered, grouped, bounded,
honest.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from commands.protocols import BehindError, NotWrittenError, Receipt
from commands.sequencer import Limits, Sequencer
from domain.commands import CancelOrder, SubmitOrder
from domain.wire import decode_batch, encode_command
from streams.gateway import EmbeddedGateway, GatewayLimits
from streams.logs import SQLiteCommandLog
from tests.integration.streams.helpers import fill, matcher_of, run_out


def order(number: int) -> bytes:
    return encode_command(SubmitOrder(1, 1, 0, 0, 1, 100 * number, 10))


def test_concurrent_writes_share_batches_and_keep_each_request_together(tmp_path: Path) -> None:
    log = SQLiteCommandLog(tmp_path, 0)
    written: list[int] = []

    async def scenario() -> list[Receipt]:
        sequencer = Sequencer(log, limits=Limits(), on_written=written.append)
        requests = [[order(100 * each + place + 1) for place in range(3)] for each in range(200)]
        receipts = await asyncio.gather(*(sequencer.write(request) for request in requests))
        await sequencer.close()
        return list(receipts)

    receipts = asyncio.run(scenario())
    rows = dict(log.read(0, 1_000))
    assert len(rows) < 200, "nothing was grouped"
    assert written == sorted(rows)
    numbers = []
    for each, receipt in enumerate(receipts):
        header, commands = decode_batch(rows[receipt.position])
        numbers.append(header.batch_number)
        own = commands[receipt.first_index : receipt.first_index + receipt.count]
        prices = [command.price_ticks for command in own if isinstance(command, SubmitOrder)]
        assert prices == [100 * (100 * each + place + 1) for place in range(3)]
    assert sorted(set(numbers)) == list(range(1, len(rows) + 1))


class SlowLog(SQLiteCommandLog):
    """A log that takes a while to take a batch."""

    def append(self, session: bytes, batch_number: int, batch: bytes) -> int:
        time.sleep(0.2)
        return super().append(session, batch_number, batch)


@pytest.mark.parametrize(
    ("first", "second", "waits"), [(20_000, 1, True), (19_000, 1, False), (20_000, 21_000, False)]
)
def test_under_load_a_batch_waits_for_more_unless_it_is_full(
    tmp_path: Path, first: int, second: int, waits: bool
) -> None:
    log = SlowLog(tmp_path, 0)
    limits = Limits(batch_commands_max=21_000, batch_bytes_max=8_000_000, gather_s=10.0)

    async def scenario() -> tuple[float, int]:
        sequencer = Sequencer(log, limits=limits, on_written=lambda position: None)
        await sequencer.write([order(1)] * first)
        began = time.monotonic()
        receipt = await sequencer.write([order(2)] * second)
        took = time.monotonic() - began
        await sequencer.close()
        return took, receipt.position

    took, position = asyncio.run(scenario())
    assert position == 2
    assert (took > 0.7) is waits


def test_closing_does_not_wait_for_more(tmp_path: Path) -> None:
    log = SlowLog(tmp_path, 0)

    async def scenario() -> tuple[float, Receipt]:
        limits = Limits(batch_commands_max=20_000, batch_bytes_max=8_000_000, gather_s=10.0)
        sequencer = Sequencer(log, limits=limits, on_written=lambda position: None)
        await sequencer.write([order(1)] * 20_000)
        waiting = asyncio.create_task(sequencer.write([order(2)]))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await sequencer.close()
        return time.monotonic() - began, await waiting

    took, receipt = asyncio.run(scenario())
    assert receipt.position == 2
    assert took < 0.5


def test_a_full_disk_is_told_and_writing_resumes_when_there_is_room(tmp_path: Path) -> None:
    log = SQLiteCommandLog(tmp_path, 0)

    async def scenario() -> tuple[int, int]:
        sequencer = Sequencer(log, limits=Limits(), on_written=lambda position: None)
        await sequencer.write([order(1)])
        pages = limit_pages(log, None)
        limit_pages(log, pages)
        refused = 0
        for number in range(2, 60):
            try:
                await sequencer.write([order(number)] * 200)
            except NotWrittenError:
                refused += 1
        limit_pages(log, 1_000_000)
        receipt = await sequencer.write([order(99)])
        await sequencer.close()
        return refused, receipt.position

    refused, position = asyncio.run(scenario())
    rows = log.read(0, 1_000)
    assert refused > 0
    assert position == len(rows) == rows[-1][0]
    numbers = [decode_batch(batch)[0].batch_number for _, batch in rows]
    assert numbers == list(range(1, len(rows) + 1))


def limit_pages(log: SQLiteCommandLog, pages: int | None) -> int:
    """Let the file grow no further than so many pages (SQLite then says that the disk is full)."""
    with log._recorder.datastore.get_connection(commit=True) as connection:  # type: ignore[attr-defined]
        cursor = connection._sqlite_conn.cursor()
        assert isinstance(cursor, sqlite3.Cursor)
        if pages is not None:
            cursor.execute(f"PRAGMA max_page_count={pages}")
        return int(cursor.execute("PRAGMA page_count").fetchone()[0])


def test_more_than_may_wait_is_refused_at_once(tmp_path: Path) -> None:
    log = SQLiteCommandLog(tmp_path, 0)

    async def scenario() -> int:
        limits = Limits(pending_commands_max=1_000)
        sequencer = Sequencer(log, limits=limits, on_written=lambda position: None)
        requests = [sequencer.write([order(1)] * 400) for _ in range(50)]
        answers = await asyncio.gather(*requests, return_exceptions=True)
        await sequencer.close()
        return sum(isinstance(answer, NotWrittenError) for answer in answers)

    refused = asyncio.run(scenario())
    assert 0 < refused < 50
    rows = log.read(0, 1_000)
    assert sum(decode_batch(batch)[0].command_count for _, batch in rows) == (50 - refused) * 400


def test_outcomes_come_back_and_a_lagging_matcher_is_told(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    fill(SQLiteCommandLog(tmp_path, 0), 1)
    matcher = matcher_of(tmp_path)
    matcher.step()

    async def scenario() -> None:
        limits = GatewayLimits(lag_batches_max=3)
        gateway = EmbeddedGateway(tmp_path, run, 1, limits=limits, batching=Limits())
        receipt = await gateway.write(0, [order(1), encode_command(CancelOrder(1, 1, 7)), order(2)])
        assert await gateway.outcomes(receipt, 0.05) is None
        matcher.step()
        outcomes = await gateway.outcomes(receipt, 5)
        assert outcomes is not None
        first = receipt.position << 16
        assert [(each.kind, each.order_id) for each in outcomes] == [
            (0, first),
            (1, 7),
            (0, first + 2),
        ]
        for _ in range(4):
            await gateway.write(0, [order(3)])
        with pytest.raises(BehindError):
            await gateway.write(0, [order(3)])
        run_out(matcher)
        assert await gateway.progress.reached("matcher", 0, gateway.written(0), 5)
        assert (await gateway.write(0, [order(3)])).position == 7
        await gateway.close()

    asyncio.run(scenario())


def test_a_session_that_the_engine_forgot_is_replaced(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    fill(SQLiteCommandLog(tmp_path, 0), 1)
    matcher = matcher_of(tmp_path)
    matcher.step()

    async def scenario() -> None:
        gateway = EmbeddedGateway(tmp_path, run, 1, limits=GatewayLimits(), batching=Limits())
        await gateway.write(0, [order(1)])
        matcher.step()
        matcher.exchange.sessions.clear()
        forgotten = await gateway.write(0, [order(2)])
        matcher.step()
        with pytest.raises(NotWrittenError, match="forgotten"):
            await gateway.outcomes(forgotten, 5)
        fresh = await gateway.write(0, [order(2)])
        matcher.step()
        outcomes = await gateway.outcomes(fresh, 5)
        assert outcomes is not None and outcomes[0].kind == 0
        await gateway.close()

    asyncio.run(scenario())
