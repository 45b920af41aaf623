"""Event batches become books and deltas in Redis, each exactly once, whatever happens in
between."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import redis

from cli.servers import EmbeddedRedis
from domain.batch import START, ConflictError, EventBatch, ForkError, Position, SinkError
from domain.codes import BUY, DAY, LIMIT, SELL
from domain.commands import SubmitOrder
from projections.read_books import (
    AHEAD,
    TRIMMED,
    BookReader,
    BookSnapshot,
    BooksUnavailableError,
    Deltas,
    Resync,
)
from projections.redis import RedisRebuild, RedisSink
from projections.redis.generations import BookLevels
from tests.integration.projections.book_oracle import BookOracle
from tests.integration.projections.flow import Flow
from tests.integration.projections.killer import Killer
from tests.integration.projections.test_postgres_sink import another_history

T = TypeVar("T")


@pytest.fixture
def sink(redis_url: str) -> Iterator[RedisSink]:
    sink = RedisSink(redis_url)
    yield sink
    sink.close()


def ask(url: str, question: Callable[[BookReader], Awaitable[T]]) -> T:
    """One question to a reader of its own."""

    async def run() -> T:
        reader = BookReader(url)
        try:
            return await question(reader)
        finally:
            await reader.close()

    return asyncio.run(run())


def book_of(url: str, instrument: int, shard: int = 0, depth: int = 0) -> BookSnapshot:
    snapshot = ask(url, lambda reader: reader.book(shard, instrument, depth))
    assert snapshot is not None
    return snapshot


def deltas_of(url: str, since: int, limit: int = 1000) -> Deltas | Resync | None:
    return ask(url, lambda reader: reader.deltas(0, 1, since, limit))


def assert_books(url: str, flow: Flow) -> None:
    """Every book in Redis is that of the events, and that of the engine."""
    for instrument in range(1, flow.instruments + 1):
        snapshot = book_of(url, instrument, flow.shard)
        assert BookOracle.from_snapshot(snapshot) == BookOracle.of(instrument, flow.batches)
        assert snapshot.position == flow.at.position
        assert snapshot.bids == flow.exchange.levels(instrument, BUY)
        assert snapshot.asks == flow.exchange.levels(instrument, SELL)
        assert snapshot.sequence == flow.exchange.book_sequence(instrument)


def follow(sink: RedisSink, batches: list[EventBatch], group: int = 3) -> None:
    """What a follower does: go on from the sink's position, and after a conflict look again."""
    shard = batches[0].header.shard
    at = sink.position(shard)
    while at.position < batches[-1].position:
        try:
            at = sink.apply(shard, batches[at.position : at.position + group])
        except ConflictError:
            at = sink.position(shard)


def books_of_engine(flow: Flow) -> list[BookLevels]:
    engine = flow.exchange
    numbers = range(1, flow.instruments + 1)
    return [
        (n, engine.book_sequence(n), 0, engine.levels(n, BUY), engine.levels(n, SELL))
        for n in numbers
    ]


@pytest.mark.parametrize("group", [1, 7, 1000])
def test_books_are_those_of_the_events_however_grouped(
    sink: RedisSink, redis_url: str, group: int
) -> None:
    flow = Flow(seed=4)
    flow.go_wild(30)
    flow.open_all()
    flow.go(3, 300)
    follow(sink, flow.batches, group)
    assert_books(redis_url, flow)
    assert sink.position(0) == flow.at


def test_depth_and_tops_are_the_first_levels(sink: RedisSink, redis_url: str) -> None:
    flow = Flow(seed=4, instruments=2)
    flow.go(3, 300)
    sink.apply(0, flow.batches)
    whole = book_of(redis_url, 2)
    assert len(whole.bids) > 5
    assert len(whole.asks) > 5
    part = book_of(redis_url, 2, depth=5)
    assert (part.bids, part.asks) == (whole.bids[:5], whole.asks[:5])
    tops = ask(redis_url, lambda reader: reader.tops(0, [2, 99, 1]))
    assert tops[1] is None
    assert tops[0] is not None
    assert (tops[0].bid, tops[0].ask) == (whole.bids[0], whole.asks[0])
    assert tops[0].last_trade == whole.last_trade
    assert tops[2] is not None
    assert tops[2].sequence == flow.exchange.book_sequence(1)


def test_an_empty_side_has_no_best(sink: RedisSink, redis_url: str) -> None:
    flow = Flow()
    flow.run([SubmitOrder(1, 1, BUY, LIMIT, DAY, 500, 10)])
    sink.apply(0, flow.batches)
    top = ask(redis_url, lambda reader: reader.top(0, 1))
    assert top is not None
    assert (top.bid, top.ask, top.last_trade) == ((500, 10, 1), None, None)


def test_a_book_of_many_thousand_levels(sink: RedisSink, redis_url: str) -> None:
    flow = Flow()
    prices = range(100, 1_300_100, 100)
    flow.run([SubmitOrder(1, 1, BUY, LIMIT, DAY, price, 10) for price in prices])
    sink.apply(0, flow.batches)
    assert_books(redis_url, flow)
    fresh = RedisSink(redis_url)
    fresh.load(0, flow.at, books_of_engine(flow))
    assert len(book_of(redis_url, 1).bids) == 13_000


def test_a_batch_applied_twice_changes_nothing(sink: RedisSink, redis_url: str) -> None:
    flow = Flow()
    flow.go(3, 50)
    sink.apply(0, flow.batches)
    with pytest.raises(ConflictError):
        sink.apply(0, flow.batches)
    with pytest.raises(ConflictError):
        RedisSink(redis_url).apply(0, flow.batches[2:])
    assert_books(redis_url, flow)
    assert sink.apply(0, []) == flow.at


def test_a_gap_is_refused_and_another_history_is_a_fork(sink: RedisSink, redis_url: str) -> None:
    flow = Flow()
    flow.go(4, 20)
    other = another_history(flow.batches)
    sink.apply(0, flow.batches[:2])
    with pytest.raises(ConflictError):
        sink.apply(0, flow.batches[3:])
    with pytest.raises(ForkError):
        sink.apply(0, other[2:])
    with pytest.raises(ForkError):
        RedisSink(redis_url).apply(0, other[1:])
    sink.apply(0, flow.batches[2:])
    assert_books(redis_url, flow)


def test_instances_race_and_every_batch_counts_once(redis_url: str) -> None:
    flow = Flow(seed=9)
    flow.go(100, 40)
    failures: list[Exception] = []

    def run(group: int) -> None:
        sink = RedisSink(redis_url)
        try:
            follow(sink, flow.batches, group)
        except Exception as error:  # noqa: BLE001 (told below)
            failures.append(error)
        finally:
            sink.close()

    threads = [threading.Thread(target=run, args=(group,)) for group in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    assert_books(redis_url, flow)


def test_snapshot_and_deltas_give_the_book(sink: RedisSink, redis_url: str) -> None:
    flow = Flow(seed=6, instruments=1)
    flow.go(10, 80)
    sink.apply(0, flow.batches[:2])
    client = BookOracle.from_snapshot(book_of(redis_url, 1))
    beginner = BookOracle(1)
    follow(sink, flow.batches, 1)
    for book, limit in ((client, 1000), (beginner, 2)):
        while True:
            deltas = deltas_of(redis_url, book.sequence, limit)
            assert isinstance(deltas, Deltas)
            book.take_deltas(deltas)
            assert book.sequence == deltas.sequence
            if not deltas.more:
                break
        assert book == BookOracle.of(1, flow.batches)


def test_deltas_from_within_an_entry(sink: RedisSink, redis_url: str) -> None:
    flow = Flow(seed=6, instruments=1)
    flow.go(1, 80)
    sink.apply(0, flow.batches)
    last = flow.exchange.book_sequence(1)
    deltas = deltas_of(redis_url, last - 10)
    assert isinstance(deltas, Deltas)
    assert deltas.sequence == last
    changes = [change.sequence for delta in deltas.entries for change in delta.levels]
    assert changes
    assert min(changes) > last - 10
    whole = deltas_of(redis_url, 0)
    assert isinstance(whole, Deltas)
    every = [change for delta in whole.entries for change in delta.levels]
    assert len(every) > len(changes)
    assert [change.sequence for change in every] == sorted(change.sequence for change in every)


def test_deltas_at_the_end_ahead_and_of_nothing(sink: RedisSink, redis_url: str) -> None:
    assert deltas_of(redis_url, 0) is None
    flow = Flow(instruments=1)
    sink.apply(0, flow.batches)
    at_end = deltas_of(redis_url, 1)
    assert isinstance(at_end, Deltas)
    assert (at_end.entries, at_end.sequence, at_end.more) == ([], 1, False)
    ahead = deltas_of(redis_url, 2)
    assert isinstance(ahead, Resync)
    assert (ahead.reason, ahead.sequence) == (AHEAD, 1)
    assert ask(redis_url, lambda reader: reader.deltas(0, 77, 0)) is None
    assert ask(redis_url, lambda reader: reader.book(0, 77)) is None
    assert ask(redis_url, lambda reader: reader.stands_at(0)).position == 1
    assert ask(redis_url, lambda reader: reader.stands_at(5)) == START


def test_a_trimmed_stream_asks_for_a_resync(redis_url: str) -> None:
    sink = RedisSink(redis_url, stream_length_max=100)
    flow = Flow(seed=6, instruments=1)
    flow.go(600, 4)
    follow(sink, flow.batches, 1)
    trimmed = deltas_of(redis_url, 1)
    assert isinstance(trimmed, Resync)
    assert trimmed.reason == TRIMMED
    entries = redis.Redis.from_url(redis_url).xlen("crossbook:{0}:1:1:deltas")
    assert 100 <= entries < 300  # whole nodes of the stream are trimmed
    recent = deltas_of(redis_url, flow.exchange.book_sequence(1) - 20)
    assert isinstance(recent, Deltas)


def test_a_flushed_redis_is_noticed_and_filled_again(sink: RedisSink, redis_url: str) -> None:
    flow = Flow()
    flow.go(6, 40)
    sink.apply(0, flow.batches[:4])
    redis.Redis.from_url(redis_url).flushall()
    assert ask(redis_url, lambda reader: reader.book(0, 1)) is None
    with pytest.raises(ConflictError):
        sink.apply(0, flow.batches[4:])
    assert sink.position(0) == START
    follow(sink, flow.batches)
    assert_books(redis_url, flow)


def test_scripts_that_redis_forgot_are_loaded_again(sink: RedisSink, redis_url: str) -> None:
    flow = Flow()
    flow.go(2, 40)
    sink.apply(0, flow.batches[:2])
    redis.Redis.from_url(redis_url).script_flush()
    sink.apply(0, flow.batches[2:])
    assert_books(redis_url, flow)


def test_a_damaged_book_is_served_no_more_until_made_anew(sink: RedisSink, redis_url: str) -> None:
    flow = Flow()
    flow.go(6, 40)
    sink.apply(0, flow.batches[:4])
    client = redis.Redis.from_url(redis_url)
    client.delete("crossbook:{0}:1:2:book")
    with pytest.raises(ConflictError):
        sink.apply(0, flow.batches[4:])
    assert ask(redis_url, lambda reader: reader.book(0, 1)) is None
    assert sink.position(0) == START
    follow(sink, flow.batches)
    assert_books(redis_url, flow)
    assert client.smembers("crossbook:{0}:generations") == {b"2"}
    assert client.keys("crossbook:{0}:1:*") == []


def test_books_loaded_from_a_snapshot_go_on(sink: RedisSink, redis_url: str) -> None:
    flow = Flow(seed=8)
    flow.go(5, 100)
    sink.load(0, flow.at, books_of_engine(flow))
    assert sink.position(0) == flow.at
    loaded = flow.exchange.book_sequence(1)
    assert book_of(redis_url, 1).bids == flow.exchange.levels(1, BUY)
    too_old = deltas_of(redis_url, loaded - 1)
    assert isinstance(too_old, Resync)
    follow(sink, [*flow.batches, *flow.go(4, 100)])
    assert_books(redis_url, flow)
    since = deltas_of(redis_url, loaded)
    assert isinstance(since, Deltas)
    assert since.sequence == flow.exchange.book_sequence(1)


def test_a_snapshot_older_than_what_is_served_is_not_loaded(
    sink: RedisSink, redis_url: str
) -> None:
    flow = Flow(seed=8)
    flow.go(2, 50)
    at, books = flow.at, books_of_engine(flow)
    flow.go(2, 50)
    sink.apply(0, flow.batches)
    with pytest.raises(ConflictError):
        RedisSink(redis_url).load(0, at, books)
    assert_books(redis_url, flow)


def test_a_rebuild_replaces_the_books_while_they_are_served(
    sink: RedisSink, redis_url: str
) -> None:
    flow = Flow(seed=8)
    flow.go(10, 60)
    sink.apply(0, flow.batches[:8])
    rebuild = RedisRebuild(redis_url)
    rebuild.begin(0)
    assert rebuild.position(0) == START
    rebuild.apply(0, flow.batches[:5])
    assert not rebuild.finish(0), "it is still behind"
    assert book_of(redis_url, 1).position == 8
    follow(rebuild, flow.batches[:9])
    assert rebuild.finish(0)
    rebuild.close()
    assert book_of(redis_url, 1).position == 9
    with pytest.raises(ConflictError):
        sink.apply(0, flow.batches[8:])
    follow(sink, flow.batches)
    assert_books(redis_url, flow)
    client = redis.Redis.from_url(redis_url)
    assert client.smembers("crossbook:{0}:generations") == {b"2"}
    assert client.keys("crossbook:{0}:1:*") == []


def test_a_rebuild_that_another_replaced_says_so(redis_url: str) -> None:
    flow = Flow()
    flow.go(3, 30)
    first, second = RedisRebuild(redis_url), RedisRebuild(redis_url)
    first.begin(0)
    first.apply(0, flow.batches[:2])
    second.begin(0)
    with pytest.raises(ConflictError):
        first.apply(0, flow.batches[2:])
    with pytest.raises(SinkError, match="taken away"):
        first.finish(0)
    second.load(0, flow.at, books_of_engine(flow))
    assert second.finish(0)
    assert book_of(redis_url, 1).bids == flow.exchange.levels(1, BUY)


def test_a_forked_history_is_replaced_where_asked(sink: RedisSink, redis_url: str) -> None:
    flow = Flow()
    flow.go(6, 30)
    sink.apply(0, flow.batches)
    shorter = Flow(seed=77)
    rebuild = RedisRebuild(redis_url)
    rebuild.begin(0)
    rebuild.apply(0, shorter.batches)
    assert not rebuild.finish(0)
    assert rebuild.finish(0, even_if_behind=True)
    assert sink.position(0) == shorter.at


def test_shards_do_not_touch_each_other(sink: RedisSink, redis_url: str) -> None:
    flows = [Flow(shard, seed=shard + 20) for shard in (0, 3)]
    for flow in flows:
        flow.go(3, 50)
        follow(sink, flow.batches)
    for flow in flows:
        assert_books(redis_url, flow)


def test_a_killed_server_loses_and_repeats_nothing(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "redis", tmp_path / "run")
    server.start()
    flow = Flow(seed=5)
    flow.go(600, 40)
    sink = RedisSink(server.url)
    interrupted = 0
    at = sink.position(0)
    try:
        with Killer(server, kills=5, wait_s=(0.005, 0.02), seed=11) as killer:
            while at.position < flow.at.position:
                try:
                    at = sink.apply(0, flow.batches[at.position : at.position + 1])
                except (redis.RedisError, ConflictError):
                    interrupted += 1
                    at = position_when_back(sink, killer)
        assert_books(server.url, flow)
        assert interrupted >= 2
    finally:
        sink.close()
        server.stop()


def position_when_back(sink: RedisSink, killer: Killer) -> Position:
    """The sink's position as soon as its server answers again."""
    while True:
        killer.wait_until_up()
        try:
            return sink.position(0)
        except redis.RedisError:
            continue  # killed once more


def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/nobody.sock"
    with pytest.raises(BooksUnavailableError):
        ask(url, lambda reader: reader.book(0, 1))
    with pytest.raises(redis.ConnectionError):
        RedisSink(url).position(0)
