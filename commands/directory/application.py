"""The directory as it is written: every change is durable and numbered when the call returns.

Guarantees: numbers of accounts and instruments count up from 1 without gaps, symbols and account
names are unique, and two processes that change the directory at once never overwrite each other
(optimistic concurrency, retried). All calls block: from asyncio code, make them in a thread.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar
from uuid import UUID

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import IntegrityError

from commands.directory.aggregates import (
    ACCOUNTS,
    INSTRUMENTS,
    Account,
    AccountName,
    Instrument,
    Register,
    TradingClock,
)
from commands.directory.entries import (
    AccountEntry,
    InstrumentEntry,
    InstrumentTerms,
    Limits,
    account_entry,
    instrument_entry,
)
from commands.directory.keys import NewKey, hash_of, new_key
from commands.directory.terms import (
    AccountExistsError,
    ContendedError,
    DirectoryFullError,
    InstrumentExistsError,
    KeysExhaustedError,
    UnknownAccountError,
    UnknownInstrumentError,
    UnknownKeyError,
    check_instrument,
    check_limits,
    check_name,
    check_reference_price,
    check_scopes,
    check_state,
)
from domain.codes import ACCOUNT_MAX, INSTRUMENT_MAX

ATTEMPTS_MAX: Final = 32
BACKOFF_S: Final = 0.005
KEYS_PER_ACCOUNT_MAX: Final = 256
CACHED_AGGREGATES_MAX: Final = 1_024

T = TypeVar("T")


class DirectoryApplication(Application[UUID]):
    """The library's application; its environment says where the events are kept."""

    name = "directory"


def sqlite_environment(path: Path) -> dict[str, str]:
    """The settings that keep the directory in one SQLite file of its own."""
    return {
        "PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "SQLITE_DBNAME": os.fspath(path),
        "SQLITE_LOCK_TIMEOUT": "10",
        "AGGREGATE_CACHE_MAXSIZE": str(CACHED_AGGREGATES_MAX),
    }


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """A durable change: the entry after it, and its (last) notification id, by which followers may
    be awaited."""

    entry: T
    notification_id: int


class Directory:
    """Accounts, keys and instruments, as commands. `by` names who asks, for the audit trail."""

    def __init__(self, application: DirectoryApplication, shards: int) -> None:
        if shards < 1:
            raise ValueError("an exchange has at least one shard")
        self.application = application
        self.shards = shards
        # Within this process one change at a time: the retries are for other processes.
        self._lock = threading.Lock()

    def create_account(
        self, name: str, limits: Limits | None = None, *, by: str
    ) -> Change[AccountEntry]:
        """Open an account. Raises InvalidTermsError, AccountExistsError, DirectoryFullError."""
        wanted = limits or Limits()
        check_name(name)
        check_limits(wanted)

        def change() -> Change[AccountEntry]:
            if AccountName.create_id(name) in self.application.repository:
                raise AccountExistsError(f"an account is named {name!r} already")
            register = self._register(ACCOUNTS)
            number = register.last_number + 1
            if number > ACCOUNT_MAX:
                raise DirectoryFullError(f"all {ACCOUNT_MAX} account numbers are taken")
            register.take(number=number, shard=0)
            account = Account(
                number=number,
                name=name,
                order_quantity_max=wanted.order_quantity_max,
                order_notional_max=wanted.order_notional_max,
                open_orders_max=wanted.open_orders_max,
                by=by,
            )
            saved = self._save(register, AccountName(name, number), account)
            return Change(account_entry(account), saved)

        return self._attempt(change)

    def set_limits(
        self,
        number: int,
        *,
        order_quantity_max: int | None = None,
        order_notional_max: int | None = None,
        open_orders_max: int | None = None,
        by: str,
    ) -> Change[AccountEntry]:
        """Change limits; None leaves one as it is, 0 is no limit. Raises InvalidTermsError,
        UnknownAccountError."""

        def change(account: Account) -> None:
            present = account_entry(account).limits
            limits = Limits(
                present.order_quantity_max if order_quantity_max is None else order_quantity_max,
                present.order_notional_max if order_notional_max is None else order_notional_max,
                present.open_orders_max if open_orders_max is None else open_orders_max,
            )
            check_limits(limits)
            account.set_limits(
                order_quantity_max=limits.order_quantity_max,
                order_notional_max=limits.order_notional_max,
                open_orders_max=limits.open_orders_max,
                by=by,
            )

        return self._change_account(number, change)

    def set_killed(self, number: int, killed: bool, *, by: str) -> Change[AccountEntry]:
        """Throw or release the kill switch. Raises UnknownAccountError."""
        return self._change_account(number, lambda account: account.set_killed(killed, by))

    def create_key(
        self, number: int, scopes: list[str], *, by: str
    ) -> tuple[Change[AccountEntry], NewKey]:
        """Make an API key, whose secret is told this once. Raises InvalidTermsError,
        UnknownAccountError."""
        check_scopes(scopes)
        key = new_key()

        def change(account: Account) -> None:
            if len(account.keys) >= KEYS_PER_ACCOUNT_MAX:
                raise KeysExhaustedError(f"an account has at most {KEYS_PER_ACCOUNT_MAX} keys")
            sha256 = hash_of(key.secret)
            account.add_key(key_id=key.key_id, sha256=sha256, scopes=sorted(scopes), by=by)

        return self._change_account(number, change), key

    def revoke_key(self, number: int, key_id: str, *, by: str) -> Change[AccountEntry]:
        """Refuse a key from now on. Raises UnknownAccountError, UnknownKeyError."""

        def change(account: Account) -> None:
            if key_id not in account.keys:
                raise UnknownKeyError(f"account {number} has no key {key_id!r}")
            account.revoke_key(key_id=key_id, by=by)

        return self._change_account(number, change)

    def list_instrument(self, terms: InstrumentTerms, *, by: str) -> Change[InstrumentEntry]:
        """List an instrument and choose its shard. Raises InvalidTermsError, InstrumentExistsError,
        DirectoryFullError."""
        check_instrument(terms)

        def change() -> Change[InstrumentEntry]:
            if Instrument.create_id(terms.symbol) in self.application.repository:
                raise InstrumentExistsError(f"{terms.symbol} is listed already")
            register = self._register(INSTRUMENTS)
            number = register.last_number + 1
            if number > INSTRUMENT_MAX:
                raise DirectoryFullError(f"all {INSTRUMENT_MAX} instrument numbers are taken")
            shard = register.emptiest_shard(self.shards)
            register.take(number=number, shard=shard)
            instrument = Instrument(
                symbol=terms.symbol,
                number=number,
                shard=shard,
                tick_size=terms.tick_size,
                lot_size=terms.lot_size,
                price_collar=terms.price_collar,
                reference_price=terms.reference_price,
                state=terms.state,
                by=by,
            )
            return Change(instrument_entry(instrument), self._save(register, instrument))

        return self._attempt(change)

    def set_trading_state(self, symbol: str, state: int, *, by: str) -> Change[InstrumentEntry]:
        """Open, halt, restrict to cancels, or close. Raises InvalidTermsError,
        UnknownInstrumentError."""
        check_state(state)
        return self._change_instrument(symbol, lambda found: found.set_trading_state(state, by))

    def set_reference_price(
        self, symbol: str, reference_price: int, *, by: str
    ) -> Change[InstrumentEntry]:
        """The price from which collar and notional are measured. Raises InvalidTermsError,
        UnknownInstrumentError."""
        check_reference_price(reference_price)
        return self._change_instrument(
            symbol, lambda found: found.set_reference_price(reference_price, by)
        )

    def close_for_day(self, symbol: str, day: str, *, by: str) -> bool:
        """Close an instrument as the schedule has it, once for each `day` (YYYY-MM-DD); tells
        whether this call did. Raises UnknownInstrumentError."""

        def change(found: Instrument) -> bool:
            if found.closed_for >= day:
                return False
            found.close_for_day(day=day, by=by)
            return True

        return self._scheduled(symbol, change)

    def open_for_day(self, symbol: str, *, by: str) -> bool:
        """Open an instrument that the schedule closed, as what it was before; tells whether this
        call did. Raises UnknownInstrumentError."""

        def change(found: Instrument) -> bool:
            if found.opens_as is None:
                return False
            found.open_for_day(by=by)
            return True

        return self._scheduled(symbol, change)

    def _scheduled(self, symbol: str, change: Callable[[Instrument], bool]) -> bool:
        def changed() -> Change[bool]:
            found = self._instrument(symbol)
            did = change(found)
            return Change(did, self._save(found) if did else 0)

        return self._attempt(changed).entry

    def resume_clocks(self, *, by: str) -> Change[int]:
        """Permit clocks that saw their wall time jump to tick again: how often this was said."""

        def change() -> Change[int]:
            try:
                clock: TradingClock = self.application.repository.get(TradingClock.create_id())
            except AggregateNotFoundError:
                clock = TradingClock()
            clock.resume(by)
            return Change(clock.resumed, self._save(clock))

        return self._attempt(change)

    def account_named(self, name: str) -> AccountEntry | None:
        """The account with this name, as it is in the store now."""
        try:
            found: AccountName = self.application.repository.get(AccountName.create_id(name))
        except AggregateNotFoundError:
            return None
        return account_entry(self._account(found.number))

    def close(self) -> None:
        """Close the store's connections."""
        self.application.close()

    def _change_account(
        self, number: int, change: Callable[[Account], None]
    ) -> Change[AccountEntry]:
        def changed() -> Change[AccountEntry]:
            account = self._account(number)
            change(account)
            return Change(account_entry(account), self._save(account))

        return self._attempt(changed)

    def _change_instrument(
        self, symbol: str, change: Callable[[Instrument], None]
    ) -> Change[InstrumentEntry]:
        def changed() -> Change[InstrumentEntry]:
            found = self._instrument(symbol)
            change(found)
            return Change(instrument_entry(found), self._save(found))

        return self._attempt(changed)

    def _instrument(self, symbol: str) -> Instrument:
        try:
            found: Instrument = self.application.repository.get(Instrument.create_id(symbol))
        except AggregateNotFoundError:
            raise UnknownInstrumentError(f"no instrument {symbol!r}") from None
        return found

    def _account(self, number: int) -> Account:
        try:
            account: Account = self.application.repository.get(Account.create_id(number))
        except AggregateNotFoundError:
            raise UnknownAccountError(f"no account {number}") from None
        return account

    def _register(self, kind: str) -> Register:
        try:
            register: Register = self.application.repository.get(Register.create_id(kind))
        except AggregateNotFoundError:
            return Register(kind)
        return register

    def _save(self, *aggregates: Aggregate) -> int:
        recordings = self.application.save(*aggregates)
        return max(recording.notification.id for recording in recordings)

    def _attempt(self, change: Callable[[], Change[T]]) -> Change[T]:
        """Run a whole read-change-save again where another process was quicker."""
        with self._lock:
            for attempt in range(ATTEMPTS_MAX):
                try:
                    return change()
                except IntegrityError:
                    # The next attempt reads what the other wrote; the jitter parts two that collide
                    # again.
                    time.sleep(BACKOFF_S * random.random() * (attempt + 1))
        raise ContendedError(f"others changed the same {ATTEMPTS_MAX} times; try again")
