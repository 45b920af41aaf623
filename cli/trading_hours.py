"""The schedule that the settings ask for, in either mode."""

from __future__ import annotations

from cli.settings import Settings
from commands.directory.application import DirectoryApplication
from streams.schedule import Schedule
from streams.trading_hours import TradingHours


def schedule_of(settings: Settings, application: DirectoryApplication) -> Schedule | None:
    """What `CROSSBOOK_SCHEDULE` says; None where the exchange never closes by itself."""
    hours = TradingHours.parse(settings.schedule)
    return None if hours is None else Schedule(application, settings.shards, hours)
