"""LOBSTER message files as commands (https://lobsterdata.com/info/DataStructure.php).

A row is `seconds after midnight, type, order id, size, price in 1/10,000 dollar, direction of the
resting order`. Types: 1 new limit order, 2 partial cancel, 3 delete, 4 execution of a visible
order, 5 of a hidden one, 6 cross, 7 halt. The exchange matches for itself, so an execution becomes
the order that must have caused it: an IOC order of the other side.
"""

from __future__ import annotations

import csv
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from cli.play_books import LevelBook, distinct
from cli.play_commands import (
    BUY,
    CANCEL,
    REPLACE,
    SELL,
    SUBMIT,
    PlayCommand,
    Skipped,
    TopOfBook,
    UnreadableFileError,
)

NEW, PARTIAL_CANCEL, DELETE, EXECUTED, EXECUTED_HIDDEN, CROSS, HALT = range(1, 8)
EMPTY_PRICE_TICKS = 9_999_999_999  # LOBSTER's price of an empty side, negative for bids
KINDS = {
    PARTIAL_CANCEL: "partial cancel",
    DELETE: "delete",
    EXECUTED: "execution",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One row. `side` is the resting order's."""

    time_ns: int
    kind: int
    order_key: str
    quantity: int
    price_ticks: int
    side: str


def open_text(path: Path) -> TextIO:
    """Open a file that may be compressed with xz."""
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="ascii", newline="")
    return path.open(encoding="ascii", newline="")


def time_ns_of(seconds: str) -> int:
    """Decimal seconds as whole nanoseconds, without a float in between."""
    whole, _, rest = seconds.partition(".")
    return int(whole) * 1_000_000_000 + int(rest[:9].ljust(9, "0"))


def read_messages(path: Path) -> Iterator[Message]:
    """The rows of a message file. Raises UnreadableFileError with the line that is none."""
    try:
        with open_text(path) as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                try:
                    seconds, kind, order_key, quantity, price, direction = row[:6]
                    side = BUY if int(direction) > 0 else SELL
                    yield Message(
                        time_ns_of(seconds),
                        int(kind),
                        str(int(order_key)),
                        int(quantity),
                        int(price),
                        side,
                    )
                except ValueError as error:
                    raise UnreadableFileError(f"{path.name}, line {number}: {error}") from error
    except (UnicodeDecodeError, lzma.LZMAError, EOFError) as error:
        raise UnreadableFileError(f"{path.name}: {error}") from error


def read_states(path: Path) -> list[TopOfBook]:
    """Distinct states of an orderbook file, of which the first level is read.

    Raises UnreadableFileError.
    """
    states: list[TopOfBook] = []
    try:
        with open_text(path) as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                try:
                    ask, ask_quantity, bid, bid_quantity = map(int, row[:4])
                except ValueError as error:
                    raise UnreadableFileError(f"{path.name}, line {number}: {error}") from error
                if abs(ask) == EMPTY_PRICE_TICKS:
                    ask = ask_quantity = 0
                if abs(bid) == EMPTY_PRICE_TICKS:
                    bid = bid_quantity = 0
                state = (ask, ask_quantity, bid, bid_quantity)
                if not states or states[-1] != state:
                    states.append(state)
    except (UnicodeDecodeError, lzma.LZMAError, EOFError) as error:
        raise UnreadableFileError(f"{path.name}: {error}") from error
    return states


class LobsterFile:
    """A LOBSTER message file, `.csv` or `.csv.xz`."""

    tick_size_ticks = 100

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped = Skipped()
        self.message_count = 0

    def commands(self) -> Iterator[PlayCommand]:
        """Commands in file order.

        Messages about orders of before the file have nothing to act on and are skipped.
        """
        self.skipped = Skipped()
        self.message_count = 0
        totals: dict[str, int] = {}
        for message in read_messages(self.path):
            self.message_count += 1
            command = self._command(message, totals)
            if command is not None:
                yield command

    def _command(self, message: Message, totals: dict[str, int]) -> PlayCommand | None:
        kind, key = message.kind, message.order_key
        if kind == NEW:
            totals[key] = message.quantity
            return PlayCommand(
                SUBMIT, key, message.time_ns, message.side, message.price_ticks, message.quantity
            )
        if kind not in KINDS:
            self.skipped.count(skip_reason(kind))
            return None
        if key not in totals:
            self.skipped.count(f"{KINDS[kind]} of an order from before the file")
            return None
        if kind == EXECUTED:
            other = SELL if message.side == BUY else BUY
            return PlayCommand(
                SUBMIT,
                f"x{self.message_count}",
                message.time_ns,
                other,
                message.price_ticks,
                message.quantity,
                immediate=True,
            )
        totals[key] -= message.quantity
        if kind == DELETE or totals[key] <= 0:
            del totals[key]
            return PlayCommand(CANCEL, key, message.time_ns)
        return PlayCommand(REPLACE, key, message.time_ns, quantity=totals[key])

    def reference_states(self) -> list[TopOfBook]:
        """Distinct states of a book to which the messages are applied, each taken at its word."""
        return list(distinct(plain_states(read_messages(self.path))))


def skip_reason(kind: int) -> str:
    """Why a message of this type cannot be traded."""
    return {
        EXECUTED_HIDDEN: "execution of a hidden order",
        CROSS: "cross trade of an auction",
        HALT: "trading halt or resumption",
    }.get(kind, f"message of unknown type {kind}")


def plain_states(messages: Iterator[Message]) -> Iterator[TopOfBook]:
    """The top of a book after each message, each taken at its word."""
    book = LevelBook()
    orders: dict[str, tuple[str, int, int]] = {}
    for message in messages:
        key = message.order_key
        if message.kind == NEW:
            orders[key] = (message.side, message.price_ticks, message.quantity)
            book.add(message.side, message.price_ticks, message.quantity)
        elif message.kind in KINDS and key in orders:
            side, price, left = orders[key]
            taken = left if message.kind == DELETE else min(left, message.quantity)
            book.add(side, price, -taken)
            if taken == left:
                del orders[key]
            else:
                orders[key] = (side, price, left - taken)
        yield book.top()
