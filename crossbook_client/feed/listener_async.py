"""The multicast feed for programs that await."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final

from crossbook_client.feed.events import FeedEvent
from crossbook_client.feed.listener import ListenerBase
from crossbook_client.feed.runner import Source

EVENTS_AT_ONCE: Final = 256  # handed out before other tasks have their turn


class AsyncFeedListener(ListenerBase):
    """`FeedListener` with `async with` and `async for`. For one event loop.

    Books are kept while the program does other things, until events wait to be taken: then the
    lines are not read, the kernel keeps some packets, and what it cannot keep is recovered. A
    program that only looks at books says `keep(books_only=True)` and takes none.
    """

    _loop: asyncio.AbstractEventLoop
    _books_only = False
    _paused = False
    _timer: asyncio.TimerHandle | None = None
    _taken = 0

    async def __aenter__(self) -> AsyncFeedListener:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        runner = await asyncio.to_thread(self._open)
        for source in runner.sources:
            self._loop.add_reader(source.socket.fileno(), self._readable, source)
        self._loop.add_reader(runner.bell.fileno(), self._tick)
        self._tick()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the groups. Books and statistics stay."""
        runner = self._opened
        for source in runner.sources:
            self._loop.remove_reader(source.socket.fileno())
        if runner.bell.fileno() >= 0:
            self._loop.remove_reader(runner.bell.fileno())
        if self._timer is not None:
            self._timer.cancel()
        runner.close()

    def keep(self, *, books_only: bool) -> None:
        """Whether events are thrown away, so that the books are kept though nobody takes any."""
        self._books_only = books_only
        self._arrange()

    async def __aiter__(self) -> AsyncIterator[FeedEvent]:
        """Events until every session has ended."""
        while self._queue or not self.finished:
            if self._queue:
                yield await self.next()
            else:
                await self._something_new()

    async def next(self) -> FeedEvent:
        """The next event; waits for as long as it takes (`asyncio.timeout` bounds it)."""
        while not self._queue:
            await self._something_new()
        event = self._queue.take()
        self._taken += 1
        if not self._queue:
            self._arrange()
        if self._taken % EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)
        return event

    async def settle(self, timeout_s: float = 5.0) -> bool:
        """Go on, throwing events away, until nothing that is known to have been published is
        missing; whether it came so far within `timeout_s`."""
        was, self._books_only = self._books_only, True
        self._arrange()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self.caught_up:
                    await self._something_new()
        self._books_only = was
        return self.caught_up

    async def _something_new(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _readable(self, source: Source) -> None:
        self._opened.read(source)
        self._tick()

    def _tick(self) -> None:
        runner = self._opened
        runner.tick()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if runner.wake_at < float("inf"):
            wait_s = max(0.0, runner.wake_at - time.monotonic())
            self._timer = self._loop.call_later(wait_s, self._tick)
        self._arrange()
        if self._queue or self.caught_up or self.finished:
            self._news.set()

    def _arrange(self) -> None:
        """Read lines only where nothing waits to be taken."""
        if self._books_only:
            self._queue.clear()
        pause = bool(self._queue)
        if pause == self._paused:
            return
        self._paused = pause
        for source in self._opened.sources:
            if pause:
                self._loop.remove_reader(source.socket.fileno())
            else:
                self._loop.add_reader(source.socket.fileno(), self._readable, source)
