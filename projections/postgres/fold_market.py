"""What a run of event batches adds to the market's own tables: each instrument's day in figures,
and the level changes of each batch and instrument, packed. Pure, and typed for mypyc.

A packed level change is 24 bytes, little-endian: price ticks u32, order count u32; quantity × 2 +
side (0 bid, 1 ask) i64; book sequence i64. All quantities are absolute, as in `LevelChanged`.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, read_i64_le, write_i16_be, write_i64_le
from mypy_extensions import i16, i64

from projections.postgres.copy_rows import (
    WIDTHS,
    new_image,
    put_bytes,
    put_day,
    put_long,
    put_short,
)

LEVEL_CHANGE_BYTES: Final = 24
LOW: Final = 0xFFFFFFFF


@final
class Summary:
    """One instrument's trades of a run: prices in ticks, `value` is the sum of price × quantity (it
    may pass 64 bits)."""

    def __init__(self, instrument: i64, price: i64, match_number: i64, at_ns: i64) -> None:
        self.instrument: i64 = instrument
        self.open_ticks: i64 = price
        self.high_ticks: i64 = price
        self.low_ticks: i64 = price
        self.close_ticks: i64 = price
        self.volume: i64 = 0
        self.value: int = 0
        self.trade_count: i64 = 0
        self.first_match_number: i64 = match_number
        self.last_match_number: i64 = match_number
        self.first_executed_at_ns: i64 = at_ns
        self.last_executed_at_ns: i64 = at_ns

    def add(self, price: i64, quantity: i64, match_number: i64, at_ns: i64) -> None:
        """Count one match more. The gateways' clocks, and so `at_ns`, may go back."""
        if price > self.high_ticks:
            self.high_ticks = price
        if price < self.low_ticks:
            self.low_ticks = price
        self.close_ticks = price
        self.volume += quantity
        self.value += int(price) * int(quantity)
        self.trade_count += 1
        self.last_match_number = match_number
        if at_ns < self.first_executed_at_ns:
            self.first_executed_at_ns = at_ns
        if at_ns > self.last_executed_at_ns:
            self.last_executed_at_ns = at_ns


@final
class BookChanges:
    """One instrument's level changes of one batch."""

    def __init__(self) -> None:
        self.packed = BytesWriter()
        self.last_sequence: i64 = 0


@final
class LevelRows:
    """The rows of `level_changes`: one an instrument and batch that changed its book."""

    def __init__(self, shard: i64, day: i64) -> None:
        self.shard: i64 = shard
        self.day: i64 = day
        self.image = new_image()
        self.count: i64 = 0
        self.width: i64 = WIDTHS["level_changes"]
        self.books: dict[int, BookChanges] = {}
        self.at_instrument: i64 = -1
        self.at = BookChanges()

    def add(self, record: bytes, at: i64, side: i64) -> None:
        """Take the LevelChanged at byte `at`."""
        place = read_i64_le(record, at + 8)
        instrument = (place >> 32) & LOW
        if instrument != self.at_instrument:
            found = self.books.get(instrument)
            if found is None:
                found = BookChanges()
                self.books[instrument] = found
            self.at = found
            self.at_instrument = instrument
        sequence = read_i64_le(record, at + 32)
        out = self.at.packed
        write_i64_le(out, read_i64_le(record, at + 16) | ((place & LOW) << 32))
        write_i64_le(out, (read_i64_le(record, at + 24) << 1) | side)
        write_i64_le(out, sequence)
        self.at.last_sequence = sequence

    def end_batch(self, position: i64, occurred_at_ns: i64, trading_time_ns: i64) -> None:
        """Write the rows of the batch that ends."""
        out = self.image
        for instrument, changes in self.books.items():
            write_i16_be(out, i16(self.width))
            put_long(out, instrument)
            put_long(out, position)
            put_day(out, self.day)
            put_short(out, self.shard)
            put_long(out, changes.last_sequence)
            put_bytes(out, changes.packed.getvalue())
            put_long(out, occurred_at_ns)
            put_long(out, trading_time_ns)
            self.count += 1
        self.books = {}
        self.at_instrument = -1
