"""Tapes of the public matching-engine benchmark (arXiv:2606.01183) as commands.

Header `magic u64 | version u32 | count u32`, then records `type u8 (0 new, 1 cancel, 2 modify) |
side u8 (0 buy) | ioc u8 | pad u8 | quantity u32 | sequence u64 | order id u64 | price i64, in half
cents | reserved i64`. A tape does not say what traded, so what it is compared with is a plain
price-time engine.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from cli.play_books import PriceTimeBook
from cli.play_commands import (
    BUY,
    CANCEL,
    SELL,
    SUBMIT,
    PlayCommand,
    Skipped,
    TopOfBook,
    UnreadableFileError,
)

HEADER = struct.Struct("<QII")
RECORD = struct.Struct("<BBBxIQQqq")
RECORDS_PER_READ = 4_096
NEW, CANCELLED, MODIFIED = range(3)
TICK_SIZE_TICKS = 50  # half a cent in 1/10,000 dollar
MESSAGE_INTERVAL_NS = (
    1_000_000  # a tape has no times: at speed 1 it is played as a thousand messages a second
)


Record: TypeAlias = tuple[int, int, int, int, int, int, int, int]


def open_binary(path: Path) -> BinaryIO:
    """Open a file that may be compressed with xz."""
    return lzma.open(path, "rb") if path.suffix == ".xz" else path.open("rb")  # type: ignore[return-value]


def read_records(path: Path) -> Iterator[Record]:
    """The records of a tape. Raises UnreadableFileError where it ends early."""
    try:
        with open_binary(path) as tape:
            header = tape.read(HEADER.size)
            if len(header) < HEADER.size:
                raise UnreadableFileError(f"{path.name}: no tape header")
            left = HEADER.unpack(header)[2]
            while left:
                wanted = min(left, RECORDS_PER_READ)
                block = tape.read(wanted * RECORD.size)
                if len(block) < wanted * RECORD.size:
                    raise UnreadableFileError(f"{path.name}: ends {left} records before its count")
                yield from RECORD.iter_unpack(block)
                left -= wanted
    except (lzma.LZMAError, EOFError) as error:
        raise UnreadableFileError(f"{path.name}: {error}") from error


class TapeFile:
    """A tape, `.bin` or `.bin.xz`."""

    tick_size_ticks = TICK_SIZE_TICKS

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped = Skipped()
        self.message_count = 0
        self._states: list[TopOfBook] = []

    def commands(self) -> Iterator[PlayCommand]:
        """Commands in tape order, applied on the way to a plain engine.

        The engine tells what is still there to modify.

        A modify always loses its place, so it is a cancel and a new order. Tape ids may come again
        after an order is gone, so each order's key is its message's number.
        """
        self.skipped = Skipped()
        self.message_count = 0
        self._states = []
        book = PriceTimeBook()
        keys: dict[int, str] = {}
        for record in read_records(self.path):
            for command in self._commands_of(record, keys, book):
                state = book.apply(command)
                if not self._states or self._states[-1] != state:
                    self._states.append(state)
                yield command

    def _commands_of(
        self, record: Record, keys: dict[int, str], book: PriceTimeBook
    ) -> Iterator[PlayCommand]:
        kind, side, ioc, quantity, _sequence, tape_id, price, _ = record
        time_ns = self.message_count * MESSAGE_INTERVAL_NS
        self.message_count += 1
        if kind > MODIFIED:
            raise UnreadableFileError(f"{self.path.name}: message of unknown type {kind}")
        if kind != NEW:
            key = keys.pop(tape_id, None)
            if key is None:
                self.skipped.count("cancel or modify of an order that the tape never made")
                return
            gone = not book.is_open(key)
            yield PlayCommand(CANCEL, key, time_ns)
            if gone:
                return
        if kind != CANCELLED:
            key = f"{self.message_count}"
            if not ioc:
                keys[tape_id] = key
            name = SELL if side else BUY
            ticks = price * TICK_SIZE_TICKS
            yield PlayCommand(SUBMIT, key, time_ns, name, ticks, quantity, immediate=bool(ioc))

    def reference_states(self) -> list[TopOfBook]:
        """Distinct states of the plain engine; call it when `commands` is exhausted."""
        return self._states
