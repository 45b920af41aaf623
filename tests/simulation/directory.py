"""The directory in the simulation: the product's own aggregates in the library's memory store,
which many processes read, and which fails like every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import Notification, OperationalError

from commands.directory.application import Directory, DirectoryApplication
from commands.directory.entries import InstrumentTerms
from commands.directory.state import DirectoryState
from domain.wire import encode_batch, encode_command
from streams.directory_follower import DirectoryFollower, commands_of
from tests.simulation.logs import CommandHandle, CommandStore
from tests.simulation.scheduler import Process
from tests.simulation.weather import Store, Weather

TICK = 100
INSTRUMENTS = 3  # of each shard: two for orders with names, and one for orders without
PAGE = 1_000


class SimulatedDirectory(Store):
    """Accounts and instruments. It loses nothing."""

    def __init__(self, weather: Weather, shards: int, accounts: int) -> None:
        super().__init__(weather, "directory", OperationalError)
        self.shards = shards
        self.application = DirectoryApplication({"PERSISTENCE_MODULE": "eventsourcing.popo"})
        self.directory = Directory(self.application, shards)
        self.symbols: dict[int, list[str]] = {shard: [] for shard in range(shards)}
        self.instruments: dict[int, list[int]] = {shard: [] for shard in range(shards)}
        self._decoded: dict[int, Any] = {}
        for number in range(accounts):
            self.directory.create_account(f"account {number + 1}", by="simulation")
        for number in range(INSTRUMENTS * shards):
            terms = InstrumentTerms(symbol=f"STOCK{number}", tick_size=TICK)
            listed = self.directory.list_instrument(terms, by="simulation").entry
            self.symbols[listed.shard].append(listed.symbol)
            self.instruments[listed.shard].append(listed.number)

    def last(self) -> int:
        """The last notification's id."""
        return self.application.recorder.max_notification_id() or 0

    def decoded(self, notification: Notification) -> Any:
        """The event of a notification; one object for all readers, none of which changes it."""
        found = self._decoded.get(notification.id)
        if found is None:
            found = self._decoded[notification.id] = self.application.mapper.to_domain_event(
                notification
            )
        return found

    def asks_for(self, shard: int) -> list[bytes]:
        """The command records that the whole directory asks for in one shard, in order."""
        state, records = DirectoryState(), []
        for notification in self.application.recorder.select_notifications(1, PAGE):
            event = self.decoded(notification)
            commands = commands_of(event, state.apply(notification.id, event), self.shards)
            records += [encode_command(command) for command in commands.get(shard, [])]
        return records


class DirectoryHandle:
    """One process's connection: what a `DirectoryFollower` uses of an application."""

    def __init__(self, store: SimulatedDirectory, process: Process) -> None:
        self._store = store
        self._process = process

    @property
    def recorder(self) -> DirectoryHandle:
        """Where notifications are selected."""
        return self

    @property
    def mapper(self) -> DirectoryHandle:
        """What decodes them."""
        return self

    def select_notifications(
        self, start: int, limit: int, *, inclusive_of_start: bool
    ) -> Sequence[Notification]:
        """See `ApplicationRecorder`."""
        select = self._store.application.recorder.select_notifications
        return self._store.read(
            self._process,
            f"after {start}",
            lambda: select(start, limit, inclusive_of_start=inclusive_of_start),
        )

    def to_domain_event(self, notification: Notification) -> Any:
        """See `Mapper`."""
        return self._store.decoded(notification)


class StraightWriter:
    """Writes to the logs themselves."""

    def __init__(self, stores: Sequence[CommandStore]) -> None:
        self._stores = stores

    def write_system(
        self, shard: int, session: bytes, batch_number: int, records: list[bytes]
    ) -> int:
        """See `streams.directory_follower.SystemWriter`."""
        batch = encode_batch(session, batch_number, batch_number, records)
        return self._stores[shard].put(session, batch_number, batch)


def open_shards(
    directory: SimulatedDirectory, stores: Sequence[CommandStore], process: Process
) -> None:
    """Put all that the directory says now into the logs: an exchange opens with every listing."""
    logs = [CommandHandle(store, process) for store in stores]
    DirectoryFollower(DirectoryHandle(directory, process), StraightWriter(stores), logs).step()
