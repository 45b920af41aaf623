"""What a group of event batches does to the books in Redis, as MessagePack for the scripts.

Guarantees: every change of a level is in the delta, in order; a level that changed often in the
group is written once. Pure, and typed for mypyc.

The blob is an array with one array per instrument, all strings: instrument, book sequence before,
book sequence after, [field, value, …] of the book's hash, then for bids and for asks
[price, "quantity:count", …] and [price gone, …], then the delta, which is MessagePack itself:
[previous sequence, position, audit timestamp ns, [[sequence, side, price, quantity, count], …],
[[sequence, match number, price, quantity, aggressor's side, executed at ns], …], [[sequence,
state], …]].
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import (
    BytesWriter,
    read_i64_le,
    write_i16_be,
    write_i32_be,
    write_i64_be,
)
from mypy_extensions import i16, i32, i64

from domain.event_records import (
    INSTRUMENT_LISTED,
    LEVEL_CHANGED,
    ORDER_ACCEPTED,
    ORDER_CANCELLED,
    ORDER_EXECUTED,
    ORDER_EXPIRED,
    ORDER_REPLACED,
    TRADING_STATE_CHANGED,
)

EVENT_HEADER_BYTES: Final = 112
LOW: Final = 0xFFFFFFFF
NO_STATE: Final = -1


@final
class BookChange:
    """What the group did to one book: the parts of its delta, and each touched level as it is
    now."""

    def __init__(self, instrument: i64, previous_sequence: i64) -> None:
        self.instrument: i64 = instrument
        self.previous_sequence: i64 = previous_sequence
        self.sequence: i64 = previous_sequence
        self.levels: dict[int, Level] = {}
        self.level_changes = BytesWriter()
        self.level_count: i64 = 0
        self.trades = BytesWriter()
        self.trade_count: i64 = 0
        self.states = BytesWriter()
        self.state_count: i64 = 0
        self.state: i64 = NO_STATE
        self.last_trade: list[int] = []


@final
class Level:
    """One price level as it is now; a quantity of 0 means that it is gone."""

    def __init__(self, side: i64, price_ticks: i64) -> None:
        self.side: i64 = side
        self.price_ticks: i64 = price_ticks
        self.quantity: i64 = 0
        self.order_count: i64 = 0


@final
class Books:
    """The books that a group touched, and the batch that is being folded."""

    def __init__(self) -> None:
        self.changes: dict[int, BookChange] = {}
        self.position: i64 = 0
        self.audit_timestamp_ns: i64 = 0


def fold(records: list[bytes]) -> bytes:
    """Fold whole EventBatch records of one shard, in order of position, into the scripts' blob."""
    books = Books()
    for record in records:
        books.position = read_i64_le(record, 8)
        books.audit_timestamp_ns = read_i64_le(record, 48)
        at: i64 = EVENT_HEADER_BYTES
        size: i64 = len(record)
        while at < size:
            word = read_i64_le(record, at)
            _fold_event(books, record, at, word)
            at += ((word >> 8) & 0xFF) << 3
    out = BytesWriter()
    _array(out, len(books.changes))
    for change in books.changes.values():
        _write_change(out, books, change)
    return out.getvalue()


def _fold_event(books: Books, record: bytes, at: i64, word: i64) -> None:
    kind = word & 0xFF
    if kind == LEVEL_CHANGED:
        _level(books, record, at, word)
    elif kind == ORDER_EXECUTED:
        _trade(books, record, at, word)
    elif kind == ORDER_ACCEPTED or kind == ORDER_CANCELLED or kind == ORDER_EXPIRED:
        instrument = (read_i64_le(record, at + 8) >> 32) & LOW
        _book(books, instrument, read_i64_le(record, at + 32))
    elif kind == ORDER_REPLACED:
        instrument = (read_i64_le(record, at + 8) >> 32) & LOW
        _book(books, instrument, read_i64_le(record, at + 48))
    elif kind == TRADING_STATE_CHANGED or kind == INSTRUMENT_LISTED:
        instrument = (read_i64_le(record, at + 8) >> 32) & LOW
        place: i64 = 16 if kind == TRADING_STATE_CHANGED else 40
        change = _book(books, instrument, read_i64_le(record, at + place))
        change.state = (word >> 32) & 0xFF
        _array(change.states, 2)
        _integer(change.states, change.sequence)
        _integer(change.states, change.state)
        change.state_count += 1


def _book(books: Books, instrument: i64, sequence: i64) -> BookChange:
    """The book's change, moved on to `sequence`."""
    change = books.changes.get(instrument)
    if change is None:
        change = BookChange(instrument, sequence - 1)
        books.changes[instrument] = change
    change.sequence = sequence
    return change


def _level(books: Books, record: bytes, at: i64, word: i64) -> None:
    place = read_i64_le(record, at + 8)
    change = _book(books, (place >> 32) & LOW, read_i64_le(record, at + 32))
    side = (word >> 32) & 0xFF
    price = read_i64_le(record, at + 16)
    key = price * 2 + side
    level = change.levels.get(key)
    if level is None:
        level = Level(side, price)
        change.levels[key] = level
    level.quantity = read_i64_le(record, at + 24)
    level.order_count = place & LOW
    out = change.level_changes
    _array(out, 5)
    _integer(out, change.sequence)
    _integer(out, side)
    _integer(out, price)
    _integer(out, level.quantity)
    _integer(out, level.order_count)
    change.level_count += 1


def _trade(books: Books, record: bytes, at: i64, word: i64) -> None:
    change = _book(books, read_i64_le(record, at + 64), read_i64_le(record, at + 56))
    terms = read_i64_le(record, at + 40)
    price, quantity = terms & LOW, (terms >> 32) & LOW
    match_number = read_i64_le(record, at + 48)
    side = (word >> 32) & 0xFF
    out = change.trades
    _array(out, 6)
    _integer(out, change.sequence)
    _integer(out, match_number)
    _integer(out, price)
    _integer(out, quantity)
    _integer(out, side)
    _integer(out, books.audit_timestamp_ns)
    change.trade_count += 1
    change.last_trade = [match_number, price, quantity, side, books.audit_timestamp_ns]


def _write_change(out: BytesWriter, books: Books, change: BookChange) -> None:
    _array(out, 9)
    _text(out, change.instrument)
    _text(out, change.previous_sequence)
    _text(out, change.sequence)
    _write_fields(out, books, change)
    for side in range(2):
        _write_levels(out, change, side)
    delta = BytesWriter()
    _array(delta, 6)
    _integer(delta, change.previous_sequence)
    _integer(delta, books.position)
    _integer(delta, books.audit_timestamp_ns)
    _array(delta, change.level_count)
    delta.write(change.level_changes.getvalue())
    _array(delta, change.trade_count)
    delta.write(change.trades.getvalue())
    _array(delta, change.state_count)
    delta.write(change.states.getvalue())
    _string(out, delta.getvalue())


def _write_fields(out: BytesWriter, books: Books, change: BookChange) -> None:
    """The fields of the book's hash that changed."""
    pairs: i64 = 1
    if change.state != NO_STATE:
        pairs += 1
    if len(change.last_trade) > 0:
        pairs += 1
    _array(out, pairs * 2)
    _string(out, b"sequence")
    _text(out, change.sequence)
    if change.state != NO_STATE:
        _string(out, b"state")
        _text(out, change.state)
    if len(change.last_trade) > 0:
        _string(out, b"last_trade")
        _string(out, ":".join([str(value) for value in change.last_trade]).encode())


def _write_levels(out: BytesWriter, change: BookChange, side: i64) -> None:
    """The touched levels of one side that are there, then those that are gone."""
    there = BytesWriter()
    gone = BytesWriter()
    there_count: i64 = 0
    gone_count: i64 = 0
    for level in change.levels.values():
        if level.side != side:
            continue
        if level.quantity > 0:
            _text(there, level.price_ticks)
            _string(there, f"{level.quantity}:{level.order_count}".encode())
            there_count += 1
        else:
            _text(gone, level.price_ticks)
            gone_count += 1
    _array(out, there_count * 2)
    out.write(there.getvalue())
    _array(out, gone_count)
    out.write(gone.getvalue())


# --- MessagePack: arrays, strings and integers from 0 to 2**63 - 1
# ---------------------------------


def _array(out: BytesWriter, length: i64) -> None:
    if length < 16:
        out.append(0x90 | length)
    else:
        out.append(0xDD)
        write_i32_be(out, i32(length))


def _string(out: BytesWriter, value: bytes) -> None:
    length: i64 = len(value)
    if length < 32:
        out.append(0xA0 | length)
    else:
        out.append(0xDB)
        write_i32_be(out, i32(length))
    out.write(value)


def _text(out: BytesWriter, value: i64) -> None:
    """An integer as decimal digits: Lua would make a float of it."""
    _string(out, str(value).encode())


def _integer(out: BytesWriter, value: i64) -> None:
    if value < 0x80:
        out.append(value)
    elif value < 0x8000:
        out.append(0xCD)
        write_i16_be(out, i16(value))
    elif value < 0x80000000:
        out.append(0xCE)
        write_i32_be(out, i32(value))
    else:
        out.append(0xD3)
        write_i64_be(out, value)
