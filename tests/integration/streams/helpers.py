"""What the tests of streams/ share: batches to match, and a sink that keeps what it is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from domain.batch import START, ConflictError, EventBatch, Position
from domain.commands import Command, ListInstrument, SetAccount, SubmitOrder
from domain.wire import encode_batch, encode_command
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from streams.matcher import Aside, Matcher, MatcherLimits, Snapshots, in_thread

SESSION = bytes(8) + b"a system"


def batch_of(number: int, *commands: Command, session: bytes = SESSION) -> bytes:
    return encode_batch(session, number, number, [encode_command(each) for each in commands])


def fill(log: SQLiteCommandLog, batches: int, first: int = 1) -> None:
    """A listing, then `batches` - 1 batches of ten crossing orders each."""
    for number in range(first, first + batches):
        if number == 1:
            commands: list[Command] = [SetAccount(1), ListInstrument(1, b"AAPL", 100, 1)]
        else:
            commands = [
                SubmitOrder(1, 1, each & 1, 0, 1, 10_000 + 100 * (number % 7), 10 + each)
                for each in range(10)
            ]
        log.append(SESSION, number, batch_of(number, *commands))


class Done:
    """Work beside the matcher that has ended."""

    def is_alive(self) -> bool:
        return False

    def join(self) -> None:
        return


def at_once(work: Callable[[], None]) -> Aside:
    """Do what else goes on beside the matcher, before it goes on itself."""
    work()
    return Done()


def matcher_of(
    folder: Path,
    *,
    snapshots: Snapshots | None = None,
    record_bytes_max: int = 900_000,
    aside: Callable[[Callable[[], None]], Aside] = in_thread,
) -> Matcher:
    matcher = Matcher(
        SQLiteCommandLog(folder, 0),
        SQLiteEventLog(folder, 0),
        snapshots=snapshots,
        limits=MatcherLimits(record_bytes_max=record_bytes_max, read_batches_max=3),
        aside=aside,
    )
    matcher.recover()
    return matcher


def run_out(matcher: Matcher) -> None:
    while matcher.step():
        pass


def records_of(folder: Path) -> list[bytes]:
    """Every batch of the event log, as one record each."""
    log = SQLiteEventLog(folder, 0)
    found: list[bytes] = []
    position = 0
    while batches := log.read(position, 100):
        found.extend(batch.record for batch in batches)
        position = batches[-1].position
    return found


class KeepingSink:
    """A sink in memory with a real compare-and-set; `store` is shared by rival instances."""

    name = "keeping"

    def __init__(self, store: dict[str, object] | None = None) -> None:
        self.store = store if store is not None else {"at": START, "digest": b""}
        self.lose_next = False

    def position(self, shard: int) -> Position:
        at = self.store["at"]
        assert isinstance(at, Position)
        return at

    def apply(self, shard: int, batches: Sequence[EventBatch]) -> Position:
        at = self.position(shard)
        if self.lose_next or batches[0].position != at.position + 1:
            self.lose_next = False
            raise ConflictError("another was quicker")
        digest = self.store["digest"]
        for batch in batches:
            assert isinstance(digest, bytes)
            digest = hashlib.sha256(digest + batch.record).digest()
        self.store["digest"] = digest
        self.store["at"] = batches[-1].at
        return batches[-1].at
