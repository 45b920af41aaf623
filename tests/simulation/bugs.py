"""Deliberate bugs, each such as a tired engineer could write: the simulation has to find them all.

Each is a function that breaks the product (or, where the product leaves it to its stores, a store)
through pytest's monkeypatch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from eventsourcing.persistence import PersistenceError

import streams.gateway
from commands.protocols import NotWrittenError, OutcomeUnknownError
from commands.sequencer import Batch, SequencerCore
from domain.batch import START, EventBatch, Position
from domain.exchange import Exchange
from domain.outcomes import outcomes_of
from domain.snapshot import SnapshotError, restore
from streams.directory_follower import DirectoryFollower
from streams.drivers import GO_ON, MatcherDriver, Pause, SinkDriver
from streams.follower import Follower
from streams.gateway import POLL_S, LogGateway
from streams.matcher import Matcher
from tests.simulation.logs import EventHandle, EventStore
from tests.simulation.sinks import SinkStore

Patch = pytest.MonkeyPatch


def sink_that_does_not_compare(patch: Patch) -> None:
    """Two instances of one sink each write what they think is next."""
    patch.setattr(SinkStore, "compare", lambda *_: None)


def number_used_again_without_asking(patch: Patch) -> None:
    """After an error the sequencer believes that nothing was written."""

    def append(self: SequencerCore, batch: Batch, encoded: bytes) -> int:
        try:
            return self._log.append(batch.session, batch.number, encoded)
        except PersistenceError as error:
            raise NotWrittenError("so it seems") from error

    patch.setattr(SequencerCore, "_append", append)


def error_taken_for_success(patch: Patch) -> None:
    """After an error the sequencer believes that the batch is written."""

    def append(self: SequencerCore, batch: Batch, encoded: bytes) -> int:
        try:
            return self._log.append(batch.session, batch.number, encoded)
        except PersistenceError:
            return self.last_position + 1

    patch.setattr(SequencerCore, "_append", append)


def session_goes_on_after_an_unknown_write(patch: Patch) -> None:
    """The number of a batch that may be in the log is used for the next."""
    settle = SequencerCore.settle

    def settled(self: SequencerCore, batch: Batch, result: int | Exception) -> None:
        before = self.session, self._batch_number
        settle(self, batch, result)
        if isinstance(result, OutcomeUnknownError):
            self.session, self._batch_number = before

    patch.setattr(SequencerCore, "settle", settled)


def answer_before_the_disk(patch: Patch) -> None:
    """Writers hear of a position before the log has the batch."""
    take = SequencerCore.take

    def taken(self: SequencerCore) -> Batch | None:
        batch = take(self)
        if batch is not None:
            self._resolve(batch, self.last_position + 1)
        return batch

    patch.setattr(SequencerCore, "take", taken)


def session_kept_for_ever(patch: Patch) -> None:
    """A session that the engine has forgotten goes on writing."""
    patch.setattr("commands.sequencer.SESSION_SILENCE_NS_MAX", 1 << 62)


def neighbours_outcome(patch: Patch) -> None:
    """Whoever shares a batch is told what became of its first commands."""

    def outcomes(record: bytes, first: int, count: int) -> list[Any]:
        return outcomes_of(record, 0, count)

    patch.setattr(streams.gateway, "outcomes_of", outcomes)


def poller_ends_with_the_first_error(patch: Patch) -> None:
    """The gateway's poller lets an unreadable event log end it."""

    async def poll(self: LogGateway) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            self.look()

    patch.setattr(LogGateway, "poll", poll)


def matcher_trusts_an_old_tail(patch: Patch) -> None:
    """What was once seen of the event log's end is believed after a power cut."""
    tail = EventHandle.tail

    def remembered(self: EventHandle) -> Position:
        seen = getattr(self._store, "seen", START)
        found = tail(self)
        if self._process.role == "matching":
            found = self._store.seen = max(seen, found, key=lambda at: at.position)
        return found

    patch.setattr(EventHandle, "tail", remembered)


def snapshot_from_beyond_the_end(patch: Patch) -> None:
    """The newest snapshot is taken, whether or not the event log has come so far."""

    def restored(self: Matcher, tail: Position) -> tuple[Exchange, bytes]:
        found = self._snapshots.newest_sound(self.shard, None)
        if found is None:
            return Exchange(self.shard), START.chain
        try:
            return restore(found[1]), found[0].chain
        except SnapshotError:
            return Exchange(self.shard), START.chain

    patch.setattr(Matcher, "_restored", restored)


def matcher_goes_on_after_an_error(patch: Patch) -> None:
    """The process outlives a failed write of events, with an engine that is ahead of its log."""
    turn = MatcherDriver.turn

    def turned(self: MatcherDriver) -> Pause:
        try:
            return turn(self)
        except PersistenceError:
            return Pause(0.05)

    patch.setattr(MatcherDriver, "turn", turned)


def sink_tells_before_it_writes(patch: Patch) -> None:
    """Whoever waits for a position is told of it before the sink's store has it."""
    turn = SinkDriver.turn

    def turned(self: SinkDriver) -> Pause:
        follower = self._follower
        shard, position = follower.source.shard, follower.position
        if follower.source.read(position, 1):
            self._waker.send("api", follower.sink.name, shard, position + 1)
        return turn(self)

    patch.setattr(SinkDriver, "turn", turned)


def matcher_that_must_be_woken(patch: Patch) -> None:
    """It never looks by itself, and a wake may be lost."""
    turn = MatcherDriver.turn
    patch.setattr(MatcherDriver, "turn", lambda self: GO_ON if turn(self) is GO_ON else Pause(1e9))


def directory_forgets_what_failed(patch: Patch) -> None:
    """What a shard's log did not take of a notification is dropped."""
    flush = DirectoryFollower._flush

    def flushed(self: DirectoryFollower) -> None:
        try:
            flush(self)
        except PersistenceError:
            self._pending.clear()
            raise

    patch.setattr(DirectoryFollower, "_flush", flushed)


def event_log_without_keys(patch: Patch) -> None:
    """Two matchers may write the same position, and half a transaction stays."""

    def put(self: Any, batches: Sequence[tuple[int, Sequence[bytes]]]) -> None:
        for position, records in batches:
            self.batches[position] = list(self.batches.get(position, ())) + list(records)

    patch.setattr(EventStore, "put", put)


def batch_left_out(patch: Patch) -> None:
    """A follower that is behind skips to the newest batches."""

    def next_batches(self: Follower, at: Position) -> list[EventBatch]:
        found = self.source.read(at.position, 64)
        return found[-5:]

    patch.setattr(Follower, "_next", next_batches)


BUGS: tuple[Callable[[Patch], None], ...] = (
    sink_that_does_not_compare,
    number_used_again_without_asking,
    error_taken_for_success,
    session_goes_on_after_an_unknown_write,
    answer_before_the_disk,
    session_kept_for_ever,
    neighbours_outcome,
    poller_ends_with_the_first_error,
    matcher_trusts_an_old_tail,
    snapshot_from_beyond_the_end,
    matcher_goes_on_after_an_error,
    sink_tells_before_it_writes,
    matcher_that_must_be_woken,
    directory_forgets_what_failed,
    event_log_without_keys,
    batch_left_out,
)
