"""The directory's present state, folded from its events: what views and followers hold in memory.

Guarantees: the state is a function of the notifications applied, in their order, and of nothing
else. The aggregates' own `mutate` does the folding, so that reading and writing cannot come to
differ.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from eventsourcing.domain import Aggregate

from commands.directory.aggregates import Account, Instrument
from commands.directory.entries import (
    AccountEntry,
    InstrumentEntry,
    KeyEntry,
    account_entry,
    instrument_entry,
)


class DirectoryState:
    """Accounts by number, keys by id, instruments by symbol and by number. Readers never write to
    the dicts."""

    def __init__(self) -> None:
        self.notification_id = 0
        self.accounts: dict[int, AccountEntry] = {}
        self.keys: dict[str, KeyEntry] = {}
        self.instruments: dict[str, InstrumentEntry] = {}
        self.instruments_by_number: dict[int, InstrumentEntry] = {}
        self._aggregates: dict[UUID, Aggregate] = {}

    def apply(self, notification_id: int, event: Any) -> Aggregate | None:
        """Apply one event of the notification log; return what it changed.

        Ids ascend and may have gaps. One that was applied before changes nothing and returns None.
        """
        if notification_id <= self.notification_id:
            return None
        before = self._aggregates.get(event.originator_id)
        after: Aggregate | None = event.mutate(before)
        if after is None:
            raise ValueError(
                f"notification {notification_id} discards an aggregate; none of ours can be"
            )
        self._aggregates[event.originator_id] = after
        if isinstance(after, Account):
            entry = account_entry(after)
            self.accounts[entry.number] = entry
            for key in entry.keys:
                self.keys[key.key_id] = key
        elif isinstance(after, Instrument):
            listed = instrument_entry(after)
            self.instruments[listed.symbol] = listed
            self.instruments_by_number[listed.number] = listed
        self.notification_id = notification_id
        return after

    def subject_of(self, originator_id: UUID) -> str:
        """Whose an aggregate is: an account's number, a symbol, or nothing."""
        found = self._aggregates.get(originator_id)
        if isinstance(found, Instrument):
            return found.symbol
        return str(found.number) if isinstance(found, Account) else ""
