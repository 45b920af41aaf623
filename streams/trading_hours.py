"""When instruments close and open each day: a setting as times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

TIMES: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


@dataclass(frozen=True)
class TradingHours:
    """Closed each day from `closes` until `opens`, which may be of the next day. Both UTC."""

    closes: time
    opens: time

    @classmethod
    def parse(cls, text: str) -> TradingHours | None:
        """Hours from such as `22:00-22:05`; None where there are none. Raises ValueError."""
        if not text:
            return None
        found = TIMES.fullmatch(text)
        if found is None:
            raise ValueError("two times of the day in UTC, such as 22:00-22:05")
        hour, minute, to_hour, to_minute = (int(part) for part in found.groups())
        hours = cls(time(hour, minute), time(to_hour, to_minute))
        if hours.closes == hours.opens:
            raise ValueError("it opens later than it closes")
        return hours

    def last_close(self, now: datetime) -> datetime:
        """The newest close that is not after `now`."""
        at = datetime.combine(now.date(), self.closes, UTC)
        return at if at <= now else at - timedelta(days=1)

    def is_open(self, now: datetime) -> bool:
        """Whether the opening after the last close has come."""
        close = self.last_close(now)
        opening = datetime.combine(close.date(), self.opens, UTC)
        if opening <= close:
            opening += timedelta(days=1)
        return now >= opening
