"""The listeners over real sockets, against a publisher that was written from the standards and
spoils its own lines."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from crossbook_client.feed import (
    Address,
    AsyncFeedListener,
    BooksReplaced,
    FeedListener,
    FeedMessage,
    FeedShard,
    Line,
    ShardBooks,
    read_itch,
)
from crossbook_client.feed.runner import NothingToListenToError
from crossbook_client.feed.sockets import NoLineError
from tests.feed.compare import assert_same_books
from tests.feed.market import Market
from tests.feed.publisher import Faults, Publisher
from tests.integration.feed.conftest import NewPublisher

WAIT_S = 60.0
BAD = Faults(loss=0.05, reordering=0.05, duplicates=0.02)
BURST = Faults(loss=0.30, reordering=0.05, duplicates=0.02)


def catch_up(feed: FeedListener, publisher: Publisher) -> None:
    """Listen until all that was published is applied."""
    deadline = time.monotonic() + WAIT_S
    while feed.shards[0].expected < publisher.next_sequence or not feed.caught_up:
        assert time.monotonic() < deadline, (feed.shards[0].expected, publisher.next_sequence)
        feed.poll(0.1)


def flow(feed: FeedListener, publisher: Publisher, rounds: int = 30, count: int = 200) -> None:
    """Publish, and listen meanwhile."""
    for _ in range(rounds):
        publisher.publish(count)
        feed.poll(0.005)


@pytest.mark.parametrize(
    ("spoiled", "beginning"), [("A", True), ("B", False), ("AB", True), ("AB", False)]
)
def test_books_are_right_under_loss(
    new_publisher: NewPublisher, spoiled: str, beginning: bool
) -> None:
    publisher = new_publisher()
    publisher.publish(500)
    with FeedListener(publisher.url, beginning=beginning) as feed:
        catch_up(feed, publisher)
        for faults in (BAD, BURST, BAD):
            for name in spoiled:
                publisher.lines[name].faults = faults
            flow(feed, publisher)
        catch_up(feed, publisher)
        assert feed.sound
        assert_same_books(feed.books, publisher.market.books, trades=beginning)
        assert feed.statistics.recovered["snapshot"] == 0
        if spoiled == "AB":
            assert feed.statistics.recovered["rerequest"] > 0


@pytest.mark.parametrize("means", ["rerequest", "http", "snapshot"])
def test_one_means_of_recovery_is_enough(new_publisher: NewPublisher, means: str) -> None:
    publisher = new_publisher(services=[means])
    publisher.publish(500)
    with FeedListener(publisher.url) as feed:
        catch_up(feed, publisher)
        for line in publisher.lines.values():
            line.faults = Faults(loss=0.4)
        flow(feed, publisher, rounds=20, count=100)
        catch_up(feed, publisher)
        assert_same_books(feed.books, publisher.market.books, trades=means != "snapshot")
        assert feed.sound and feed.statistics.recovered[means] > 0
        assert publisher.asked[means] > 0


def test_lost_answers_are_asked_for_again(new_publisher: NewPublisher) -> None:
    publisher = new_publisher(services=["rerequest", "http"])
    publisher.rerequest_loss = 0.5
    with FeedListener(publisher.url) as feed:
        for line in publisher.lines.values():
            line.faults = Faults(loss=0.3)
        flow(feed, publisher)
        catch_up(feed, publisher)
        assert_same_books(feed.books, publisher.market.books)
        assert feed.statistics.requests > publisher.asked["rerequest"] / 2 > 0


def test_a_service_that_is_named_and_gone_is_passed_over(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    publisher.publish(500)
    with FeedListener(publisher.url) as feed:
        catch_up(feed, publisher)
        publisher.services.remove("rerequest")
        for line in publisher.lines.values():
            line.faults = Faults(loss=0.4)
        flow(feed, publisher, rounds=10)
        catch_up(feed, publisher)
        assert_same_books(feed.books, publisher.market.books, trades=False)
        assert feed.statistics.recovered["http"] > 0


def test_a_lost_tail_is_recovered_though_nothing_follows_it(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    with FeedListener(publisher.url, beginning=True) as feed:
        publisher.publish(500)
        catch_up(feed, publisher)
        for line in publisher.lines.values():
            line.faults = Faults(loss=1.0)
        publisher.publish(50)
        for line in publisher.lines.values():
            line.faults = Faults()
        catch_up(feed, publisher)
        assert_same_books(feed.books, publisher.market.books)
        assert feed.statistics.recovered.total() >= 50


def test_a_late_joiner_has_the_books_of_those_who_were_there(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    with FeedListener(publisher.url) as early:
        catch_up(early, publisher)
        flow(early, publisher)
        with FeedListener(publisher.url) as late:
            flow(late, publisher, rounds=5)
            catch_up(late, publisher)
            catch_up(early, publisher)
            assert_same_books(late.books, publisher.market.books, trades=False)
            assert_same_books(early.books, publisher.market.books)
            assert late.statistics.messages.total() < early.statistics.messages.total() / 2


def test_a_publisher_that_is_killed_and_started_again_goes_on(new_publisher: NewPublisher) -> None:
    first = new_publisher()
    with FeedListener(first.url) as feed:
        flow(feed, first, rounds=10)
        catch_up(feed, first)
        first.close()
        for line in first.lines.values():
            line.faults = Faults(loss=1.0)
        first.publish(300)  # into the log, and onto no wire
        for line in first.lines.values():
            line.faults = Faults()
        again = new_publisher(
            first.market, history=first.history, lines=first.lines, port=first.port
        )
        flow(feed, again, rounds=10)
        catch_up(feed, again)
        assert_same_books(feed.books, again.market.books, trades=False)
        assert feed.sound and feed.statistics.session_changes == 0


def test_another_session_empties_the_books_and_begins_anew(new_publisher: NewPublisher) -> None:
    first = new_publisher()
    with FeedListener(first.url) as feed:
        flow(feed, first, rounds=5)
        catch_up(feed, first)
        first.close()
        second = new_publisher(Market(9), session=b"TEST000002", lines=first.lines, port=first.port)
        second.publish(700)
        deadline = time.monotonic() + WAIT_S
        while feed.shards[0].session != b"TEST000002":
            assert time.monotonic() < deadline
            feed.poll(0.1)
        catch_up(feed, second)
        assert_same_books(feed.books, second.market.books, trades=False)
        assert feed.statistics.session_changes == 1


def test_iterating_gives_every_message_and_ends_with_the_session(
    new_publisher: NewPublisher,
) -> None:
    publisher = new_publisher()
    with FeedListener(publisher.url, beginning=True) as feed:
        publisher.publish(1_000)
        publisher.end()
        events = list(feed)
    assert [event.sequence for event in events] == list(range(1, publisher.next_sequence))
    assert all(isinstance(event, FeedMessage) for event in events)
    assert {event.symbol for event in events if isinstance(event, FeedMessage)} == {
        "",
        *publisher.market.books,
    }
    assert feed.finished and feed.sound


def test_a_first_snapshot_is_an_event_and_no_message(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    publisher.publish(100)
    with FeedListener(publisher.url) as feed:
        following = publisher.next_sequence
        assert feed.next(WAIT_S) == BooksReplaced(0, "TEST000001", following, 0)
        with pytest.raises(TimeoutError):
            feed.next(0.2)


def test_what_is_recorded_gives_the_same_books(new_publisher: NewPublisher, tmp_path: Path) -> None:
    publisher = new_publisher()
    publisher.publish(300)
    listener = FeedListener(publisher.url)
    listener.record_to(tmp_path / "day.itch")
    for line in publisher.lines.values():
        line.faults = BAD
    with listener as feed:
        flow(feed, publisher)
        catch_up(feed, publisher)
    assert listener.recorded == [tmp_path / "day.itch"]
    books = ShardBooks()
    assert books.apply(read_itch(tmp_path / "day.itch")) == []
    assert_same_books(books.by_symbol, publisher.market.books, trades=False)
    with pytest.raises(RuntimeError, match="before listening"):
        listener.record_to("late.itch")


def test_listens_without_any_api(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    told = publisher.description()
    shard = FeedShard(
        0,
        [Line(**each) for each in told["lines"]],
        rerequest=Address(**told["rerequest"]),
        snapshot=Address(**told["snapshot"]),
    )
    publisher.publish(200)
    with FeedListener(shards=[shard]) as feed:
        catch_up(feed, publisher)
        publisher.lines["A"].faults = publisher.lines["B"].faults = BURST
        flow(feed, publisher, rounds=20)
        catch_up(feed, publisher)
        assert_same_books(feed.books, publisher.market.books, trades=False)


def test_one_line_is_enough(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    publisher.lines["B"].faults = BAD
    with FeedListener(publisher.url, lines=["B"], interface="lo", beginning=True) as feed:
        flow(feed, publisher, rounds=20)
        catch_up(feed, publisher)
        assert_same_books(feed.books, publisher.market.books)
        assert feed.statistics.packets["A"] == 0


def test_what_cannot_be_listened_to_is_told(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    for options, error, told in (
        ({"lines": ["C"]}, NothingToListenToError, "shard 0 has A, B"),
        ({"only": [7]}, NothingToListenToError, "there are 0"),
        ({"interface": "nowhere0"}, NoLineError, "--interface"),
    ):
        with pytest.raises(error, match=told), FeedListener(publisher.url, **options):
            pass
    wrong = FeedShard(0, [Line("A", "10.0.0.1", 5)])
    with pytest.raises(NoLineError, match="no multicast group"), FeedListener(shards=[wrong]):
        pass
    with pytest.raises(ValueError, match="url"):
        FeedListener()


async def _listen(publisher: Publisher) -> None:
    async with AsyncFeedListener(publisher.url, beginning=True) as feed:
        seen = 0

        async def take() -> None:
            nonlocal seen
            async for event in feed:
                assert event.sequence == seen + 1
                seen = event.sequence

        taking = asyncio.create_task(take())
        for _ in range(40):
            publisher.publish(200)
            await asyncio.sleep(0.005)
        publisher.end()
        async with asyncio.timeout(WAIT_S):
            await taking
        assert seen == publisher.next_sequence - 1
        assert_same_books(feed.books, publisher.market.books)


def test_the_awaiting_listener_gives_every_message_under_loss(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    for line in publisher.lines.values():
        line.faults = BAD
    asyncio.run(_listen(publisher))


async def _keep(publisher: Publisher) -> None:
    async with AsyncFeedListener(publisher.url) as feed:
        feed.keep(books_only=True)
        for _ in range(20):
            publisher.publish(200)
            await asyncio.sleep(0.005)
        async with asyncio.timeout(WAIT_S):
            while feed.shards[0].expected < publisher.next_sequence:
                await feed.settle(1.0)
                await asyncio.sleep(0.01)
        assert_same_books(feed.books, publisher.market.books, trades=False)


def test_the_awaiting_listener_keeps_books_that_nobody_takes_events_of(
    new_publisher: NewPublisher,
) -> None:
    asyncio.run(_keep(new_publisher()))


async def _leave_waiting(publisher: Publisher) -> None:
    async with AsyncFeedListener(publisher.url, beginning=True) as feed:
        publisher.publish(2_000)
        async with asyncio.timeout(WAIT_S):
            first = await feed.next()
        assert first.sequence == 1
        for _ in range(20):
            publisher.publish(500)
            await asyncio.sleep(0.01)
        # Nothing was taken meanwhile, so little was read: the rest waits in the kernel.
        assert feed.shards[0].expected < publisher.next_sequence
        async with asyncio.timeout(WAIT_S):
            while (await feed.next()).sequence < publisher.next_sequence - 1:
                pass
        assert_same_books(feed.books, publisher.market.books)


def test_the_awaiting_listener_reads_no_further_than_what_is_taken(
    new_publisher: NewPublisher,
) -> None:
    asyncio.run(_leave_waiting(new_publisher()))
