"""Clients of the stream that go, or read nothing any more, on a whole exchange."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

import pytest

from crossbook_client import AsyncCrossbook, AsyncMarketStream, LiveBook, SubmitCommand
from tests.faults.exchange import FaultExchange
from tests.faults.options import NewExchange
from tests.faults.stream.sockets import PlainClient

CLIENTS = 500
STALLED = 10
SYMBOL = "AAPL"
CUT_OFF_WITHIN_S = 5.0
HELD_BYTES_MAX = 64 * 1024
WAIT_S = 30.0


@pytest.fixture
def anyio_backend() -> str:
    """asyncio alone: the product runs on nothing else."""
    return "asyncio"


async def until(what: str, condition: Callable[[], object], wait_s: float = WAIT_S) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + wait_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.02)


def metric(exchange: FaultExchange, name: str) -> float:
    """The sum of a metric's samples."""
    page = exchange.get("/metrics").text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.M))


async def batches(client: AsyncCrossbook, count: int, levels: int = 6) -> str:
    """Orders that change so many levels, and trade now and then; the last write's position."""
    position = ""
    for number in range(count):
        commands = [
            SubmitCommand(
                SYMBOL,
                ("buy", "sell")[(number + n) % 2],
                1 + n,
                price=f"{180 + (number + n) % 7}.{(number + n) % 100:02d}",
            )
            for n in range(levels)
        ]
        position = (await client.batch(commands)).position or position
    return position


async def same_as_the_exchange(client: AsyncCrossbook, book: LiveBook, position: str) -> None:
    """Wait until the streamed book is the one that REST answers."""
    wanted = await client.book(SYMBOL, depth=1_000, min_position=position)
    await until(
        "the books to be equal", lambda: [book.bids, book.asks] == [wanted.bids, wanted.asks]
    )


@pytest.mark.anyio
async def test_a_client_that_was_away_has_the_exchanges_book_again(
    new_exchange: NewExchange,
) -> None:
    exchange = new_exchange()
    await asyncio.to_thread(exchange.start)
    key = exchange.key("player").key
    stream = AsyncMarketStream(exchange.url, retry_s=60.0)
    async with AsyncCrossbook(exchange.url, key) as client:
        await stream.subscribe("level2", [SYMBOL])
        reading = asyncio.create_task(read(stream))
        await until("a book", lambda: stream.books)
        await same_as_the_exchange(client, stream.books[SYMBOL], await batches(client, 50))

        reading.cancel()
        await stream.close()
        away = await batches(client, 400)
        reading = asyncio.create_task(read(stream))
        await same_as_the_exchange(client, stream.books[SYMBOL], away)
        assert (stream.resyncs, stream.books[SYMBOL].conflated) == (0, 0)
        assert stream.books[SYMBOL].verified > 0

        killed = await asyncio.to_thread(exchange.kill, "api")
        await asyncio.to_thread(exchange.wait_until_replaced, "api", killed)
        await asyncio.to_thread(exchange.wait_until_ready)
        after = await batches(client, 50)
        await same_as_the_exchange(client, stream.books[SYMBOL], after)
        assert stream.reconnects >= 1 and not reading.done()
        reading.cancel()
        await stream.close()


async def read(stream: AsyncMarketStream) -> None:
    """Read on and on."""
    async for _ in stream:
        pass


@pytest.mark.anyio
async def test_ten_stalled_clients_of_five_hundred_delay_nobody(new_exchange: NewExchange) -> None:
    exchange = new_exchange()
    await asyncio.to_thread(exchange.start)
    clients = [await PlainClient.open(exchange.port, SYMBOL) for _ in range(CLIENTS)]
    await until("snapshots", lambda: all(client.sequence >= 0 for client in clients))
    stalled, healthy = clients[:STALLED], clients[STALLED:]
    held: list[float] = []

    async def look() -> None:
        while True:
            name = "crossbook_stream_waiting_bytes_max"
            held.append(await asyncio.to_thread(metric, exchange, name))
            await asyncio.sleep(0.2)

    async with AsyncCrossbook(exchange.url, exchange.key("player").key) as client:
        looking = asyncio.create_task(look())
        for each in stalled:
            each.transport.pause_reading()
        stalled_at = time.monotonic()
        loading = asyncio.create_task(batches(client, 120, levels=200))
        name = "crossbook_stream_connections"

        def left() -> bool:
            return metric(exchange, name) <= CLIENTS - STALLED

        while not await asyncio.to_thread(left):
            assert time.monotonic() - stalled_at < WAIT_S, "the stalled are there still"
        cut_off_s = time.monotonic() - stalled_at
        position = await loading
        book = await client.book(SYMBOL, min_position=position)
    looking.cancel()
    await until("the last message", lambda: all(x.sequence == healthy[0].sequence for x in healthy))
    assert healthy[0].sequence <= book.sequence
    assert {(each.deltas, each.broken, each.conflated) for each in healthy} == {
        (healthy[0].deltas, 0, 0)
    }
    assert healthy[0].deltas > 60
    assert all(each.closed_at is None for each in healthy)
    print(f"{healthy[0].deltas} deltas, {healthy[0].bytes_read:,} bytes a client")
    print(f"cut off after {cut_off_s:.1f} s, at most {max(held):.0f} bytes held for one client")
    assert cut_off_s < CUT_OFF_WITHIN_S
    # Nothing, where the system's own buffers take all until the client is cut off.
    assert held and max(held) <= HELD_BYTES_MAX
    for each in clients:
        each.transport.abort()
