"""The bytes of each ITCH 5.0 message that the feed uses, each with its length before it, as a
MoldUDP64 packet carries it.

Guarantees: every field lies where "Nasdaq TotalView-ITCH 5.0" puts it, big-endian;
docs/multicast.md draws each message to the byte. Pure, and typed for mypyc: compiled or not, the
bytes are the same.

A message's first 8 bytes are one word: length u16, type u8, stock locate u16, tracking number u16
(always 0), and the highest byte of the timestamp."""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i16_be, write_i32_be, write_i64_be
from mypy_extensions import i16, i32, i64

LOW: Final = 0xFFFFFFFF
DAY_NS: Final = 86_400_000_000_000

# System event codes
START_OF_MESSAGES: Final = 0x4F  # O
START_OF_MARKET_HOURS: Final = 0x51  # Q
END_OF_MARKET_HOURS: Final = 0x4D  # M

# Trading states, by our codes: open, halted, cancel-only, closed. ITCH has one H for two of ours;
# the reason tells them apart.
TRADING_STATES: Final = b"THPH"
STATE_REASONS: Final = b"    HALTCXLOCLSD"

ADD_BYTES: Final = 36
EXECUTED_BYTES: Final = 31
CANCEL_BYTES: Final = 23
DELETE_BYTES: Final = 19
SYSTEM_BYTES: Final = 12
DIRECTORY_BYTES: Final = 39
ACTION_BYTES: Final = 25

TYPE_ADD: Final = 0x41
TYPE_EXECUTED: Final = 0x45
TYPE_CANCEL: Final = 0x58
TYPE_DELETE: Final = 0x44
TYPE_SYSTEM: Final = 0x53
TYPE_DIRECTORY: Final = 0x52
TYPE_ACTION: Final = 0x48

BUY_BYTE: Final = 0x42
SELL_BYTE: Final = 0x53
YES: Final = 0x59
NO: Final = 0x4E


def write_u32(out: BytesWriter, value: i64) -> None:
    """Write 0 to 2**32 - 1."""
    write_i32_be(out, i32(value - ((value >> 31) << 32)))


def write_head(out: BytesWriter, size: i64, kind: i64, locate: i64, time_ns: i64) -> None:
    """Length, type, locate, tracking number and the 48-bit timestamp, ns since midnight."""
    write_i64_be(out, (size << 48) | (kind << 40) | (locate << 24) | (time_ns >> 40))
    write_u32(out, (time_ns >> 8) & LOW)
    out.append(time_ns & 0xFF)


def write_add(
    out: BytesWriter,
    locate: i64,
    time_ns: i64,
    order_id: i64,
    side: i64,
    quantity: i64,
    symbol: i64,
    price: i64,
) -> None:
    """A: an order rests. Reference u64, B or S, shares u32, stock 8, price u32."""
    write_head(out, ADD_BYTES, TYPE_ADD, locate, time_ns)
    write_i64_be(out, order_id)
    out.append(BUY_BYTE if side == 0 else SELL_BYTE)
    write_i32_be(out, i32(quantity))
    write_i64_be(out, symbol)
    write_u32(out, price)


def write_executed(
    out: BytesWriter, locate: i64, time_ns: i64, order_id: i64, quantity: i64, match_number: i64
) -> None:
    """E: a resting order traded at its own price. Reference u64, shares u32, match number u64."""
    write_head(out, EXECUTED_BYTES, TYPE_EXECUTED, locate, time_ns)
    write_i64_be(out, order_id)
    write_i32_be(out, i32(quantity))
    write_i64_be(out, match_number)


def write_cancel(out: BytesWriter, locate: i64, time_ns: i64, order_id: i64, quantity: i64) -> None:
    """X: part of a resting order is taken off, its place kept. Reference u64, shares u32."""
    write_head(out, CANCEL_BYTES, TYPE_CANCEL, locate, time_ns)
    write_i64_be(out, order_id)
    write_i32_be(out, i32(quantity))


def write_delete(out: BytesWriter, locate: i64, time_ns: i64, order_id: i64) -> None:
    """D: a resting order is gone. Reference u64."""
    write_head(out, DELETE_BYTES, TYPE_DELETE, locate, time_ns)
    write_i64_be(out, order_id)


def write_system(out: BytesWriter, time_ns: i64, code: i64) -> None:
    """S: a system event of the whole shard (locate 0). Event code."""
    write_head(out, SYSTEM_BYTES, TYPE_SYSTEM, 0, time_ns)
    out.append(code)


def write_directory(
    out: BytesWriter, locate: i64, time_ns: i64, symbol: i64, lot_size: i64
) -> None:
    """R: an instrument. Stock 8, then what the exchange knows of it: round lot size u32, round lots
    only. Category, status, threshold, IPO flag and tier are blank (not available), classification
    C (common stock), sub-type Z (not applicable), authenticity P (production), no ETP.
    """
    write_head(out, DIRECTORY_BYTES, TYPE_DIRECTORY, locate, time_ns)
    write_i64_be(out, symbol)
    write_i16_be(out, i16(0x2020))
    write_i32_be(out, i32(lot_size))
    out.append(YES if lot_size > 1 else NO)
    out.write(b"CZ P   N")
    write_i32_be(out, i32(0))
    out.append(NO)


def write_action(out: BytesWriter, locate: i64, time_ns: i64, symbol: i64, state: i64) -> None:
    """H: an instrument's trading state. Stock 8, state, reserved, reason 4."""
    write_head(out, ACTION_BYTES, TYPE_ACTION, locate, time_ns)
    write_i64_be(out, symbol)
    out.append(TRADING_STATES[state])
    out.append(0x20)
    out.write(STATE_REASONS[state * 4 : state * 4 + 4])


def stock_of(symbol: i64) -> i64:
    """A symbol as event records hold it (8 bytes, first one lowest, NUL at the end) as ITCH writes
    it: first one highest, padded with spaces.
    """
    word: i64 = 0
    shift: i64 = 0
    while shift < 64:
        byte = (symbol >> shift) & 0xFF
        word = (word << 8) | (byte if byte != 0 else 0x20)
        shift += 8
    return word
