"""The books of one shard as ITCH messages, in the manner of Nasdaq's GLIMPSE 5.0: what a listener
that comes late begins with.

Guarantees: S, R and H of every instrument, then A of every resting order, each book's bids and then
its asks in the order in which they would trade. It is made in slices, so that nothing else of the
process waits for a large book; the replica must stand still meanwhile. Pure, typed for mypyc."""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, write_i16_be
from mypy_extensions import i16, i64

from domain.book import Books, next_level
from domain.rows import (
    BEST_BID,
    HEAD,
    INSTRUMENT_ROW,
    LEAVES,
    LOT,
    NEXT,
    NIL,
    PRICE_ACCOUNT,
    STATE,
    SYMBOL,
)
from projections.itch.messages import (
    DAY_NS,
    START_OF_MARKET_HOURS,
    START_OF_MESSAGES,
    stock_of,
    write_action,
    write_add,
    write_directory,
    write_system,
)
from projections.market_data.replica import ShardReplica

LOW: Final = 0xFFFFFFFF
CLOSED: Final = 3
SEQUENCED: Final = 0x53  # SoupBinTCP's S, before each message


@final
class SnapshotWriter:
    """Writes the replica's books as SoupBinTCP sequenced packets, a message each."""

    def __init__(self, replica: ShardReplica) -> None:
        self._books: Books = replica.books
        self._numbers: list[int] = replica.instruments()
        self._time_ns: i64 = replica.trading_time_ns % DAY_NS
        self._out: BytesWriter = BytesWriter()
        self._message: BytesWriter = BytesWriter()
        self._at: i64 = 0  # of sides: an instrument's bids, then its asks
        self._side: i64 = 0
        self._level: i64 = NIL
        self._row: i64 = NIL

    def begin(self) -> bytes:
        """What is true of the whole shard, and every instrument's directory and trading state."""
        instruments = self._books.instruments
        self._system(START_OF_MESSAGES)
        is_open = False
        for number in self._numbers:
            is_open = is_open or instruments[number * INSTRUMENT_ROW + STATE] != CLOSED
        if is_open:
            self._system(START_OF_MARKET_HOURS)
        for number in self._numbers:
            row: i64 = number * INSTRUMENT_ROW
            symbol = stock_of(instruments[row + SYMBOL])
            self._message.truncate(0)
            write_directory(self._message, number, self._time_ns, symbol, instruments[row + LOT])
            self._frame()
            self._message.truncate(0)
            write_action(self._message, number, self._time_ns, symbol, instruments[row + STATE])
            self._frame()
        return self._taken()

    def orders(self, count_max: int) -> bytes:
        """The next resting orders, `count_max` at most; empty once all were given."""
        count: i64 = 0
        while count < count_max:
            if self._row == NIL and not self._next_queue():
                break
            self._write_order(self._row)
            self._row = self._books.orders[self._row + NEXT]
            count += 1
        return self._taken()

    def _next_queue(self) -> bool:
        """Move to the next level that holds orders; False where there is none any more."""
        books = self._books
        while True:
            if self._level != NIL:
                self._level = next_level(books.levels, self._level)
            elif self._at >= 2 * len(self._numbers):
                return False
            else:
                number: i64 = self._numbers[self._at >> 1]
                self._side = self._at & 1
                self._at += 1
                self._level = books.instruments[number * INSTRUMENT_ROW + BEST_BID + self._side]
            if self._level != NIL:
                self._row = books.levels[self._level + HEAD]
                return True

    def _write_order(self, row: i64) -> None:
        orders = self._books.orders
        number = self._books.levels[self._level] >> 33
        self._message.truncate(0)
        write_add(
            self._message,
            number,
            self._time_ns,
            orders[row],
            self._side,
            orders[row + LEAVES],
            stock_of(self._books.instruments[number * INSTRUMENT_ROW + SYMBOL]),
            orders[row + PRICE_ACCOUNT] & LOW,
        )
        self._frame()

    def _system(self, code: i64) -> None:
        self._message.truncate(0)
        write_system(self._message, self._time_ns, code)
        self._frame()

    def _frame(self) -> None:
        block = self._message.getvalue()
        write_i16_be(self._out, i16(len(block) - 1))
        self._out.append(SEQUENCED)
        self._out.write(block[2:])

    def _taken(self) -> bytes:
        made = self._out.getvalue()
        self._out.truncate(0)
        return made
