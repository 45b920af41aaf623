"""The hub's messages against the engine that made the events, for readers quick and slow."""

from __future__ import annotations

import asyncio
import random

import pytest

from api.stream import hub as hub_module
from api.stream.hub import MarketSubscriber
from api.stream.protocol import StreamError
from crossbook_client.stream_book import LiveBook
from domain.events import OrderExecuted
from tests.unit.stream.market import (
    Market,
    Message,
    Queues,
    chained,
    decoded,
    entry,
    keep_book,
    levels_of,
    read,
)

pytestmark = pytest.mark.anyio
SEEDS = range(3)


async def delivered() -> None:
    """Let the hub wake its readers."""
    await asyncio.sleep(0)


async def both(market: Market, reader: MarketSubscriber) -> list[Message]:
    await delivered()
    return read(reader)


def engine_levels(market: Market) -> list[list[tuple[int, int, int]]]:
    return [[tuple(level) for level in market.engine.levels(1, side)] for side in (0, 1)]


@pytest.mark.parametrize("seed", SEEDS)
async def test_level2_is_the_engines_book_after_every_batch(seed: int) -> None:
    market, book = Market(seed), LiveBook("SYM1")
    reader = market.reader("level2")
    heard: list[Message] = []
    for _ in range(120):
        market.go(1)
        messages = await both(market, reader)
        keep_book(book, messages)
        heard += messages
        assert levels_of(book) == engine_levels(market)
    assert chained(heard) and book.verified > 0
    checked = sum("checksum" in message for message in heard)
    assert len(heard) // 17 <= checked < len(heard) // 8


@pytest.mark.parametrize("seed", SEEDS)
async def test_orders_are_the_engines_queues_after_every_batch(seed: int) -> None:
    market, queues = Market(seed), Queues()
    reader = market.reader("orders")
    for _ in range(120):
        market.go(1)
        queues.take(await both(market, reader))
        for side, name in enumerate(("buy", "sell")):
            wanted = [(row[0], row[2], row[3]) for row in market.engine.orders(1, side)]
            assert queues.side(name) == wanted


async def test_level1_speaks_exactly_when_the_best_changes() -> None:
    market = Market(1)
    reader = market.reader("level1")
    [best] = read(reader)
    for _ in range(200):
        market.go(1, commands=4)
        messages = await both(market, reader)
        tops = [levels[0] if levels else None for levels in engine_levels(market)]
        for message in messages:
            assert (message["bid"], message["ask"]) != (best["bid"], best["ask"])
            best = message
        ticks = [
            None if level is None else (round(float(level[0]) * 10_000), *level[1:])
            for level in (best["bid"], best["ask"])
        ]
        assert ticks == tops


async def test_trades_and_executions_are_the_engines() -> None:
    market = Market(2)
    reader = market.reader("trades", "executions")
    assert [message["type"] for message in read(reader)] == ["snapshot", "snapshot"]
    market.go(40)
    heard = await both(market, reader)
    done = [
        event
        for batch in market.flow.batches
        for event in batch.events()
        if isinstance(event, OrderExecuted) and event.instrument == 1
    ]
    assert len(done) > 20
    trades = [message for message in heard if message["type"] == "trade"]
    assert [(x["match_number"], x["quantity"], x["sequence"]) for x in trades] == [
        (str(x.match_number), x.quantity, str(x.book_sequence)) for x in done
    ]
    own = [
        (str(event.match_number), str(order_id), leaves)
        for event in done
        for account, order_id, leaves in (
            (event.aggressor_account, event.aggressor_order_id, event.aggressor_leaves),
            (event.resting_account, event.resting_order_id, event.resting_leaves),
        )
        if account == 1
    ]
    executions = [message for message in heard if message["type"] == "execution"]
    assert [(x["match_number"], x["order_id"], x["leaves_quantity"]) for x in executions] == own


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_slow_reader_is_conflated_to_the_newest_state(seed: int) -> None:
    market = Market(seed, ring_bytes_max=20_000)
    chance, book, queues = random.Random(seed), LiveBook("SYM1"), Queues()
    reader = market.reader("level2", "orders")
    for _ in range(25):
        market.go(chance.choice([1, 1, 40]))
        await delivered()
        messages = read(reader)
        keep_book(book, [each for each in messages if each["channel"] == "level2"])
        queues.take([each for each in messages if each["channel"] == "orders"])
        assert levels_of(book) == engine_levels(market)
        assert len(queues.side("buy")) == len(market.engine.orders(1, 0))
    assert book.conflated > 3
    assert market.hub.bytes_held <= 20_000


async def test_who_is_too_slow_again_and_again_is_cut_off() -> None:
    market = Market(1, ring_bytes_max=2_000)
    reader = market.reader("level2")
    with pytest.raises(StreamError) as cut_off:
        for _ in range(hub_module.CONFLATIONS_MAX + 2):
            market.go(20)
            await delivered()
            read(reader)
    assert (cut_off.value.code, cut_off.value.closes) == ("too_slow", True)


async def test_resuming_gives_exactly_what_was_missed() -> None:
    market = Market(3)
    first = market.reader("level2")
    heard = read(first)
    market.go(60)
    heard += await both(market, first)
    assert len(heard) > 50
    for at in range(0, len(heard), 7):
        again = read(market.reader("level2", since=int(heard[at]["sequence"])))
        assert again == heard[at + 1 :]
    [resync] = read(market.reader("level2", since=int(heard[-1]["sequence"]) + 10_000))
    assert (resync["type"], resync["resync"]) == ("snapshot", "ahead")


@pytest.mark.parametrize("strange", ["never", "trimmed"])
async def test_what_is_no_longer_kept_is_a_snapshot_that_says_so(strange: str) -> None:
    market = Market(3, ring_bytes_max=4_000)
    first = market.reader("level2")
    read(first)
    market.go(10, commands=2)
    heard = await both(market, first)
    since = int(heard[1]["sequence"])
    if strange == "never":
        since += 1
        assert str(since) not in {message["sequence"] for message in heard}
    market.go(60)
    [message] = read(market.reader("level2", since=since))
    assert (message["type"], message["resync"]) == ("snapshot", "too_old")


async def test_a_message_is_made_once_for_all_readers() -> None:
    market = Market(4)
    readers = [market.reader("level2") for _ in range(3)]
    snapshots = [reader.take() for reader in readers]
    market.go(5)
    await delivered()
    deltas = [reader.take() for reader in readers]
    for taken in (snapshots, deltas):
        assert taken[0] and all(
            one is other for each in taken for one, other in zip(each, taken[0], strict=True)
        )


async def test_one_book_in_haste_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market(6)
    reader = market.reader("level2", "trades")
    market.hub.subscribe(reader, entry(2), "level2", None, None)
    read(reader)
    market.go(20)
    await delivered()
    monkeypatch.setattr(hub_module, "TAKE_BYTES_MAX", 1)
    heard = [decoded(frame) for _ in range(3) for frame in reader.take()]
    assert len({(each["channel"], each["symbol"]) for each in heard}) == 3
    assert len(read(reader)) > 20


async def test_many_readers_are_woken_in_rounds_and_miss_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rounds far enough apart that a busy machine publishes several messages between two.
    monkeypatch.setattr(hub_module, "PACE_S_MAX", 0.3)
    monkeypatch.setattr(hub_module, "PACE_S", 1.0)
    market = Market(7)
    readers = [market.reader("level2") for _ in range(hub_module.PACE_FROM + 10)]
    heard = [read(reader) for reader in readers]
    rounds = published = 0
    while rounds < 3:
        market.go(1)
        published += 1
        await delivered()
        taken = [read(reader) for reader in readers]
        rounds += bool(taken[0])
        assert all(bool(each) == bool(taken[0]) for each in taken)
        for each, more in zip(heard, taken, strict=True):
            each += more
    market.go(1)
    async with asyncio.timeout(10):
        heard[0] += [decoded(frame) for frame in await readers[0].next_frames()]
    for each, reader in zip(heard, readers, strict=True):
        each += read(reader)
    assert published > 2 * rounds
    assert all(each == heard[0] and chained(each) for each in heard)
    book = LiveBook("SYM1")
    keep_book(book, heard[0])
    assert levels_of(book) == engine_levels(market)


async def test_a_chain_that_nobody_reads_is_forgotten_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    market = Market(5)
    reader = market.reader("level2")
    market.go(5)
    heard = await both(market, reader)
    market.hub.leave(reader)
    market.hub.sweep()
    market.go(5)
    later = market.reader("level2", since=int(heard[-1]["sequence"]))
    again = read(later)
    assert again and again[0]["type"] == "delta"
    monkeypatch.setattr(hub_module, "KEPT_S", -1.0)
    market.hub.sweep()  # somebody reads it still
    assert market.hub.chain_count == 1
    market.hub.leave(later)
    market.hub.sweep()
    assert market.hub.chain_count == 0
