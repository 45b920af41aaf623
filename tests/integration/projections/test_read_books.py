"""Books read by many at once."""

from __future__ import annotations

import asyncio

import redis

from projections.read_books import BookReader
from projections.redis import RedisSink
from projections.redis.connections import CONNECTIONS_MAX
from tests.integration.projections.flow import Flow

READERS = 1_000


def test_a_crowd_of_readers_shares_a_few_connections(redis_url: str) -> None:
    sink = RedisSink(redis_url)
    flow = Flow(seed=9, instruments=1)
    flow.go()
    sink.apply(0, flow.batches)
    sink.close()
    monitor = redis.Redis.from_url(redis_url)
    before = len(monitor.client_list())

    async def crowd() -> tuple[set[int], int]:
        reader = BookReader(redis_url)
        try:
            books = await asyncio.gather(*(reader.book(0, 1, 10) for _ in range(READERS)))
            return {0 if book is None else book.sequence for book in books}, len(
                monitor.client_list()
            )
        finally:
            await reader.close()

    sequences, connected = asyncio.run(crowd())
    assert len(sequences) == 1 and 0 not in sequences
    assert 0 < connected - before <= CONNECTIONS_MAX
    monitor.close()
