"""Turns what the directory says into shard commands, in a permanent session whose batch number is
the notification id.

Guarantees: the commands of a notification are a function of the notification log up to it, and lie
in a shard's command log at most once, in the order of the notifications, however often followers
crash and however many run at once: the log refuses a (session, batch number) that it has. Each
shard resumes after the session's last batch number in its own log, so that a shard that is added
later learns every account.
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
    INSTRUMENT_LISTED,
    KILL_SWITCH_SET,
    LIMITS_SET,
    TRADING_STATE_SET,
    Account,
    Instrument,
)
from commands.directory.application import DirectoryApplication
from commands.directory.state import DirectoryState
from commands.protocols import CommandLog
from domain.commands import Command, ListInstrument, SetAccount, SetTradingState
from domain.wire import encode_command

DIRECTORY_SESSION: Final = bytes(15) + b"\x01"
POLL_S: Final = 0.5
PAGE: Final = 500
REMEMBERED_MAX: Final = 4_096
ACCOUNT_TOPICS: Final = (ACCOUNT_CREATED, LIMITS_SET, KILL_SWITCH_SET)

log = logging.getLogger("crossbook.directory")


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
    if topic == TRADING_STATE_SET and isinstance(changed, Instrument):
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
        logs: Sequence[CommandLog],
    ) -> None:
        """`logs` are the shards' command logs, in order; `writer` appends to them."""
        self._application = application
        self._writer = writer
        self._logs = logs
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
            for shard, command_log in enumerate(self._logs):
                if shard not in self._resume_after:
                    self._resume_after[shard] = command_log.last_batch_number(DIRECTORY_SESSION)
            self._flush()
            while True:
                page = self._application.recorder.select_notifications(
                    self._done, PAGE, inclusive_of_start=False
                )
                for notification in page:
                    self._take(
                        notification.id, self._application.mapper.to_domain_event(notification)
                    )
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
                await asyncio.wait_for(self._wake.wait(), poll_s)
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
                await asyncio.wait_for(self._stepped.wait(), remaining)
            except TimeoutError:
                continue
        return dict(self._positions.get(notification_id, {}))

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
