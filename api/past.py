"""The past of the books, as the API needs it: a book at any moment, and the steps between two.

Guarantees: steps are made of the event log alone, one a command, and each is whole; a question's
work is bounded in events, and says where to ask on from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Final, Protocol

from msgspec import Struct

from api.lives import StateTold
from api.stream.changes import OrderStep, Trade, changes_of
from domain.batch import EventBatch
from domain.codes import EventType
from domain.events import Event, LevelChanged
from projections.market_data.past import READ_BATCHES, Moment, PastBook, ShardPast

EVENTS_MAX: Final = 100_000  # looked at for one answer, of whatever book
EVENT_NAMES: Final = {each.name.title().replace("_", ""): each.name.lower() for each in EventType}


class LevelTold(Struct, frozen=True):
    """A level is now so; a quantity of 0 means that it is gone."""

    sequence: int
    side: int
    price_ticks: int
    quantity: int
    order_count: int


class StepTold(Struct, frozen=True):
    """What one command did to one book. `state` is None where it did not change."""

    position: int
    command_index: int
    previous_sequence: int
    sequence: int
    time_ns: int
    trading_time_ns: int
    events: list[str]
    levels: list[LevelTold]
    trades: list[Trade]
    orders: list[OrderStep]
    state: int | None


class StepsTold(Struct, frozen=True):
    """Steps in order; `sequence` is the book's after the last."""

    sequence: int
    has_more: bool
    steps: list[StepTold]


class Past(Protocol):
    """Tells the past. Raises Problem: 404, 503."""

    async def book(
        self, shard: int, instrument: int, moment: Moment, *, depth: int, queued: int
    ) -> PastBook:
        """A book as it stood; see `projections.market_data.past.ShardPast.book`."""
        ...

    async def steps(
        self, shard: int, instrument: int, after: int, until: int | None, first: int
    ) -> StepsTold:
        """What happened to a book after a sequence, up to `until` where it is given."""
        ...

    async def state(self, shard: int) -> StateTold | None:
        """The hash of the newest engine snapshot; None where there is none."""
        ...


# --- for whoever tells it -------------------------------------------------------------------------


def steps_of(
    past: ShardPast, instrument: int, after: int, until: int | None, first: int, deadline: float
) -> StepsTold:
    """At most `first` steps; one at least, where there is any. Blocks. Raises as `ShardPast`."""
    if until is not None and until <= after:
        return StepsTold(after, False, [])
    position = past.position_of(instrument, after + 1, deadline)
    steps: list[StepTold] = []
    sequence, seen = after, 0
    while True:
        batches = past.source.read(position - 1, READ_BATCHES)
        if not batches:
            return StepsTold(sequence, False, steps)
        for batch in batches:
            for step in _steps_in(batch, instrument, sequence):
                if until is not None and step.sequence > until:
                    return StepsTold(sequence, False, steps)
                if len(steps) == first:
                    return StepsTold(sequence, True, steps)
                steps.append(step)
                sequence = step.sequence
                if sequence == until:
                    return StepsTold(sequence, False, steps)
            seen += batch.header.event_count
            position = batch.position + 1
        if steps and (seen > EVENTS_MAX or time.monotonic() > deadline):
            return StepsTold(sequence, True, steps)


def _steps_in(batch: EventBatch, instrument: int, after: int) -> Iterator[StepTold]:
    own = [
        event
        for event in batch.events()
        if getattr(event, "instrument", 0) == instrument
        and getattr(event, "book_sequence", 0) > after
    ]
    previous = after
    for index, group in groupby(own, key=attrgetter("command_index")):
        step = _step(batch, instrument, int(index), previous, list(group))
        previous = step.sequence
        yield step


def _step(
    batch: EventBatch, instrument: int, index: int, previous: int, events: list[Event]
) -> StepTold:
    header = batch.header
    changes = changes_of(events, (instrument,), header.audit_timestamp_ns).get(instrument)
    assert changes is not None
    return StepTold(
        position=batch.position,
        command_index=index,
        previous_sequence=previous,
        sequence=max(int(getattr(event, "book_sequence", 0)) for event in events),
        time_ns=int(header.audit_timestamp_ns),
        trading_time_ns=int(header.trading_time_ns),
        events=[EVENT_NAMES[type(event).__name__] for event in events],
        levels=[
            LevelTold(
                int(event.book_sequence),
                int(event.side),
                int(event.price_ticks),
                int(event.quantity),
                int(event.order_count),
            )
            for event in events
            if isinstance(event, LevelChanged)
        ],
        trades=changes.trades,
        orders=changes.steps,
        state=int(changes.states[-1][1]) if changes.states else None,
    )
