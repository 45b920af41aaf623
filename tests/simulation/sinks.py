"""Two simulated read models: a history that adds up (so that nothing may be applied twice), and
books that can begin from a snapshot of the engine.

Guarantees: each keeps its position with its effects, moves both by compare-and-set or neither, and
loses nothing that it committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import psycopg
import redis

from domain.batch import START, ConflictError, EventBatch, ForkError, Position
from domain.events import (
    Event,
    InstrumentListed,
    LevelChanged,
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    TradingStateChanged,
)
from domain.wire import chain_of
from tests.simulation.scheduler import Process
from tests.simulation.weather import Store, Weather

Levels = dict[int, tuple[int, int]]


@dataclass
class History:
    """Every order as [client order id, leaves, executed quantity, events], and what was traded."""

    orders: dict[int, list[object]] = field(default_factory=dict)
    trades: dict[int, tuple[int, int]] = field(default_factory=dict)
    batches: int = 0
    events: int = 0

    def apply(self, batch: EventBatch) -> None:
        """Add one batch to it."""
        self.batches += 1
        for event in batch.events():
            self.events += 1
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, OrderAccepted):
            self.orders[event.order_id] = [event.client_order_id, event.quantity, 0, 1]
        elif isinstance(event, OrderExecuted):
            for order_id in (event.aggressor_order_id, event.resting_order_id):
                row = self.orders[order_id]
                row[1] -= event.quantity
                row[2] += event.quantity
                row[3] += 1
            self.trades[event.match_number] = (event.price_ticks, event.quantity)
        elif isinstance(event, (OrderCancelled, OrderExpired)):
            row = self.orders[event.order_id]
            row[1] -= event.quantity
            row[3] += 1
        elif isinstance(event, OrderReplaced):
            row = self.orders[event.order_id]
            row[1] += event.leaves_quantity - event.previous_leaves_quantity
            row[3] += 1
        elif isinstance(event, OrderRejected) and event.command_type == 1:
            self.orders[event.order_id] = [event.client_order_id, 0, 0, 1]


@dataclass
class Book:
    """One instrument's levels at one book sequence."""

    sequence: int
    state: int
    sides: tuple[Levels, Levels]


@dataclass
class Books:
    """Every instrument's book."""

    books: dict[int, Book] = field(default_factory=dict)

    def apply(self, batch: EventBatch) -> None:
        """Move the books on by one batch."""
        for event in batch.events():
            if isinstance(event, InstrumentListed):
                self.books[event.instrument] = Book(0, event.state, ({}, {}))
            sequence = getattr(event, "book_sequence", 0)
            if sequence:
                self._take(event, self.books[event.instrument])

    def _take(self, event: Event, book: Book) -> None:
        if event.book_sequence != book.sequence + 1:
            raise ForkError(f"sequence {event.book_sequence} after {book.sequence}")
        book.sequence = event.book_sequence
        if isinstance(event, LevelChanged):
            if event.order_count:
                level = (event.quantity, event.order_count)
                book.sides[event.side][event.price_ticks] = level
            else:
                del book.sides[event.side][event.price_ticks]
        elif isinstance(event, TradingStateChanged):
            book.state = event.state


Model = History | Books


class SinkStore(Store):
    """One read model's server: a model and a position for each shard."""

    def __init__(
        self, weather: Weather, name: str, new: Callable[[], Model], error: type[Exception]
    ) -> None:
        super().__init__(weather, name, error)
        self.new = new
        self.rows: dict[int, tuple[Position, Model]] = {}

    def at(self, shard: int) -> Position:
        """The committed position."""
        return self.rows[shard][0] if shard in self.rows else START

    def move(self, shard: int, before: Position, batches: Sequence[EventBatch]) -> None:
        """The transaction itself."""
        self.compare(shard, before)
        _, model = self.rows.get(shard) or (START, self.new())
        for batch in batches:
            model.apply(batch)
        self.rows[shard] = (batches[-1].at, model)

    def compare(self, shard: int, before: Position) -> None:
        """The comparison in compare-and-set."""
        if self.at(shard) != before:
            self.weather.scheduler.count(f"{self.name}:lost-a-race")
            raise ConflictError(f"{self.name} moved from {before.position} meanwhile")

    def load(self, shard: int, at: Position, model: Books) -> None:
        """Replace a shard's model by a newer one."""
        if self.at(shard).position > at.position:
            raise ConflictError(f"{self.name} is past {at.position}")
        self.rows[shard] = (at, model)


class SimulatedSink:
    """One process's connection to a read model: `domain.batch.Sink`."""

    def __init__(self, store: SinkStore, process: Process) -> None:
        self.name = store.name
        self._store = store
        self._process = process
        self._known: dict[int, Position] = {}

    def position(self, shard: int) -> Position:
        """See `Sink`."""
        self._known.pop(shard, None)
        found = self._store.read(self._process, f"position {shard}", lambda: self._store.at(shard))
        self._known[shard] = found
        return found

    def apply(self, shard: int, batches: Sequence[EventBatch]) -> Position:
        """See `Sink`. What it remembers of the position may be old: the store compares."""
        first = batches[0]
        before = self._known.pop(shard, None) or self.position(shard)
        if before.position != first.position - 1:
            raise ConflictError(f"{self.name} stands at {before.position}")
        if chain_of(before.chain, first.record) != first.header.chain:
            raise ForkError(f"{self.name}: batch {first.position} is of another history")
        what = f"{shard} to {batches[-1].position}"
        self._store.write(self._process, what, lambda: self._store.move(shard, before, batches))
        self._known[shard] = batches[-1].at
        return batches[-1].at

    def load(self, shard: int, position: Position, books: Iterable[tuple]) -> None:
        """Begin from an engine snapshot, as the books in Redis do."""
        model = Books()
        for number, sequence, state, bids, asks in books:
            model.books[number] = Book(sequence, state, (_levels(bids), _levels(asks)))
        what = f"{shard} loaded to {position.position}"
        self._store.write(self._process, what, lambda: self._store.load(shard, position, model))


def _levels(side: Iterable[tuple[int, int, int]]) -> Levels:
    return {price: (quantity, count) for price, quantity, count in side}


def history_store(weather: Weather) -> SinkStore:
    """As the history in PostgreSQL."""
    return SinkStore(weather, "postgres", History, psycopg.OperationalError)


def books_store(weather: Weather) -> SinkStore:
    """As the books in Redis."""
    return SinkStore(weather, "redis", Books, redis.ConnectionError)
