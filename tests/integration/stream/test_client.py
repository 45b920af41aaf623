"""The streaming clients keep verified books: through random orders, lost connections, restarts."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crossbook_client import (
    ApiError,
    AsyncMarketStream,
    ConnectionLostError,
    MarketStream,
    StreamMessage,
    StreamRefusedError,
)
from tests.integration.stream.flow import comes_to_equal, random_orders
from tests.integration.stream.serving import WAIT_S, Served, served, until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def shards() -> int:
    return 3


@asynccontextmanager
async def reading(stream: AsyncMarketStream) -> AsyncIterator[list[StreamMessage]]:
    """Read in the background."""
    heard: list[StreamMessage] = []

    async def read() -> None:
        async for message in stream:
            heard.append(message)

    task = asyncio.create_task(read())
    yield heard
    assert not task.done(), task
    task.cancel()


async def test_books_of_several_shards_become_the_exchanges(exchange: Served) -> None:
    symbols = [await exchange.exchange.new_symbol() for _ in range(3)]
    async with AsyncMarketStream(exchange.url) as stream, reading(stream) as heard:
        await stream.subscribe("level2", symbols)
        await until(lambda: len(stream.books) == 3)
        position = await random_orders(exchange, symbols, 80, seed=1)
        for symbol in symbols:
            await comes_to_equal(exchange, symbol, position, stream.books[symbol])
            assert stream.books[symbol].verified > 0
        assert stream.resyncs == 0
        for symbol in symbols:
            chain = [message for message in heard if message.symbol == symbol]
            for before, after in itertools.pairwise(chain):
                assert after.previous_sequence == before.sequence


async def test_resumes_where_it_was_after_a_lost_connection(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    async with AsyncMarketStream(exchange.url) as stream, reading(stream) as heard:
        await stream.subscribe("level2", [symbol])
        await until(lambda: stream.books)
        await random_orders(exchange, [symbol], 20, seed=2)
        connection = stream._connection
        assert connection is not None
        connection.transport.abort()
        position = await random_orders(exchange, [symbol], 40, seed=3)
        await comes_to_equal(exchange, symbol, position, stream.books[symbol])
        assert (stream.reconnects, stream.resyncs) == (1, 0)
        # It went on with deltas: there was one snapshot, in the beginning.
        assert [message.type for message in heard].count("snapshot") == 1


async def test_a_message_that_is_lost_is_noticed_and_made_good(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    async with AsyncMarketStream(exchange.url) as stream, reading(stream):
        await stream.subscribe("level2", [symbol])
        await until(lambda: stream.books)
        book = stream.books[symbol]
        await random_orders(exchange, [symbol], 5, seed=4)
        await until(lambda: book.sequence)
        book._bids.set("0.0001", 7, 1)  # as if a message had been wrong
        book._asks.set("0.0002", 7, 1)
        position = await random_orders(exchange, [symbol], 60, seed=5)
        await comes_to_equal(exchange, symbol, position, book)
        assert stream.resyncs == 1


async def test_a_restarted_server_is_found_again(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    async with served(exchange.exchange) as first:
        port = int(first.url.rpartition(":")[2])
        stream = AsyncMarketStream(first.url)
        async with stream, reading(stream):
            await stream.subscribe("level2", [symbol])
            await until(lambda: stream.books)
            first.server.should_exit = True
            await until(lambda: not first.server.started or first.stream.connection_count == 0)
            async with served(exchange.exchange, port=port):
                position = await random_orders(exchange, [symbol], 10, seed=6)
                await comes_to_equal(exchange, symbol, position, stream.books[symbol])
        assert stream.reconnects >= 1


async def test_the_waiting_client_does_the_same(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    stop = threading.Event()
    failures: list[BaseException] = []
    stream = MarketStream(exchange.url)

    def read() -> None:
        try:
            with stream:
                stream.subscribe("level2", [symbol])
                while not stop.is_set():
                    try:
                        stream.next(0.1)
                    except TimeoutError:
                        continue
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        await until(lambda: stream.books)
        await random_orders(exchange, [symbol], 10, seed=7)
        for connection in list(exchange.stream._open):
            connection.socket.transport.abort()
        position = await random_orders(exchange, [symbol], 20, seed=8)
        await comes_to_equal(exchange, symbol, position, stream.books[symbol])
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)
    assert (failures, stream.reconnects, stream.resyncs) == ([], 1, 0)


async def test_refusals_are_raised(exchange: Served) -> None:
    async with AsyncMarketStream(exchange.url) as stream:
        await stream.subscribe("level2", ["aapl"])
        with pytest.raises(StreamRefusedError, match="capitals: AAPL") as refused:
            async with asyncio.timeout(WAIT_S):
                await stream.next()
        assert (refused.value.code, refused.value.symbol) == ("unknown_symbol", "aapl")
    with pytest.raises(ApiError) as answered:
        await AsyncMarketStream(exchange.url, "cbk_none").__aenter__()
    assert (answered.value.reason, answered.value.status) == ("invalid_key", 401)
    with pytest.raises(ConnectionLostError):
        await AsyncMarketStream("http://127.0.0.1:1", retry_s=0.3).__aenter__()
    with pytest.raises(ValueError, match="no URL"):
        MarketStream("127.0.0.1:8000")


async def test_private_executions_with_a_key(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    async with AsyncMarketStream(exchange.url, exchange.exchange.keys["alice"]) as stream:
        await stream.subscribe("executions", [symbol])
        async with asyncio.timeout(WAIT_S):
            await stream.next()
            await exchange.exchange.submit(symbol, "sell", 5, price="1.00")
            await exchange.exchange.submit(symbol, "buy", 5, price="1.00", key="bob")
            done = await stream.next()
        assert (done.type, done.fields["liquidity"], done.fields["quantity"]) == (
            "execution",
            "maker",
            5,
        )
