"""Rows of PostgreSQL's binary COPY: the columns of every table that is filled so, and how one value
is written. Typed for mypyc.

Guarantees: the order of `COLUMNS` is the order in which the row encoders write, and `WIDTHS` the
count that each row begins with.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i16_be, write_i32_be, write_i64_be
from mypy_extensions import i16, i32, i64

COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TAIL: Final = b"\xff\xff"
DAY_NS: Final = 86_400_000_000_000
DAYS_TO_2000: Final = 10_957  # PostgreSQL counts days from 2000-01-01

COLUMNS: Final = {
    "orders": (
        "order_id, trading_day, shard, account, instrument, client_order_id, side, order_type,"
        " time_in_force, price_ticks, quantity, executed_quantity, leaves_quantity, executed_value,"
        " status, reason, accepted_position, updated_position, accepted_at_ns, updated_at_ns,"
        " trading_time_ns, updated_trading_time_ns"
    ),
    "order_changes": (
        "order_id, price_ticks, quantity, executed_quantity, leaves_quantity, executed_value,"
        " status, reason, updated_position, updated_at_ns, updated_trading_time_ns"
    ),
    "executions": (
        "order_id, match_number, trading_day, shard, account, instrument, side, liquidity,"
        " price_ticks, quantity, leaves_quantity, book_sequence, position, executed_at_ns,"
        " trading_time_ns"
    ),
    "trades": (
        "instrument, match_number, trading_day, shard, aggressor_side, price_ticks, quantity,"
        " book_sequence, position, executed_at_ns, trading_time_ns"
    ),
    "order_steps": (
        "order_id, position, command_index, trading_day, shard, account, instrument, step, side,"
        " reason, kept_priority, price_ticks, leaves_quantity, previous_price_ticks,"
        " previous_leaves_quantity, executed_quantity, book_sequence, occurred_at_ns,"
        " trading_time_ns"
    ),
    "level_changes": (
        "instrument, position, trading_day, shard, last_sequence, changes, occurred_at_ns,"
        " trading_time_ns"
    ),
}
WIDTHS: Final = {table: columns.count(",") + 1 for table, columns in COLUMNS.items()}


def new_image() -> BytesWriter:
    """An image without rows."""
    out = BytesWriter()
    out.write(COPY_HEAD)
    return out


def put_long(out: BytesWriter, value: i64) -> None:
    """A bigint."""
    write_i32_be(out, 8)
    write_i64_be(out, value)


def put_short(out: BytesWriter, value: i64) -> None:
    """A smallint."""
    write_i32_be(out, 2)
    write_i16_be(out, i16(value))


def put_day(out: BytesWriter, day: i64) -> None:
    """A date, as days since 1970."""
    write_i32_be(out, 4)
    write_i32_be(out, i32(day - DAYS_TO_2000))


def put_null(out: BytesWriter) -> None:
    """No value."""
    write_i32_be(out, -1)


def put_bytes(out: BytesWriter, value: bytes) -> None:
    """A text or bytea; NULL where it is empty."""
    length: i64 = len(value)
    write_i32_be(out, i32(length) if length > 0 else -1)
    out.write(value)
