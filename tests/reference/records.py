"""Command bytes by `struct`, for values that no honest writer sends.

Independent of the writers of `domain.wire`: each record is spelled out from that module's drawing,
so that the two check each other. Every field may have any value that fits its place.
"""

from __future__ import annotations

import struct
import zlib

from domain.commands import (
    CancelOrder,
    ClockTick,
    Command,
    ListInstrument,
    MassCancel,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)


def padded(text: bytes) -> bytes:
    """NUL to the next whole word."""
    return text + bytes(-len(text) % 8)


def head(kind: int, words: int, text: bytes = b"", flags: int = 0, *params: int) -> bytes:
    """The first word; `text` is the client order id that follows the record's fixed words."""
    shape = bytes(params) + bytes(4 - len(params))
    return bytes([kind, words + len(padded(text)) // 8, len(text), flags]) + shape


def record_of(command: Command) -> bytes:
    """The record of one command."""
    match command:
        case SubmitOrder(account, instrument, side, order_type, tif, price, quantity, text):
            fixed = struct.pack("<4I", account, instrument, price, quantity)
            return head(1, 3, text, 0, side, order_type, tif) + fixed + padded(text)
        case CancelOrder(account, instrument, order_id, text):
            return (
                head(2, 3, text) + struct.pack("<2Iq", account, instrument, order_id) + padded(text)
            )
        case ReplaceOrder(account, instrument, order_id, price, quantity, flags, text):
            fixed = struct.pack("<2Iq2I", account, instrument, order_id, price, quantity)
            return head(3, 4, text, flags) + fixed + padded(text)
        case MassCancel(account, instrument, side):
            return head(4, 2, b"", 0, side) + struct.pack("<2I", account, instrument)
        case SetTradingState(instrument, state):
            return head(5, 2, b"", 0, state) + struct.pack("<2I", 0, instrument)
        case ClockTick(time_ns):
            return head(6, 2) + struct.pack("<q", time_ns)
        case ListInstrument(instrument, symbol, tick, lot, collar, state):
            fixed = struct.pack("<4IQ8s", 0, instrument, tick, lot, collar, symbol)
            return head(7, 5, b"", 0, state) + fixed
        case SetAccount(account, open_orders_max, killed):
            return head(8, 3, b"", int(killed)) + struct.pack("<2Q", account, open_orders_max)


def batch_of(
    records: list[bytes],
    *,
    session: bytes,
    batch_number: int,
    version: int = 1,
    rules_version: int = 1,
    audit_timestamp_ns: int = 0,
) -> bytes:
    """A CommandBatch around records, with a right checksum whatever they hold."""
    numbers = struct.pack("<HHI", version, rules_version, len(records))
    tail = numbers + session + struct.pack("<qq", batch_number, audit_timestamp_ns)
    sealed = tail + b"".join(records)
    return b"XBC1" + struct.pack("<I", zlib.crc32(sealed)) + sealed
