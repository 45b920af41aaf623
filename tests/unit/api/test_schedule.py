"""The trading day: once a day, however many clocks there are, and never against an admin's word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commands.directory.application import Directory, DirectoryApplication, sqlite_environment
from commands.directory.audit import AuditTrail
from commands.directory.entries import InstrumentTerms
from commands.directory.view import DirectoryView
from domain.codes import TradingState
from domain.commands import SetTradingState
from streams.directory_follower import commands_of
from streams.schedule import Schedule
from streams.trading_hours import TradingHours

OPEN, HALTED, CLOSED = TradingState.OPEN, TradingState.HALTED, TradingState.CLOSED
HOURS = TradingHours.parse("22:00-22:05")
assert HOURS is not None
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
TOMORROW = TODAY + timedelta(days=1)


def at(day: datetime, text: str) -> int:
    """Ns since 1970 of a time of the day."""
    hour, minute = text.split(":")
    return int((day + timedelta(hours=int(hour), minutes=int(minute))).timestamp()) * 10**9


class Exchange:
    """A directory, and what the schedule makes of it."""

    def __init__(self, folder: Path) -> None:
        self.environment = sqlite_environment(folder / "directory.sqlite")
        self.application = DirectoryApplication(self.environment)
        self.directory = Directory(self.application, 1)
        self.view = DirectoryView(self.application)
        for symbol in ("A", "B"):
            self.directory.list_instrument(InstrumentTerms(symbol, 100), by="t")
        self.schedule = self.new_schedule()

    def new_schedule(self) -> Schedule:
        assert HOURS is not None
        return Schedule(self.application, 1, HOURS)

    def states(self) -> dict[str, int]:
        self.view.refresh()
        return {entry.symbol: entry.state for entry in self.view.instruments()}


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    made = Exchange(tmp_path)
    yield made
    made.directory.close()


def test_closes_and_opens_once_a_day(exchange: Exchange) -> None:
    step = exchange.schedule.step
    step(at(TOMORROW, "21:59"))  # yesterday's close was before they were listed
    day = exchange.view.refresh
    before = day()
    step(at(TOMORROW, "21:59"))
    assert (exchange.states(), day()) == ({"A": OPEN, "B": OPEN}, before)
    step(at(TOMORROW, "22:00"))
    assert exchange.states() == {"A": CLOSED, "B": CLOSED}
    step(at(TOMORROW, "22:04"))
    assert exchange.states() == {"A": CLOSED, "B": CLOSED}
    step(at(TOMORROW, "22:05"))
    assert exchange.states() == {"A": OPEN, "B": OPEN}
    after = day()
    step(at(TOMORROW, "23:00"))
    step(at(TOMORROW + timedelta(days=1), "21:00"))
    assert day() == after
    step(at(TOMORROW + timedelta(days=1), "22:01"))
    assert exchange.states() == {"A": CLOSED, "B": CLOSED}


def test_a_restart_and_a_second_clock_repeat_nothing(exchange: Exchange) -> None:
    exchange.schedule.step(at(TOMORROW, "22:01"))
    before = exchange.view.refresh()
    exchange.new_schedule().step(at(TOMORROW, "22:02"))
    assert exchange.view.refresh() == before
    other = DirectoryApplication(exchange.environment)
    assert HOURS is not None
    Schedule(other, 1, HOURS).step(at(TOMORROW, "22:06"))
    exchange.schedule.step(at(TOMORROW, "22:06"))
    assert exchange.states() == {"A": OPEN, "B": OPEN}
    assert exchange.view.refresh() == before + 2
    other.close()


def test_a_missed_close_is_made_up_for(exchange: Exchange) -> None:
    later = TOMORROW + timedelta(days=4)
    before = exchange.view.refresh()
    exchange.schedule.step(at(later, "09:00"))
    assert exchange.states() == {"A": OPEN, "B": OPEN}
    assert exchange.view.refresh() == before + 4, "each closed once, for the last day, and opened"


def test_an_admins_word_stands(exchange: Exchange) -> None:
    exchange.directory.set_trading_state("A", CLOSED, by="t")
    exchange.directory.set_trading_state("B", HALTED, by="t")
    exchange.schedule.step(at(TOMORROW, "22:00"))
    assert exchange.states() == {"A": CLOSED, "B": CLOSED}
    exchange.schedule.step(at(TOMORROW, "22:05"))
    assert exchange.states() == {"A": CLOSED, "B": HALTED}, "as what they were"
    exchange.schedule.step(at(TOMORROW + timedelta(days=1), "22:00"))
    exchange.directory.set_trading_state("B", OPEN, by="t")
    exchange.new_schedule().step(at(TOMORROW + timedelta(days=1), "22:03"))
    assert exchange.states()["B"] == OPEN, "an admin opened it early: it is not closed again"
    exchange.directory.set_trading_state("B", CLOSED, by="t")
    exchange.schedule.step(at(TOMORROW + timedelta(days=1), "22:05"))
    assert exchange.states()["B"] == CLOSED


def test_the_shards_are_told(exchange: Exchange) -> None:
    exchange.schedule.step(at(TOMORROW, "22:00"))
    exchange.schedule.step(at(TOMORROW, "22:05"))
    repository, told = exchange.application.repository, []
    for notification in exchange.application.recorder.select_notifications(1, 100):
        if "for-day" in notification.topic:
            event = exchange.application.mapper.to_domain_event(notification)
            then = repository.get(event.originator_id, version=event.originator_version)
            told.append(commands_of(event, then, 1))
    assert told == [
        {0: [SetTradingState(number, state)]} for state in (CLOSED, OPEN) for number in (1, 2)
    ]


def test_it_is_in_the_audit_trail(exchange: Exchange) -> None:
    exchange.schedule.step(at(TOMORROW, "22:00"))
    trail = AuditTrail(exchange.application, exchange.view)
    newest = trail.newest(1)[0]
    assert (newest.kind, newest.by, newest.subject) == (
        "instrument.closed-for-day",
        "schedule",
        "B",
    )
    assert newest.changes == {"day": TOMORROW.date().isoformat()}


@pytest.mark.parametrize(
    "text", ["22:00", "24:00-01:00", "22:00-22:60", "22:00-22:00", "x", "٢2:00-23:00"]
)
def test_hours_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        TradingHours.parse(text)


def test_hours_over_midnight() -> None:
    hours = TradingHours.parse("23:30-00:30")
    assert hours is not None
    assert not hours.is_open(TODAY + timedelta(minutes=10))
    assert hours.is_open(TODAY + timedelta(minutes=30))
    assert hours.last_close(TODAY).date() == (TODAY - timedelta(days=1)).date()
    assert TradingHours.parse("") is None
