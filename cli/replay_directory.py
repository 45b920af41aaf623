"""Names for a log's numbers, from the directory that lies beside it. Read only, as it is now."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from eventsourcing.persistence import PersistenceError

from cli.replay_places import KafkaPlace, LogPlace
from commands.directory.application import DirectoryApplication, sqlite_environment
from commands.directory.postgres import postgres_environment
from commands.directory.state import DirectoryState

PAGE = 1_000


class Names:
    """Accounts and instruments by number. Empty where no directory can be read; `missing` then says
    why.
    """

    def __init__(self, place: LogPlace) -> None:
        self.missing = ""
        self._state = DirectoryState()
        if isinstance(place, KafkaPlace):
            self._read_postgres(place.postgres_dsn)
            return
        path = place / "directory.sqlite"
        if not path.exists():
            self.missing = f"there is no {path}"
            return
        try:
            self._read(path)
        except (PersistenceError, sqlite3.Error, ValueError, AttributeError) as error:
            self._state = DirectoryState()
            self.missing = f"{path}: {error}"

    def account(self, number: int) -> str:
        """An account's name, empty where it is not known."""
        found = self._state.accounts.get(number)
        return "" if found is None else found.name

    def account_number(self, name: str) -> int | None:
        """The number of an account's name."""
        return next((n for n, each in self._state.accounts.items() if each.name == name), None)

    def symbol(self, number: int) -> str:
        """An instrument's symbol, empty where it is not known."""
        found = self._state.instruments_by_number.get(number)
        return "" if found is None else found.symbol

    def shard(self, symbol: str) -> int | None:
        """Where an instrument is traded."""
        found = self._state.instruments.get(symbol)
        return None if found is None else found.shard

    def _read(self, path: Path) -> None:
        alone = not path.with_name(path.name + "-wal").exists()
        mode = "mode=ro&immutable=1" if alone else "mode=ro"
        environment = sqlite_environment(path) | {
            "SQLITE_DBNAME": f"file:{quote(str(path.absolute()))}?{mode}",
            "CREATE_TABLE": "no",
        }
        self._fold(DirectoryApplication(environment))

    def _read_postgres(self, dsn: str | None) -> None:
        if dsn is None:
            self.missing = "CROSSBOOK_POSTGRES_DSN is not set: it holds the directory"
            return
        try:
            self._fold(DirectoryApplication(postgres_environment(dsn)))
        except PersistenceError as error:
            self._state = DirectoryState()
            self.missing = f"the directory in PostgreSQL: {error}"

    def _fold(self, application: DirectoryApplication) -> None:
        try:
            while True:
                page = application.recorder.select_notifications(
                    self._state.notification_id, PAGE, inclusive_of_start=False
                )
                for notification in page:
                    event = application.mapper.to_domain_event(notification)
                    self._state.apply(notification.id, event)
                if len(page) < PAGE:
                    return
        finally:
            application.close()
