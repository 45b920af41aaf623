"""The directory's history as a trail: who changed what, and when.

Guarantees: what is told is what the events themselves say, in the order in which they count; no
secret is in it, since none is in the store. A change that was refused left no event: those are
lines of the log (`crossbook.audit`). Reading blocks; from asyncio code, read in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from commands.directory.aggregates import AUDITED
from commands.directory.application import DirectoryApplication
from commands.directory.view import DirectoryView
from commands.validation import price_text
from domain.codes import TradingState

LIMIT_MAX: Final = 1_000
WINDOW: Final = 1_000
# Members of an event that say whose it is and when; its other members are what changed.
FRAME: Final = frozenset(
    {"originator_id", "originator_version", "originator_topic", "timestamp", "by"}
)
DOLLARS: Final = frozenset({"tick_size", "price_collar", "reference_price", "order_notional_max"})
COUNTS: Final = frozenset({"order_quantity_max", "open_orders_max"})
HIDDEN: Final = frozenset({"sha256"})  # of no use to who reads


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `kind` is such as `account.limits-set`, `by` who asked for it: `key:<key id>`, a
    command or the schedule. `subject` is an account's number or a symbol."""

    notification_id: int
    at: datetime
    kind: str
    by: str
    subject: str
    changes: dict[str, Any]


class AuditTrail:
    """Reads the trail, newest first, with a view that says whose each event is."""

    def __init__(self, application: DirectoryApplication, view: DirectoryView) -> None:
        self._application = application
        self._view = view

    def newest(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """At most `limit` changes, those before a notification where one is given. Raises
        ValueError for a limit that is not 1 to 1,000, PersistenceError."""
        if not 1 <= limit <= LIMIT_MAX:
            raise ValueError(f"limit is 1 to {LIMIT_MAX}")
        last = self._view.refresh()
        end = last + 1 if before is None else min(before, last + 1)
        found: list[AuditEntry] = []
        while end > 1 and len(found) < limit:
            start = max(0, end - 1 - WINDOW)
            page = self._application.recorder.select_notifications(
                start, WINDOW, stop=end - 1, topics=AUDITED, inclusive_of_start=False
            )
            found += [self._entry(notification) for notification in reversed(page)]
            end = start + 1
        return found[:limit]

    def _entry(self, notification: Any) -> AuditEntry:
        event: Any = self._application.mapper.to_domain_event(notification)
        changes = {
            name: _told(name, value)
            for name, value in vars(event).items()
            if name not in FRAME and name not in HIDDEN
        }
        kind = notification.topic.removeprefix("crossbook.")
        subject = self._view.subject_of(event.originator_id)
        return AuditEntry(notification.id, event.timestamp, kind, event.by, subject, changes)


def _told(name: str, value: Any) -> Any:
    """As the API's answers have it: trading states by name, dollars as decimal strings, no limit as
    None; the rest as the event has it."""
    if name == "state":
        return TradingState(value).name.lower()
    if name in DOLLARS:
        return price_text(value) if value else None
    return (value or None) if name in COUNTS else value
