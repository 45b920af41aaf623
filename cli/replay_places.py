"""Where the logs of an exchange lie that are to be read: a folder of files, or Kafka.

Guarantees: whoever reads does not know which; nothing is written in either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

from streams.replay_logs import CommandLogFile, CommandRow, EventLogFile, EventRow

if TYPE_CHECKING:
    from cli.settings import Settings
    from streams.kafka.connection import KafkaConnection


@dataclass(frozen=True)
class KafkaPlace:
    """The topics of a distributed exchange, and the PostgreSQL that holds its directory."""

    connection: KafkaConnection
    shards: int
    postgres_dsn: str | None

    def __str__(self) -> str:
        return self.connection.bootstrap_servers


LogPlace: TypeAlias = Path | KafkaPlace


class _Log(Protocol):
    @property
    def path(self) -> PurePath: ...

    shard: int

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def close(self) -> None: ...
    def complaints(self) -> list[str]: ...
    def loses_its_end(self) -> bool: ...
    def end(self) -> int: ...


class CommandReading(_Log, Protocol):
    """A command log."""

    def read(self, after: int, until: int) -> Iterator[CommandRow]:
        """The rows after a position, in order, up to `until`."""
        ...


class EventReading(_Log, Protocol):
    """An event log."""

    def strangers(self) -> tuple[int, int]:
        """How many rows are filed under another shard, and the position of the first."""
        ...

    def read(self, after: int, until: int) -> Iterator[EventRow]:
        """The rows after a position, in order, up to `until`."""
        ...

    def batch(self, position: int) -> list[bytes]:
        """The records of one position, in order; empty where the log has none."""
        ...

    def chain_at(self, position: int) -> bytes | None:
        """The running hash at a position, None where the log has none there."""
        ...


def place_of(settings: Settings, log_dir: Path | None) -> LogPlace:
    """Kafka where the settings name it and no folder is asked for, else the folder of the logs."""
    if settings.distributed and log_dir is None:
        from cli.kafka_connection import connection_of

        return KafkaPlace(connection_of(settings), settings.shards, settings.postgres_dsn)
    return settings.logs


def shards_in(place: LogPlace) -> list[int]:
    """The shards whose command logs lie there."""
    if isinstance(place, KafkaPlace):
        return list(range(place.shards))
    found = [path.stem.removeprefix("commands-") for path in place.glob("commands-*.sqlite")]
    return sorted(int(each) for each in found if each.isdecimal())


def open_commands(place: LogPlace, shard: int) -> CommandReading:
    """A command log. Raises LogUnreadableError where there is none."""
    if isinstance(place, KafkaPlace):
        from streams.kafka.replay_logs import KafkaCommandFile

        return KafkaCommandFile(place.connection, shard)
    return CommandLogFile(place, shard)


def events_path(place: LogPlace, shard: int) -> PurePath:
    """How the event log is called."""
    if isinstance(place, KafkaPlace):
        return PurePath(f"{place.connection.events_topic}[{shard}]")
    return place / f"events-{shard}.sqlite"


def open_events(place: LogPlace, shard: int) -> EventReading | None:
    """The event log, None where there is none. Raises LogUnreadableError."""
    if isinstance(place, KafkaPlace):
        from streams.kafka.replay_logs import KafkaEventFile

        return KafkaEventFile(place.connection, shard)
    path = place / f"events-{shard}.sqlite"
    return EventLogFile(place, shard) if path.exists() else None
