"""The books of one shard as they stood: after any event of a book, batch of the log, or time.

Guarantees: a book of the past is made of the event log alone, by the same replica as the stream's,
which makes every `LevelChanged` again and compares it; where one replay starts (a snapshot of the
engine, a state kept from an earlier question, nothing) changes how long it takes and never what it
answers. What is kept is bounded in bytes; one question's replay is bounded in time, and the next
goes on where it stopped. For one thread, and for none that an event loop or the matcher waits for.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import Struct

from domain.batch import EventBatch, Position
from domain.codes import TradingState
from domain.event_records import decode_event, words_of_event
from domain.events import Event, LevelChanged, OrderExecuted, TradingStateChanged
from domain.exchange import Exchange
from domain.snapshot import SnapshotError, restore
from domain.wire import EVENT_HEADER_BYTES
from projections.market_data.replica import ShardReplica

READ_BATCHES: Final = 64
KEPT_BYTES_MAX: Final = 64 * 1024 * 1024
KEPT_MAX: Final = 256
APART_BYTES: Final = 256 * 1024  # of events between two states that are kept
APART_STATES: Final = 4  # and at least so many times the state's own bytes
SNAPSHOTS_KNOWN_MAX: Final = 16

Level = tuple[int, int, int]
Queued = tuple[int, int, int, int]

log = logging.getLogger("crossbook.past")


class PastError(Exception):
    """There is no such past, or not yet. `code` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class EventSource(Protocol):
    """A shard's event log."""

    shard: int

    def read(self, after: int, limit: int) -> list[EventBatch]:
        """Whole batches after a position, in order."""
        ...

    def at(self, position: int) -> EventBatch | None:
        """The batch of one position."""
        ...

    def tail(self) -> Position:
        """The highest complete position."""
        ...


class Snapshots(Protocol):
    """The engine snapshots (`projections.snapshots.SnapshotStore`)."""

    def listed(self, shard: int) -> list[tuple[int, int]]:
        """(position, saved at) of each, newest first."""
        ...

    def newest_sound(
        self, shard: int, at_most_position: int | None = None
    ) -> tuple[Position, list[bytes]] | None:
        """The newest undamaged one not past a position."""
        ...


class Moment(Struct, frozen=True):
    """An instant of the past, by one of three: a book sequence, a time (the exchange's own clock,
    ns), or a position of the log."""

    sequence: int | None = None
    time_ns: int | None = None
    position: int | None = None


class PastBook(Struct, frozen=True):
    """A book as it stood. Levels are (price ticks, quantity, order count), `queues` (order id,
    account, price ticks, leaves quantity), bids then asks, in the order in which they would trade.

    Inside a command, levels are those that its events up to `sequence` tell; the queues are those
    before it. `match_number` is of the shard's newest match at that instant.
    """

    shard: int
    instrument: int
    position: int
    sequence: int
    state: int
    trading_time_ns: int
    match_number: int
    bids: list[Level]
    asks: list[Level]
    queues: tuple[list[Queued], list[Queued]]


@dataclass(frozen=True)
class _Kept:
    """A state of all books, as bytes."""

    position: int
    sequences: dict[int, int]
    state: list[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.state))


@dataclass(frozen=True)
class _Wanted:
    """Which states a replay may start from: those before what it looks for."""

    position: int | None = None
    book: tuple[int, int] | None = None  # (instrument, sequence)

    def after(self, position: int, sequence_of: Callable[[int], int]) -> bool:
        """Whether what is looked for is not before this state."""
        if self.position is not None:
            return position <= self.position
        assert self.book is not None
        instrument, sequence = self.book
        return sequence_of(instrument) < sequence


class ShardPast:
    """One shard's past. Every method raises PastError, or what the log raises where it cannot be
    read; `deadline` is of `time.monotonic()`."""

    def __init__(
        self,
        source: EventSource,
        snapshots: Snapshots,
        *,
        kept_bytes_max: int = KEPT_BYTES_MAX,
        apart_bytes: int = APART_BYTES,
    ) -> None:
        self.source = source
        self._snapshots = snapshots
        self._kept_bytes_max = kept_bytes_max
        self._apart_bytes = apart_bytes
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._snapshot_sequences: OrderedDict[int, dict[int, int] | None] = OrderedDict()
        self._live: ShardReplica | None = None
        self._since_kept = 0

    # --- questions --------------------------------------------------------------------------------

    def book(
        self, instrument: int, moment: Moment, *, depth: int, queued: int, deadline: float
    ) -> PastBook:
        """A book as it stood: `depth` levels of each side (0: all), `queued` orders of each."""
        if moment.sequence is not None:
            return self._book_at_sequence(instrument, moment.sequence, depth, queued, deadline)
        position = moment.position
        if position is None:
            assert moment.time_ns is not None
            position = self.position_at(moment.time_ns)
        elif position > self.source.tail().position:
            raise PastError("ahead", f"the log has not come to position {position} yet")
        replica = self._reach(position, deadline)
        self._check_listed(replica, instrument)
        return book_of_replica(replica, instrument, depth, queued)

    def position_of(self, instrument: int, sequence: int, deadline: float) -> int:
        """The batch in which the book had its event number `sequence`."""
        replica = self._start(_Wanted(book=(instrument, sequence)))
        self._fold(replica, lambda: replica.book_sequence(instrument) >= sequence, deadline)
        newest = replica.book_sequence(instrument)
        if newest < sequence:
            raise PastError("ahead", f"the book has not come so far: it is at {newest}")
        return replica.position

    def position_at(self, time_ns: int) -> int:
        """The last batch after which the exchange's own clock showed no later time; 0 where there
        is none."""
        low, high = 0, self.source.tail().position
        while low < high:
            middle = (low + high + 1) // 2
            batch = self.source.at(middle)
            if batch is None:
                raise PastError("unreadable", f"position {middle} is missing in the event log")
            if batch.header.trading_time_ns <= time_ns:
                low = middle
            else:
                high = middle - 1
        return low

    def _book_at_sequence(
        self, instrument: int, sequence: int, depth: int, queued: int, deadline: float
    ) -> PastBook:
        if sequence == 0:
            listing = self.position_of(instrument, 1, deadline)
            return _before_listing(self._reach(listing - 1, deadline), instrument)
        position = self.position_of(instrument, sequence, deadline)
        live = self._live
        assert live is not None and live.position == position
        if live.book_sequence(instrument) == sequence:
            return book_of_replica(live, instrument, depth, queued)
        replica = self._reach(position - 1, deadline)
        self._keep(replica)
        batch = self.source.at(position)
        assert batch is not None, "it was read a moment ago"
        whole, part = cut(batch.record, instrument, sequence)
        self._live = None  # it stands inside a batch from here on: good for this one answer
        replica.apply(whole)
        if not part:
            self._check_listed(replica, instrument)
            return book_of_replica(replica, instrument, depth, queued)
        return _with(part, replica, instrument, depth, queued)

    @staticmethod
    def _check_listed(replica: ShardReplica, instrument: int) -> None:
        if not replica.is_listed(instrument):
            raise PastError("not_listed_then", "the instrument was not listed yet")

    # --- replaying --------------------------------------------------------------------------------

    def _reach(self, position: int, deadline: float) -> ShardReplica:
        replica = self._start(_Wanted(position=position))
        self._fold(replica, lambda: replica.position >= position, deadline)
        if replica.position != position:
            raise PastError("unreadable", f"the event log ends before position {position}")
        return replica

    def _fold(self, replica: ShardReplica, there: Callable[[], bool], deadline: float) -> None:
        """Apply batches until `there`, or the log's end."""
        while not there():
            batches = self.source.read(replica.position, READ_BATCHES)
            if not batches:
                return
            for batch in batches:
                replica.apply(batch.record)
                self._since_kept += len(batch.record)
                if there():
                    return
            if self._since_kept >= self._apart_bytes:
                self._keep(replica)
            if time.monotonic() > deadline:
                self._keep(replica)
                at, end = replica.position, self.source.tail().position
                detail = f"the log is being read again, at {at:,} of {end:,}: ask again"
                raise PastError("replaying", detail)

    def _start(self, wanted: _Wanted) -> ShardReplica:
        """The nearest state before what is wanted, ready to go on."""
        live = self._live
        if live is not None and not wanted.after(live.position, live.book_sequence):
            live = None
        kept: _Kept | None = None
        for each in self._kept.values():
            if (kept is None or each.position > kept.position) and wanted.after(
                each.position, _of(each.sequences)
            ):
                kept = each
        best = max(-1 if kept is None else kept.position, -1 if live is None else live.position)
        found = self._snapshot(wanted, best)
        if found is not None:
            return self._begin(found)
        if live is not None and live.position == best:
            return live
        if kept is not None:
            self._kept.move_to_end(kept.position)
            return self._begin(ShardReplica(restore(kept.state)))
        return self._begin(ShardReplica(Exchange(self.source.shard)))

    def _begin(self, replica: ShardReplica) -> ShardReplica:
        self._live = replica
        self._since_kept = 0
        return replica

    def _snapshot(self, wanted: _Wanted, best: int) -> ShardReplica | None:
        """The newest engine snapshot before what is wanted, where it is newer than `best`."""
        shard = self.source.shard
        for position, _ in self._snapshots.listed(shard):
            if position <= best:
                return None
            if position in self._snapshot_sequences:
                sequences = self._snapshot_sequences[position]
                if sequences is None or not wanted.after(position, _of(sequences)):
                    continue
            elif wanted.position is not None and position > wanted.position:
                continue
            replica = self._restored(position)
            if replica is not None and wanted.after(position, replica.book_sequence):
                return replica
        return None

    def _restored(self, position: int) -> ShardReplica | None:
        """The snapshot of this position, where it is sound and of this log's history."""
        found = self._snapshots.newest_sound(self.source.shard, position)
        replica: ShardReplica | None = None
        if found is not None and found[0].position == position:
            logged = self.source.at(position)
            if logged is not None and logged.header.chain == found[0].chain:
                try:
                    replica = ShardReplica(restore(found[1]))
                except SnapshotError as error:
                    log.warning("shard %d, snapshot of %d: %s", self.source.shard, position, error)
        known = self._snapshot_sequences
        known[position] = None if replica is None else _sequences(replica)
        while len(known) > SNAPSHOTS_KNOWN_MAX:
            known.popitem(last=False)
        if replica is not None:
            self._keep(replica)
        return replica

    def _keep(self, replica: ShardReplica) -> None:
        """Keep this state for later questions, where none near it is kept."""
        self._since_kept = 0
        if replica.position in self._kept:
            self._kept.move_to_end(replica.position)
            return
        kept = _Kept(replica.position, _sequences(replica), replica.state())
        self._since_kept = min(0, self._apart_bytes - APART_STATES * kept.size)
        self._kept[replica.position] = kept
        self._kept_bytes += kept.size
        while len(self._kept) > 1 and (
            self._kept_bytes > self._kept_bytes_max or len(self._kept) > KEPT_MAX
        ):
            _, gone = self._kept.popitem(last=False)
            self._kept_bytes -= gone.size


def _of(sequences: dict[int, int]) -> Callable[[int], int]:
    return lambda instrument: sequences.get(instrument, 0)


def _sequences(replica: ShardReplica) -> dict[int, int]:
    return {number: replica.book_sequence(number) for number in replica.instruments()}


# --- inside a batch -------------------------------------------------------------------------------


def cut(record: bytes, instrument: int, sequence: int) -> tuple[bytes, list[Event]]:
    """A batch up to its last command all of whose events of this book are not after `sequence`, as
    a record of its own, and those events of the next command that are not after it either."""
    at, size = EVENT_HEADER_BYTES, len(record)
    command, begins = -1, at
    part: list[Event] = []
    while at < size:
        word = int.from_bytes(record[at : at + 8], "little", signed=True)
        index = (word >> 16) & 0xFFFF
        if index != command:
            command, begins = index, at
            part = []
        event = decode_event(record, at)
        if getattr(event, "instrument", 0) == instrument:
            if getattr(event, "book_sequence", 0) > sequence:
                return record[:begins], part
            part.append(event)
        at += int(words_of_event(word)) * 8
    return record, []


def book_of_replica(replica: ShardReplica, instrument: int, depth: int, queued: int) -> PastBook:
    """The book as it is in a replica: `depth` levels of each side (0: all), `queued` orders."""
    return PastBook(
        shard=replica.shard,
        instrument=instrument,
        position=replica.position,
        sequence=replica.book_sequence(instrument),
        state=replica.trading_state(instrument),
        trading_time_ns=replica.trading_time_ns,
        match_number=replica.match_number,
        bids=replica.levels(instrument, 0, depth),
        asks=replica.levels(instrument, 1, depth),
        queues=(replica.queue(instrument, 0, queued), replica.queue(instrument, 1, queued)),
    )


def _before_listing(replica: ShardReplica, instrument: int) -> PastBook:
    """The book before its first event, its listing: empty, and nothing was allowed."""
    return PastBook(
        shard=replica.shard,
        instrument=instrument,
        position=replica.position,
        sequence=0,
        state=int(TradingState.CLOSED),
        trading_time_ns=replica.trading_time_ns,
        match_number=replica.match_number,
        bids=[],
        asks=[],
        queues=([], []),
    )


def _with(
    part: list[Event], replica: ShardReplica, instrument: int, depth: int, queued: int
) -> PastBook:
    """The book after the first events of the next command."""
    sides = [
        {price: (price, quantity, count) for price, quantity, count in levels}
        for levels in (replica.levels(instrument, 0), replica.levels(instrument, 1))
    ]
    listed = replica.is_listed(instrument)
    state = replica.trading_state(instrument) if listed else 0
    match_number, sequence = replica.match_number, replica.book_sequence(instrument)
    for event in part:
        sequence = max(sequence, int(getattr(event, "book_sequence", 0)))
        if isinstance(event, LevelChanged):
            price = int(event.price_ticks)
            sides[event.side].pop(price, None)
            if event.quantity:
                sides[event.side][price] = (price, int(event.quantity), int(event.order_count))
        elif isinstance(event, OrderExecuted):
            match_number = int(event.match_number)
        elif isinstance(event, TradingStateChanged):
            state = int(event.state)
    most = depth or None
    return PastBook(
        shard=replica.shard,
        instrument=instrument,
        position=replica.position,
        sequence=sequence,
        state=state,
        trading_time_ns=replica.trading_time_ns,
        match_number=match_number,
        bids=[sides[0][price] for price in sorted(sides[0], reverse=True)][:most],
        asks=[sides[1][price] for price in sorted(sides[1])][:most],
        queues=(replica.queue(instrument, 0, queued), replica.queue(instrument, 1, queued)),
    )
