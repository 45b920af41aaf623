"""The books of one shard, order by order, as its event batches tell them.

Guarantees: after each batch, levels, queues, sequences and states are those of the engine that made
it: every LevelChanged is made again from the replica's own books and compared byte by byte, and
where it differs the replica stops (`ReplicaError`) rather than serve a wrong book. Memory follows
the live orders. docs/engine.md draws the layout of the rows."""

from __future__ import annotations

from typing import Final, final

from librt.strings import read_i64_le
from librt.vecs import vec
from mypy_extensions import i64

from domain.book import Books, next_level
from domain.client_ids import ClientIds
from domain.event_records import (
    ACCOUNT_UPDATED,
    CLOCK_TICKED,
    INSTRUMENT_LISTED,
    LEVEL_CHANGED,
    ORDER_ACCEPTED,
    ORDER_CANCELLED,
    ORDER_EXECUTED,
    ORDER_EXPIRED,
    ORDER_REPLACED,
    TRADING_STATE_CHANGED,
)
from domain.exchange import Exchange
from domain.matching import is_instrument
from domain.rows import (
    BEST_BID,
    CLIENT_IDS,
    CLIENT_IDS_SUM,
    EXECUTED,
    HEAD,
    INSTRUMENT_ROW,
    KNOWN,
    LEAVES,
    LEVEL,
    LISTED,
    LOT,
    NEXT,
    NIL,
    PRICE_ACCOUNT,
    ROW,
    SEQUENCE,
    STATE,
    SYMBOL,
    TICK,
    TOTAL,
    TOUCHED,
)
from domain.snapshot import snapshot

EVENT_HEADER_BYTES: Final = 112
LOW: Final = 0xFFFFFFFF
GTC: Final = 1


class ReplicaError(Exception):
    """An event that the books cannot have had: they are not those of the log's engine."""


@final
class ShardReplica:
    """All books of one shard. `exchange` is the engine at some position, restored from a snapshot,
    and is the replica's from then on; `Exchange(shard)` begins with nothing at position 0.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._books: Books = exchange.books
        self._books.client_ids = ClientIds(bytes(16))  # of no use here, and they may be many
        rows = self._books.instruments
        for at in range(0, len(rows), INSTRUMENT_ROW):
            rows[at + CLIENT_IDS] = 0
            rows[at + CLIENT_IDS_SUM] = 0
        self._last_trades: dict[int, tuple[int, int, int, int, int]] = {}
        self._audit_timestamp_ns: i64 = 0
        # The order that the command at work brought, until its executions are told: its row where
        # it was replaced, else its terms.
        self._arriving_id: i64 = 0
        self._arriving_row: i64 = NIL
        self._arriving_side_id: i64 = 0
        self._arriving_price: i64 = 0
        self._arriving_account: i64 = 0
        self._arriving_tif: i64 = 0
        self._arriving_leaves: i64 = 0
        self._arriving_quantity: i64 = 0

    # --- batches ----------------------------------------------------------------------------------

    def apply(self, record: bytes) -> None:
        """Apply one whole EventBatch, which must be the next.

        Raises ReplicaError where it cannot be; the replica is then of no more use.
        """
        exchange = self._exchange
        position = read_i64_le(record, 8)
        if position != exchange.position + 1:
            raise ReplicaError(f"batch {position} does not follow {exchange.position}")
        self._audit_timestamp_ns = read_i64_le(record, 48)
        at: i64 = EVENT_HEADER_BYTES
        size: i64 = len(record)
        while at < size:
            word = read_i64_le(record, at)
            kind = word & 0xFF
            if kind == LEVEL_CHANGED:
                at = self._levels_changed(record, at, word)
                continue
            if kind == ORDER_EXECUTED:
                self._executed(record, at)
            elif kind == ORDER_ACCEPTED:
                self._accepted(record, at, word)
            elif kind == ORDER_CANCELLED or kind == ORDER_EXPIRED:
                self._cancelled(record, at)
            elif kind == ORDER_REPLACED:
                self._replaced(record, at, word)
            else:
                self._administered(record, at, word, kind)
            at += ((word >> 8) & 0xFF) << 3
        exchange.position = position

    def _advance(self, instrument: i64, sequence: i64) -> None:
        """The book has had its event number `sequence`."""
        if not is_instrument(self._books, instrument):
            raise ReplicaError(f"instrument {instrument} is not listed")
        rows = self._books.instruments
        at = instrument * INSTRUMENT_ROW + SEQUENCE
        if sequence != rows[at] + 1:
            raise ReplicaError(f"instrument {instrument}: event {sequence} after {rows[at]}")
        rows[at] = sequence

    def _accepted(self, record: bytes, at: i64, word: i64) -> None:
        parties = read_i64_le(record, at + 8)
        terms = read_i64_le(record, at + 24)
        instrument = (parties >> 32) & LOW
        self._advance(instrument, read_i64_le(record, at + 32))
        tif = (word >> 48) & 0xFF
        self._arriving_id = 0
        if tif > GTC:
            return
        self._arriving_id = read_i64_le(record, at + 16)
        self._arriving_row = NIL
        self._arriving_side_id = instrument * 2 + ((word >> 32) & 0xFF)
        self._arriving_price = terms & LOW
        self._arriving_account = parties & LOW
        self._arriving_tif = tif
        self._arriving_leaves = (terms >> 32) & LOW
        self._arriving_quantity = self._arriving_leaves

    def _executed(self, record: bytes, at: i64) -> None:
        books = self._books
        orders, levels = books.orders, books.levels
        instrument = read_i64_le(record, at + 64)
        self._advance(instrument, read_i64_le(record, at + 56))
        resting = (read_i64_le(record, at + 24) >> 32) & LOW
        terms = read_i64_le(record, at + 40)
        quantity = (terms >> 32) & LOW
        row = self._find(orders, read_i64_le(record, at + 32))
        level = orders[row + LEVEL] & LOW
        if orders[row + LEAVES] != resting + quantity:
            raise ReplicaError(f"order {orders[row]}: {quantity} of {orders[row + LEAVES]} traded")
        if resting == 0:
            books.dequeue(orders, levels, row)
            books.release(orders, row)
        else:
            self._touch(levels, level)
            orders[row + LEAVES] = resting
            orders[row + EXECUTED] += quantity
            levels[level + TOTAL] -= quantity
        if read_i64_le(record, at + 16) == self._arriving_id:
            self._arriving_leaves = (read_i64_le(record, at + 8) >> 32) & LOW
        books.match_number = read_i64_le(record, at + 48)
        self._last_trades[instrument] = (
            books.match_number,
            terms & LOW,
            quantity,
            (read_i64_le(record, at) >> 32) & 0xFF,
            self._audit_timestamp_ns,
        )

    def _cancelled(self, record: bytes, at: i64) -> None:
        """Cancelled or expired; the rest of an IOC order was never in the book."""
        books = self._books
        self._advance((read_i64_le(record, at + 8) >> 32) & LOW, read_i64_le(record, at + 32))
        orders = books.orders
        row = books.find(orders, read_i64_le(record, at + 16))
        if row != NIL:
            books.dequeue(orders, books.levels, row)
            books.release(orders, row)

    def _replaced(self, record: bytes, at: i64, word: i64) -> None:
        books = self._books
        orders, levels = books.orders, books.levels
        instrument = (read_i64_le(record, at + 8) >> 32) & LOW
        self._advance(instrument, read_i64_le(record, at + 48))
        terms = read_i64_le(record, at + 24)
        leaves = (terms >> 32) & LOW
        row = self._find(orders, read_i64_le(record, at + 16))
        if (word >> 40) & 0xFF != 0:
            level = orders[row + LEVEL] & LOW
            self._touch(levels, level)
            levels[level + TOTAL] -= orders[row + LEAVES] - leaves
            orders[row + LEAVES] = leaves
            return
        books.dequeue(orders, levels, row)
        self._arriving_id = orders[row]
        self._arriving_row = row
        self._arriving_side_id = instrument * 2 + ((word >> 32) & 0xFF)
        self._arriving_price = terms & LOW
        self._arriving_leaves = leaves
        self._arriving_quantity = leaves

    def _settle(self) -> None:
        """The command's executions are told: what is left of its order comes into the book."""
        books = self._books
        left, price = self._arriving_leaves, self._arriving_price
        executed = self._arriving_quantity - left
        row = self._arriving_row
        if row != NIL:
            orders = books.orders
            orders[row + EXECUTED] += executed
            orders[row + LEAVES] = left
            if left == 0:
                books.release(orders, row)
            else:
                books.reserve()
                books.enqueue(books.orders, books.levels, row, self._arriving_side_id, price)
        elif left > 0:
            books.reserve()
            books.rest(
                books.orders,
                books.levels,
                self._arriving_id,
                self._arriving_side_id,
                price | (self._arriving_account << 32),
                left,
                executed,
                self._arriving_tif,
            )
        self._arriving_id = 0

    def _levels_changed(self, record: bytes, at: i64, word: i64) -> i64:
        """All levels that the command touched. Returns where the next event begins."""
        books = self._books
        if self._arriving_id != 0:
            self._settle()
        books.command_index = (word >> 16) & 0xFFFF
        books.out.truncate(0)
        books.flush_levels()
        made = books.out.getvalue()
        end = at + len(made)
        if len(made) == 0 or record[at:end] != made:
            raise ReplicaError(f"batch {read_i64_le(record, 8)}: the levels at {at} differ")
        return end

    def _administered(self, record: bytes, at: i64, word: i64, kind: i64) -> None:
        exchange, books = self._exchange, self._books
        number = (read_i64_le(record, at + 8) >> 32) & LOW
        if kind == TRADING_STATE_CHANGED:
            self._advance(number, read_i64_le(record, at + 16))
            books.instruments[number * INSTRUMENT_ROW + STATE] = (word >> 32) & 0xFF
        elif kind == INSTRUMENT_LISTED:
            exchange.add_instrument(number)
            rows, book = books.instruments, number * INSTRUMENT_ROW
            sizes = read_i64_le(record, at + 16)
            rows[book + LISTED], rows[book + TICK] = 1, sizes & LOW
            rows[book + LOT], rows[book + SYMBOL] = sizes >> 32, read_i64_le(record, at + 32)
            rows[book + STATE] = (word >> 32) & 0xFF
            self._advance(number, read_i64_le(record, at + 40))
        elif kind == ACCOUNT_UPDATED:
            account = read_i64_le(record, at + 8) & LOW
            exchange.add_account(account)
            books.accounts[account * ROW + KNOWN] = 1
        elif kind == CLOCK_TICKED:
            exchange.trading_time_ns = read_i64_le(record, at + 8)

    def _find(self, orders: vec[i64], order_id: i64) -> i64:
        row = self._books.find(orders, order_id)
        if row == NIL:
            raise ReplicaError(f"order {order_id} is not in the book")
        return row

    def _touch(self, levels: vec[i64], level: i64) -> None:
        if levels[level + TOUCHED] == 0:
            self._books.touch(levels, level)

    # --- views ------------------------------------------------------------------------------------

    def state(self) -> list[bytes]:
        """Books and accounts as chunks that `domain.snapshot.restore` takes; without client order
        ids, of which a replica has none."""
        return snapshot(self._exchange)

    @property
    def match_number(self) -> int:
        """Of the shard's newest match."""
        return self._books.match_number

    @property
    def books(self) -> Books:
        """The books themselves, to be read and not changed."""
        return self._books

    @property
    def shard(self) -> int:
        """The shard's number."""
        return self._exchange.shard

    @property
    def position(self) -> int:
        """Of the last batch applied."""
        return self._exchange.position

    @property
    def trading_time_ns(self) -> int:
        """Trading time, ns since 1970; 0 before the first tick."""
        return self._exchange.trading_time_ns

    @property
    def order_count(self) -> int:
        """How many orders rest in all books."""
        return self._books.order_count

    def instruments(self) -> list[int]:
        """The numbers of all listed instruments, ascending."""
        return self._exchange.instruments()

    def is_listed(self, instrument: int) -> bool:
        """Whether there is such an instrument."""
        return is_instrument(self._books, instrument)

    def symbol(self, instrument: int) -> bytes:
        """The instrument's symbol."""
        word = self._books.instruments[instrument * INSTRUMENT_ROW + SYMBOL]
        out: list[int] = []
        for shift in range(0, 64, 8):
            out.append((word >> shift) & 0xFF)
        return bytes(out).rstrip(b"\x00")

    def lot_size(self, instrument: int) -> int:
        """The instrument's lot."""
        return self._books.instruments[instrument * INSTRUMENT_ROW + LOT]

    def levels(self, instrument: int, side: int, depth: int = 0) -> list[tuple[int, int, int]]:
        """(price ticks, quantity, order count) of one side, best first; `depth` 0: all. Empty where
        the instrument is not listed.
        """
        return best_levels(self._books, instrument, side, depth)

    def orders(self, instrument: int) -> list[tuple[int, int, int, int]]:
        """(order id, side, price ticks, leaves quantity): bids, then asks, each in the order in
        which they would trade.
        """
        found: list[tuple[int, int, int, int]] = []
        for side in range(2):
            for order_id, _account, price, leaves in self._exchange.orders(instrument, side):
                found.append((order_id, side, price, leaves))
        return found

    def queue(self, instrument: int, side: int, count: int) -> list[tuple[int, int, int, int]]:
        """(order id, account, price ticks, leaves quantity) of the first `count` orders of one
        side, in the order in which they would trade."""
        found: list[tuple[int, int, int, int]] = []
        books = self._books
        if count < 1 or not is_instrument(books, instrument):
            return found
        level = books.instruments[instrument * INSTRUMENT_ROW + BEST_BID + side]
        while level != NIL:
            row = books.levels[level + HEAD]
            while row != NIL:
                terms = books.orders[row + PRICE_ACCOUNT]
                leaves = books.orders[row + LEAVES]
                found.append((books.orders[row], terms >> 32, terms & LOW, leaves))
                if len(found) == count:
                    return found
                row = books.orders[row + NEXT]
            level = next_level(books.levels, level)
        return found

    def book_sequence(self, instrument: int) -> int:
        """The number of the book's last event, 0 where the instrument is not listed."""
        return self._exchange.book_sequence(instrument)

    def trading_state(self, instrument: int) -> int:
        """The instrument's trading state code."""
        return self._exchange.trading_state(instrument)

    def last_trade(self, instrument: int) -> tuple[int, int, int, int, int] | None:
        """(match number, price ticks, quantity, aggressor's side, audit timestamp ns) of the newest
        match since the replica began, or None.
        """
        return self._last_trades.get(instrument)


def best_levels(books: Books, instrument: i64, side: i64, depth: i64) -> list[tuple[int, int, int]]:
    """(price ticks, quantity, order count) of the best `depth` levels of one side; 0: of all."""
    found: list[tuple[int, int, int]] = []
    if not is_instrument(books, instrument):
        return found
    levels = books.levels
    level = books.instruments[instrument * INSTRUMENT_ROW + BEST_BID + side]
    while level != NIL:
        found.append((levels[level] & LOW, levels[level + 1], levels[level + 2]))
        if len(found) == depth:
            break
        level = next_level(levels, level)
    return found
