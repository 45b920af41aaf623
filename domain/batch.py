"""What passes between a log and its sinks: whole event batches, positions, and the sink's contract.

Guarantees: an `EventBatch` is whole (all parts joined), its events are decoded at most once, and a
`Position` names both how far a sink got and which history brought it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.event_records import decode_events
from domain.events import Event
from domain.wire import decode_event_header, join_events


class SinkError(Exception):
    """A sink cannot go on as it is."""


class ConflictError(SinkError):
    """Another instance advanced this sink: the effects were rolled back; read the position again
    and go on.
    """


class ForkError(SinkError):
    """The sink's history and the log's differ. Nothing was written; a person must choose
    (`crossbook rebuild`).
    """


@dataclass(frozen=True)
class Position:
    """The last batch applied (0: none) and the running hash after it."""

    position: int
    chain: bytes


START: Final = Position(0, bytes(32))


class EventBatch:
    """One position's events. `record` is the whole batch as one record, `header` its decoded
    header.
    """

    def __init__(self, record: bytes) -> None:
        self.record = record
        self.header = decode_event_header(record)
        self._events: list[Event] | None = None

    @staticmethod
    def of_parts(records: list[bytes]) -> EventBatch:
        """Join the parts of one batch, in order. Raises WireError where one is missing."""
        return EventBatch(join_events(records))

    @property
    def position(self) -> int:
        """The position in the shard's command log that these events answer."""
        return self.header.position

    @property
    def at(self) -> Position:
        """Where a sink stands once this batch is applied."""
        return Position(self.header.position, self.header.chain)

    def events(self) -> list[Event]:
        """The decoded events, in order. Empty for a repeat or undecodable batch."""
        if self._events is None:
            self._events = decode_events(self.record)
        return self._events


class Sink(Protocol):
    """Anything that consumes an event log and remembers, in its own store, how far it got."""

    name: str

    def position(self, shard: int) -> Position:
        """The last batch applied; `START` where the store is empty."""
        ...

    def apply(self, shard: int, batches: Sequence[EventBatch]) -> Position:
        """Write effects and position of contiguous batches in one transaction, by compare-and-set.

        Raises ConflictError when another instance was quicker.
        """
        ...
