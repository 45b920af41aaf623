"""A shard's state at any position or trading time, by applying its command log again.

Guarantees: the answer depends on the command log alone; positions are applied from the start (or
from a snapshot that was asked for) without a gap; memory is the engine's, plus one page of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.batch import START
from domain.codes import REPEAT, UNDECODABLE
from domain.commands import ClockTick
from domain.exchange import Exchange
from domain.rows import INSTRUMENT_ROW, SYMBOL
from domain.snapshot import restore, snapshot
from domain.wire import (
    COMMAND_HEADER_BYTES,
    NewerVersionError,
    WireError,
    chain_of,
    decode_batch,
)
from streams.replay_logs import CommandRow, LogUnreadableError

TICK_START: Final = b"\x06\x02\x00"  # type, words and no client order id: each ClockTick begins so
PROGRESS_BATCHES: Final = 64

Before = Callable[[Exchange, CommandRow], bytes]
After = Callable[[CommandRow, bytes, bytes], None]
Progress = Callable[[int, int, int], None]


class GapError(LogUnreadableError):
    """A position is missing in the command log; nothing past it can be rebuilt."""

    def __init__(self, position: int) -> None:
        super().__init__(f"position {position:,} is missing in the command log")
        self.position = position


class Commands(Protocol):
    """What a replay reads."""

    shard: int

    def read(self, after: int, until: int) -> Iterator[CommandRow]:
        """The rows after a position, in order, up to `until`."""
        ...


@dataclass(frozen=True)
class Until:
    """Where to stop: behind `position`, and before the batch that takes trading time past
    `time_ns`.
    """

    position: int
    time_ns: int | None = None


@dataclass
class Tally:
    """What was applied."""

    applied: int = 0
    repeats: int = 0
    undecodable: int = 0
    commands: int = 0
    events: int = 0

    @property
    def batches(self) -> int:
        """All positions."""
        return self.applied + self.repeats + self.undecodable


class Replay:
    """A fresh engine of one shard, and how far it has come."""

    def __init__(self, shard: int, exchange: Exchange | None = None, chain: bytes = START.chain):
        """`exchange` and `chain` are what a snapshot holds; without them it begins at the start."""
        self.exchange = Exchange(shard) if exchange is None else exchange
        self.chain = chain
        self.tally = Tally()

    @property
    def position(self) -> int:
        """The last position applied."""
        return self.exchange.position

    def run(
        self,
        commands: Commands,
        until: Until,
        *,
        before: Before | None = None,
        after: Sequence[After] = (),
        progress: Progress | None = None,
    ) -> None:
        """Apply the command log up to `until`.

        `before` sees the engine and each row just before it is applied, and returns the bytes to
        apply; each `after` gets the row, the fresh EventBatch (with an empty chain) and the running
        hash after it; `progress` gets (position, last position, commands so far) now and then.
        Raises GapError, and LogUnreadableError where a newer release wrote a batch."""
        try:
            for row in commands.read(self.position, until.position):
                if row.position != self.position + 1:
                    raise GapError(self.position + 1)
                batch = row.batch if before is None else before(self.exchange, row)
                if until.time_ns is not None and may_pass(batch, until.time_ns):
                    image = self._apply_within(row.position, batch, until.time_ns)
                    if image is None:
                        return
                else:
                    image = self.exchange.apply(row.position, batch)
                self.chain = chain_of(self.chain, image)
                self._count(image)
                for each in after:
                    each(row, image, self.chain)
                if progress is not None and row.position % PROGRESS_BATCHES == 0:
                    progress(row.position, until.position, self.tally.commands)
        except NewerVersionError as error:
            raise LogUnreadableError(
                f"position {self.position + 1:,} was written by a newer release: {error}"
            ) from error
        if self.position < until.position:
            raise GapError(self.position + 1)

    def _apply_within(self, position: int, batch: bytes, time_ns: int) -> bytes | None:
        """Apply a batch that may take trading time too far; None, and all as before, if it does."""
        here = snapshot(self.exchange)
        image = self.exchange.apply(position, batch)
        if self.exchange.trading_time_ns <= time_ns:
            return image
        self.exchange = restore(here)
        return None

    def _count(self, image: bytes) -> None:
        tally = self.tally
        status = image[20]
        if status == REPEAT:
            tally.repeats += 1
        elif status == UNDECODABLE:
            tally.undecodable += 1
        else:
            tally.applied += 1
        tally.commands += int.from_bytes(image[64:68], "little")
        tally.events += int.from_bytes(image[68:72], "little")


def may_pass(batch: bytes, time_ns: int) -> bool:
    """Whether a batch holds a clock tick past `time_ns`; it need not be one that is applied."""
    if batch.find(TICK_START, COMMAND_HEADER_BYTES) < 0:
        return False
    try:
        _, commands = decode_batch(batch)
    except WireError:
        return False
    return any(isinstance(each, ClockTick) and each.time_ns > time_ns for each in commands)


def symbol_of(exchange: Exchange, instrument: int) -> str:
    """An instrument's symbol, empty where the number is not listed."""
    rows = exchange.books.instruments
    at = instrument * INSTRUMENT_ROW + SYMBOL
    if instrument < 0 or at >= len(rows):
        return ""
    word = int(rows[at]) & 0xFFFF_FFFF_FFFF_FFFF
    return word.to_bytes(8, "little").rstrip(b"\x00").decode("ascii", "replace")


def symbols_of(exchange: Exchange) -> dict[str, int]:
    """The numbers of all listed instruments, by symbol."""
    return {symbol_of(exchange, number): number for number in exchange.instruments()}
