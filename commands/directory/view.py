"""A read view of the directory in memory, in any process, following its notification log.

Guarantees: lookups are O(1) and never block; entries are immutable; a change made anywhere is seen
within `poll_s` while the store can be read, and `age_s` says how long ago that last was so. Whoever
authenticates must refuse when the view is older than `AGE_MAX_S`: that is what makes a revoked key
stop within 5 seconds everywhere.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from eventsourcing.persistence import PersistenceError

from commands.directory.application import DirectoryApplication
from commands.directory.entries import AccountEntry, InstrumentEntry, KeyEntry
from commands.directory.keys import hash_of, matches, split_key
from commands.directory.state import DirectoryState

POLL_S: Final = 0.5
AGE_MAX_S: Final = 4.5
PAGE: Final = 1_000
NO_KEY_HASH: Final = hash_of("")

log = logging.getLogger("crossbook.directory")


class DirectoryView:
    """Accounts, keys and instruments as of `notification_id`."""

    def __init__(self, application: DirectoryApplication) -> None:
        self._application = application
        self._state = DirectoryState()
        self._refreshing = threading.Lock()
        self._refreshed_at = float("-inf")
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def notification_id(self) -> int:
        """The last notification applied, 0 where there is none."""
        return self._state.notification_id

    @property
    def age_s(self) -> float:
        """Seconds since the view was last known to be complete."""
        return time.monotonic() - self._refreshed_at

    @property
    def stale(self) -> bool:
        """Whether a revoked key might still be taken for a good one."""
        return self.age_s > AGE_MAX_S

    def account(self, number: int) -> AccountEntry | None:
        """The account with this number."""
        return self._state.accounts.get(number)

    def accounts(self) -> list[AccountEntry]:
        """All accounts, by number."""
        return sorted(self._state.accounts.copy().values(), key=lambda entry: entry.number)

    def instrument(self, symbol: str) -> InstrumentEntry | None:
        """The instrument with this symbol, in capitals."""
        return self._state.instruments.get(symbol)

    @property
    def symbols(self) -> Mapping[str, InstrumentEntry]:
        """The instruments by symbol; the mapping follows the directory."""
        return self._state.instruments

    def instrument_numbered(self, number: int) -> InstrumentEntry | None:
        """The instrument with this number."""
        return self._state.instruments_by_number.get(number)

    def instruments(self) -> list[InstrumentEntry]:
        """All instruments, by number."""
        return sorted(self._state.instruments.copy().values(), key=lambda entry: entry.number)

    def subject_of(self, originator_id: UUID) -> str:
        """Whose an event of the directory is: an account's number, a symbol, or nothing."""
        return self._state.subject_of(originator_id)

    def authenticate(self, key_text: str) -> KeyEntry | None:
        """The key that this text is, or None: malformed, unknown, wrong or revoked, which nobody is
        told apart."""
        parts = split_key(key_text)
        if parts is None:
            return None
        entry = self._state.keys.get(parts[0])
        good = matches(parts[1], NO_KEY_HASH if entry is None else entry.sha256)
        return entry if good and entry is not None and not entry.revoked else None

    def revoked(self, key_id: str) -> bool:
        """Whether this key, once good, no longer is."""
        entry = self._state.keys.get(key_id)
        return entry is None or entry.revoked

    def refresh(self) -> int:
        """Apply what the log has beyond the view; return the last notification id. Blocks. Raises
        PersistenceError."""
        with self._refreshing:
            asked_at = time.monotonic()
            while True:
                page = self._application.recorder.select_notifications(
                    self._state.notification_id, PAGE, inclusive_of_start=False
                )
                for notification in page:
                    event = self._application.mapper.to_domain_event(notification)
                    self._state.apply(notification.id, event)
                if len(page) < PAGE:
                    break
            self._refreshed_at = asked_at
            return self._state.notification_id

    def wake(self) -> None:
        """Have `run` look now. Callable from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self, poll_s: float = POLL_S) -> None:
        """Keep the view fresh until cancelled. A store that cannot be read is tried again; `age_s`
        grows meanwhile."""
        self._loop = asyncio.get_running_loop()
        while True:
            try:
                await asyncio.to_thread(self.refresh)
            except PersistenceError as error:
                log.warning("the directory cannot be read: %s", error)
            try:
                async with asyncio.timeout(poll_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()
