"""What an API process knows of the directory's commands when another process writes them: which
changes are in every shard's log, and where.

Guarantees: a change is said to be in the logs only once the event log, or a bookmark of whoever
wrote it, has shown it there; nothing blocks the event loop; what is remembered is bounded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, TypeAlias

from eventsourcing.persistence import PersistenceError

from commands.directory.application import DirectoryApplication
from commands.directory.state import DirectoryState
from streams.directory_bookmarks import Bookmarks
from streams.directory_follower import commands_of

POLL_S: Final = 0.5
PAGE: Final = 500
PENDING_MAX: Final = 4_096
REMEMBERED_MAX: Final = 4_096

# A change's notification id, and the shards that get commands of it.
Concern: TypeAlias = tuple[int, tuple[int, ...]]

log = logging.getLogger("crossbook.directory")


class DirectoryObserver:
    """The API's `DirectoryWrites`. `note` is told each directory batch that was matched; `run`
    reads the directory and the bookmarks. Made in a running loop, in which all but `_look` happens.

    `ask(notification_id)` wakes whoever writes.
    """

    def __init__(
        self,
        application: DirectoryApplication,
        shards: int,
        bookmarks: Bookmarks,
        ask: Callable[[int], None],
    ) -> None:
        self._application = application
        self._shards = shards
        self._bookmarks = bookmarks
        self._ask = ask
        self._state = DirectoryState()
        self._read_to = 0
        self._done = 0
        # What is known to be written of each shard: the last notification, and its position.
        self._written: dict[int, tuple[int, int]] = {}
        self._found: list[Concern] = []
        self._pending: deque[Concern] = deque()
        self._positions: OrderedDict[int, dict[int, int]] = OrderedDict()
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()

    @property
    def notification_id(self) -> int:
        """The last change whose commands are in every shard's log, as far as is known here."""
        return self._done

    def note(self, shard: int, notification_id: int, position: int) -> None:
        """The commands of a change lie at `position`, or are known to lie before it."""
        if notification_id <= self._written.get(shard, (0, 0))[0]:
            return
        self._written[shard] = notification_id, position
        self._positions.setdefault(notification_id, {})[shard] = position
        self._settle()

    def wake(self) -> None:
        """Have `run` look now. Callable from any thread."""
        self._loop.call_soon_threadsafe(self._wake.set)

    async def positions_of(self, notification_id: int, wait_s: float) -> dict[int, int] | None:
        """Position by shard of a change's commands, or later ones; empty where it asks for none,
        or is long past. None where they are not all in the logs within `wait_s`.
        """
        deadline = time.monotonic() + wait_s
        if self._done < notification_id:
            self._ask(notification_id)
        while self._done < notification_id:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            if self._read_to < notification_id:
                self._wake.set()
            try:
                async with asyncio.timeout(remaining):
                    await self._moved.wait()
            except TimeoutError:
                continue
        return dict(self._positions.get(notification_id, {}))

    async def run(self, poll_s: float = POLL_S) -> None:
        """Follow until cancelled. A store that fails is tried again."""
        while True:
            try:
                bookmarks = await asyncio.to_thread(self._look)
            except PersistenceError as error:
                log.warning("the directory's changes cannot be read: %s", error)
            else:
                self._take(bookmarks)
            try:
                async with asyncio.timeout(poll_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    def _look(self) -> dict[int, tuple[int, int]]:
        """Find new changes; the bookmarks, where some change is not known to be written. Blocks;
        raises PersistenceError, and keeps what it has found all the same."""
        while len(self._pending) + len(self._found) < PENDING_MAX:
            page = self._application.recorder.select_notifications(
                self._state.notification_id, PAGE, inclusive_of_start=False
            )
            for notification in page:
                event = self._application.mapper.to_domain_event(notification)
                changed = self._state.apply(notification.id, event)
                shards = tuple(commands_of(event, changed, self._shards))
                self._found.append((notification.id, shards))
            if len(page) < PAGE:
                break
        return self._bookmarks.load() if self._found or self._pending else {}

    def _take(self, bookmarks: dict[int, tuple[int, int]]) -> None:
        """Take in what `_look` found, while it does not run."""
        self._pending.extend(self._found)
        self._found.clear()
        if self._pending:
            self._read_to = self._pending[-1][0]
        for shard, (notification_id, position) in bookmarks.items():
            self.note(shard, notification_id, position)
        self._settle()

    def _settle(self) -> None:
        """Go past every change that is written wherever it should be."""
        done = self._done
        while self._pending:
            notification_id, shards = self._pending[0]
            written = {shard: self._written.get(shard, (0, 0)) for shard in shards}
            if any(last < notification_id for last, _ in written.values()):
                break
            self._pending.popleft()
            self._done = notification_id
            known = self._positions.setdefault(notification_id, {}) if shards else {}
            for shard, (_, position) in written.items():
                known.setdefault(shard, position)
        while len(self._positions) > REMEMBERED_MAX:
            self._positions.popitem(last=False)
        if self._done != done:
            self._moved.set()
            self._moved = asyncio.Event()
