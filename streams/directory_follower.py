"""Turns what the directory says into shard commands, in a permanent session whose batch number is
the notification id.

Guarantees: the commands of a notification are a function of the notification log up to it, and lie
in a shard's command log once, in the order of the notifications, however often followers crash and
however many run at once: the log refuses a (session, batch number) that it has, and where it does
not, on Kafka, the engine answers the second with nothing. Each shard resumes after the session's
last batch number in its own log, or after its bookmark, so that a shard that is added later learns
every account.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, Protocol

from eventsourcing.domain import Aggregate
from eventsourcing.persistence import IntegrityError, PersistenceError

from commands.directory.aggregates import (
    ACCOUNT_CREATED,
    CLOSED_FOR_DAY,
    INSTRUMENT_LISTED,
    KILL_SWITCH_SET,
    LIMITS_SET,
    OPENED_FOR_DAY,
    TRADING_STATE_SET,
    Account,
    Instrument,
)
from commands.directory.application import DirectoryApplication
from commands.directory.state import DirectoryState
from commands.protocols import CommandLog
from domain.commands import Command, ListInstrument, SetAccount, SetTradingState
from domain.wire import encode_command
from streams.directory_bookmarks import DIRECTORY_SESSION, Bookmarks, ReadableLog, is_sound

POLL_S: Final = 0.5
PAGE: Final = 500
REMEMBERED_MAX: Final = 4_096
ACCOUNT_TOPICS: Final = (ACCOUNT_CREATED, LIMITS_SET, KILL_SWITCH_SET)
STATE_TOPICS: Final = (TRADING_STATE_SET, CLOSED_FOR_DAY, OPENED_FOR_DAY)

log = logging.getLogger("crossbook.directory")


class FollowedLog(CommandLog, ReadableLog, Protocol):
    """A command log that can be read too, as bookmarks want."""


class SystemWriter(Protocol):
    """Where the follower writes: any shard's command log, outside the gateways' sessions."""

    def write_system(
        self, shard: int, session: bytes, batch_number: int, records: list[bytes]
    ) -> int:
        """Make one batch durable and return its position. Blocks.

        Raises IntegrityError where it is in the log already, PersistenceError where the log failed.
        """
        ...


def commands_of(event: Any, changed: Aggregate | None, shards: int) -> dict[int, list[Command]]:
    """The commands by shard that one directory event asks for; `changed` is the aggregate after
    it."""
    topic: str = event.TOPIC
    if topic == INSTRUMENT_LISTED and isinstance(changed, Instrument):
        return {changed.shard: [_listing(changed)]}
    if topic in STATE_TOPICS and isinstance(changed, Instrument):
        return {changed.shard: [SetTradingState(changed.number, changed.state)]}
    if topic in ACCOUNT_TOPICS and isinstance(changed, Account):
        command = SetAccount(changed.number, changed.open_orders_max, changed.killed)
        return {shard: [command] for shard in range(shards)}
    return {}


def _listing(listed: Instrument) -> ListInstrument:
    return ListInstrument(
        instrument=listed.number,
        symbol=listed.symbol.encode(),
        tick_size=listed.tick_size,
        lot_size=listed.lot_size,
        price_collar=listed.price_collar,
        state=listed.state,
    )


class DirectoryFollower:
    """Follows one directory for all shards. `step` does the work; `run` drives it beside an event
    loop."""

    def __init__(
        self,
        application: DirectoryApplication,
        writer: SystemWriter,
        logs: Sequence[FollowedLog],
        bookmarks: Bookmarks | None = None,
    ) -> None:
        """`logs` are the shards' command logs, in order; `writer` appends to them. Without
        `bookmarks` the logs are asked how far they are.
        """
        self._application = application
        self._writer = writer
        self._logs = logs
        self._bookmarks = bookmarks
        self._unsaved: dict[int, tuple[int, int]] = {}
        self._state = DirectoryState()
        self._done = 0
        self._pending: dict[int, list[bytes]] = {}
        self._resume_after: dict[int, int] = {}
        self._positions: OrderedDict[int, dict[int, int]] = OrderedDict()
        self._stepping = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._stepped = asyncio.Event()

    @property
    def notification_id(self) -> int:
        """The last notification whose commands are in every shard's log."""
        return self._done

    def step(self) -> int:
        """Write everything that the logs lack; return the last notification id. Blocks.

        Raises what the writer and the directory's store raise; what was not written is written by
        the next step.
        """
        with self._stepping:
            self._find_resume_points()
            self._flush()
            while True:
                page = self._application.recorder.select_notifications(
                    self._done, PAGE, inclusive_of_start=False
                )
                if page:
                    self._skip_what_others_wrote()
                for notification in page:
                    self._take(
                        notification.id, self._application.mapper.to_domain_event(notification)
                    )
                self._save_bookmarks()
                if len(page) < PAGE:
                    return self._done

    def wake(self) -> None:
        """Have `run` look now. Callable from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self, poll_s: float = POLL_S) -> None:
        """Follow until cancelled. A log or store that fails is tried again: the directory's word
        stands."""
        self._loop = asyncio.get_running_loop()
        while True:
            try:
                await asyncio.to_thread(self.step)
            except PersistenceError as error:
                log.warning("the directory's changes wait at %d: %s", self._done, error)
            self._stepped.set()
            self._stepped = asyncio.Event()
            try:
                async with asyncio.timeout(poll_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def positions_of(self, notification_id: int, wait_s: float) -> dict[int, int] | None:
        """Where a notification's commands lie: position by shard, empty where it asks for none.

        None where they are not in every log within `wait_s`: they will be, as soon as the logs can
        be written.
        """
        deadline = time.monotonic() + wait_s
        while self._done < notification_id:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            self.wake()
            try:
                async with asyncio.timeout(remaining):
                    await self._stepped.wait()
            except TimeoutError:
                continue
        return dict(self._positions.get(notification_id, {}))

    def _find_resume_points(self) -> None:
        missing = [each for each in self._logs if each.shard not in self._resume_after]
        if self._bookmarks is None:
            for each in missing:
                self._resume_after[each.shard] = each.last_batch_number(DIRECTORY_SESSION)
            return
        found = self._bookmarks.load() if missing else {}
        for each in missing:
            bookmark = found.get(each.shard)
            if bookmark is not None and not is_sound(bookmark, each):
                log.warning("the directory's bookmark of shard %d is of another log", each.shard)
                self._bookmarks.drop(each.shard)
                bookmark = None
            self._resume_after[each.shard] = 0 if bookmark is None else bookmark[0]

    def _skip_what_others_wrote(self) -> None:
        """Another follower may have been quicker: what its bookmarks tell need not be repeated."""
        if self._bookmarks is not None:
            for shard, (notification_id, _) in self._bookmarks.load().items():
                if notification_id > self._resume_after.get(shard, notification_id):
                    self._resume_after[shard] = notification_id

    def _save_bookmarks(self) -> None:
        while self._bookmarks is not None and self._unsaved:
            shard, (notification_id, position) = next(iter(self._unsaved.items()))
            self._bookmarks.save(shard, notification_id, position)
            del self._unsaved[shard]

    def _take(self, notification_id: int, event: Any) -> None:
        """Fold one notification and write its commands; what cannot be written now stays
        pending."""
        changed = self._state.apply(notification_id, event)
        for shard, commands in commands_of(event, changed, len(self._logs)).items():
            if notification_id > self._resume_after[shard]:
                self._pending[shard] = [encode_command(command) for command in commands]
        self._flush()

    def _flush(self) -> None:
        """Write what the last folded notification asks for, shard by shard."""
        notification_id = self._state.notification_id
        while self._pending:
            shard, records = next(iter(self._pending.items()))
            position = self._write(shard, notification_id, records)
            self._positions.setdefault(notification_id, {})[shard] = position
            self._unsaved[shard] = notification_id, position
            del self._pending[shard]
        while len(self._positions) > REMEMBERED_MAX:
            self._positions.popitem(last=False)
        self._done = notification_id

    def _write(self, shard: int, notification_id: int, records: list[bytes]) -> int:
        try:
            return self._writer.write_system(shard, DIRECTORY_SESSION, notification_id, records)
        except IntegrityError:
            position = self._logs[shard].position_of(DIRECTORY_SESSION, notification_id)
            if position is None:
                raise
            return position
