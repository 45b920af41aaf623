"""The trading day: instruments close and open once a day, at fixed times of trading time (UTC).

A close expires what is good for the day and frees its client order ids, so an exchange that runs
round the clock needs one. Guarantees: every instrument closes once for each day, however many
clocks there are and however often they restart (the directory's events say for which day it closed
last); a close that was missed is made up for as soon as a clock ticks again; the schedule opens
only what it closed, and as what it was: what an admin halted stays halted, what an admin closed
stays closed. Nothing is closed for a time at which it was not yet listed.
"""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from typing import Final

from eventsourcing.persistence import PersistenceError

from commands.directory.application import Directory, DirectoryApplication
from commands.directory.terms import DirectoryError
from commands.directory.view import DirectoryView
from streams.trading_hours import TradingHours

BY: Final = "schedule"
NS: Final = 1_000_000_000

log = logging.getLogger(__name__)


class Schedule:
    """Keeps the hours. `step` does what is due; it blocks, and is called by one thread."""

    def __init__(self, application: DirectoryApplication, shards: int, hours: TradingHours) -> None:
        self._directory = Directory(application, shards)
        self._view = DirectoryView(application)
        self._hours = hours
        self._done: tuple[date, bool] | None = None

    def step(self, now_ns: int) -> None:
        """Close and open what is due at this trading time (ns since 1970). A store that fails is
        logged and tried again by the next step."""
        now = datetime.fromtimestamp(now_ns // NS, UTC)
        close = self._hours.last_close(now)
        phase = (close.date(), self._hours.is_open(now))
        if phase == self._done:
            return
        try:
            self._view.refresh()
            closed = self._close(close)
            opened = self._open() if phase[1] else 0
        except (PersistenceError, DirectoryError) as error:
            log.warning("the trading day waits: %r", error)
            return
        self._done = phase
        if closed or opened:
            log.info("trading day %s: closed %d, opened %d", phase[0], closed, opened)

    def _close(self, close: datetime) -> int:
        day = close.date().isoformat()
        return sum(
            self._directory.close_for_day(entry.symbol, day, by=BY)
            for entry in self._view.instruments()
            if entry.closed_for < day and entry.listed_at < close
        )

    def _open(self) -> int:
        self._view.refresh()
        return sum(
            self._directory.open_for_day(entry.symbol, by=BY)
            for entry in self._view.instruments()
            if entry.opens_later
        )
