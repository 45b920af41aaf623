"""The multicast feed for programs that wait. `crossbook_client.feed.listener_async` awaits."""

from __future__ import annotations

import selectors
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from crossbook_client.feed.book import FeedBook
from crossbook_client.feed.config import ListenOptions
from crossbook_client.feed.directory import FeedShard
from crossbook_client.feed.events import EventQueue, FeedEvent
from crossbook_client.feed.runner import FeedRunner, Source
from crossbook_client.feed.shard import ShardFeed
from crossbook_client.feed.statistics import FeedStatistics

IDLE_S: Final = 0.5
BELL: Final = None


class ListenerBase:
    """What both listeners tell. `books` by symbol, `shards` by number, `statistics` of all."""

    def __init__(
        self,
        url: str | None = None,
        *,
        shards: Collection[FeedShard] = (),
        options: ListenOptions | None = None,
        **more: Any,
    ) -> None:
        """`url` of the exchange's API, or `shards` where there is none; `more` are other fields of
        ListenOptions. Nothing is opened yet."""
        self._options = replace(options or ListenOptions(), url=url, shards=shards, **more)
        if url is None and not shards:
            raise ValueError("a listener needs the url of an exchange, or shards with their lines")
        self._runner: FeedRunner | None = None
        self._feeds: dict[int, ShardFeed] = {}
        self._queue = EventQueue(self._feeds)

    def record_to(self, path: Path | str) -> None:
        """Record what is applied to an ITCH file, from the beginning of listening on."""
        if self._runner is not None:
            raise RuntimeError("record_to comes before listening, so that the file is whole")
        self._options = replace(self._options, record=Path(path))

    @property
    def books(self) -> Mapping[str, FeedBook]:
        """The books by symbol. They stay the same objects, and stay when listening ends."""
        return self._opened.books

    @property
    def shards(self) -> Mapping[int, ShardFeed]:
        """The receivers by shard: `caught_up`, `missing`, `sound`, `expected`, `statistics`."""
        return self._feeds

    @property
    def statistics(self) -> FeedStatistics:
        """What was heard and recovered, all shards together."""
        return self._opened.statistics

    @property
    def caught_up(self) -> bool:
        """Whether every shard has applied all that it knows to have been published."""
        return all(feed.caught_up for feed in self._feeds.values())

    @property
    def sound(self) -> bool:
        """Whether no gap is open or was given up, and every message fitted."""
        return all(feed.sound for feed in self._feeds.values())

    @property
    def finished(self) -> bool:
        """Whether every session has ended, and all of it was applied."""
        return all(feed.finished for feed in self._feeds.values())

    @property
    def recorded(self) -> list[Path]:
        """The files that are recorded to."""
        recording = self._opened.recording
        return recording.paths if recording is not None else []

    @property
    def _opened(self) -> FeedRunner:
        if self._runner is None:
            raise RuntimeError("it does not listen yet: use it in `with`")
        return self._runner

    def _open(self) -> FeedRunner:
        self._feeds.clear()
        self._queue.clear()
        runner = FeedRunner(self._options, [self._queue])
        runner.open()
        self._feeds.update(runner.feeds)
        self._runner = runner
        return runner


class FeedListener(ListenerBase):
    """The books of an exchange, kept from its multicast feed. For one thread; use it in `with`.

        with FeedListener("http://127.0.0.1:8000") as feed:
            for event in feed:
                print(event.symbol, feed.books[event.symbol].best_bid)

    Packets are read while the program waits in `next`, `poll` or a `for`; meanwhile the kernel
    keeps some, and what it cannot keep is recovered like any loss.
    """

    _selector: selectors.BaseSelector

    def __enter__(self) -> FeedListener:
        runner = self._open()
        self._selector = selectors.DefaultSelector()
        for source in runner.sources:
            self._selector.register(source.socket, selectors.EVENT_READ, source)
        self._selector.register(runner.bell, selectors.EVENT_READ, BELL)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the groups. Books and statistics stay."""
        self._opened.close()
        self._selector.close()

    def __iter__(self) -> Iterator[FeedEvent]:
        """Events until every session has ended."""
        while self._queue or not self.finished:
            if self._queue:
                yield self._queue.take()
            else:
                self._round(IDLE_S)

    def next(self, timeout_s: float | None = None) -> FeedEvent:
        """The next event. Raises TimeoutError where none came within `timeout_s`."""
        deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        while not self._queue:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"no message within {timeout_s} s")
            self._round(min(left_s, IDLE_S))
        return self._queue.take()

    def poll(self, timeout_s: float = 0.0) -> int:
        """Apply what has come, waiting at most `timeout_s` for the first of it; how many messages.
        They are not handed out: for programs that only look at books."""
        before = self._applied()
        self._round(timeout_s)
        self._queue.clear()
        return self._applied() - before

    def run(self, duration_s: float) -> None:
        """Keep the books for some seconds, or until every session has ended."""
        deadline = time.monotonic() + duration_s
        while not self.finished and (left_s := deadline - time.monotonic()) > 0:
            self.poll(min(left_s, IDLE_S))

    def settle(self, timeout_s: float = 5.0) -> bool:
        """Go on until nothing that is known to have been published is missing; whether it came so
        far within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.caught_up and (left_s := deadline - time.monotonic()) > 0:
            self.poll(min(left_s, IDLE_S))
        return self.caught_up

    def _applied(self) -> int:
        return sum(feed.statistics.message_count for feed in self._feeds.values())

    def _round(self, timeout_s: float) -> None:
        runner = self._opened
        wait_s = min(timeout_s, max(0.0, runner.wake_at - time.monotonic()))
        for key, _ in self._selector.select(wait_s):
            source: Source | None = key.data
            if source is not None:
                runner.read(source)
        runner.tick()
