"""ITCH 5.0 messages, MoldUDP64 packets and SoupBinTCP frames made from their specifications, by
other code than the product's on either side."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

PACKET_BYTES_MAX = 1_400


def _head(kind: str, locate: int, time_ns: int) -> bytes:
    return kind.encode() + struct.pack(">HH", locate, 0) + time_ns.to_bytes(6, "big")


def system_event(time_ns: int, event: str) -> bytes:
    return _head("S", 0, time_ns) + event.encode()


def stock_directory(locate: int, time_ns: int, symbol: str, round_lot: int = 1) -> bytes:
    text = symbol.ljust(8).encode()
    lot = struct.pack(">I", round_lot)
    after = b"N" + b"C" + b"Z " + b"P" + b"N" + b"N" + b"1" + b"N" + struct.pack(">I", 0) + b"N"
    return _head("R", locate, time_ns) + text + b"Q" + b"N" + lot + after


def trading_action(locate: int, time_ns: int, symbol: str, state: str) -> bytes:
    return _head("H", locate, time_ns) + symbol.ljust(8).encode() + state.encode() + b" " + b"    "


def add_order(
    locate: int, time_ns: int, reference: int, side: str, quantity: int, symbol: str, price: int
) -> bytes:
    terms = struct.pack(">Qc", reference, side.encode()) + struct.pack(">I", quantity)
    return _head("A", locate, time_ns) + terms + symbol.ljust(8).encode() + struct.pack(">I", price)


def executed(locate: int, time_ns: int, reference: int, quantity: int, match: int) -> bytes:
    return _head("E", locate, time_ns) + struct.pack(">QIQ", reference, quantity, match)


def executed_with_price(
    locate: int, time_ns: int, reference: int, quantity: int, match: int, printable: str, price: int
) -> bytes:
    terms = struct.pack(">QIQcI", reference, quantity, match, printable.encode(), price)
    return _head("C", locate, time_ns) + terms


def reduced(locate: int, time_ns: int, reference: int, quantity: int) -> bytes:
    return _head("X", locate, time_ns) + struct.pack(">QI", reference, quantity)


def deleted(locate: int, time_ns: int, reference: int) -> bytes:
    return _head("D", locate, time_ns) + struct.pack(">Q", reference)


def replaced(
    locate: int, time_ns: int, reference: int, new: int, quantity: int, price: int
) -> bytes:
    return _head("U", locate, time_ns) + struct.pack(">QQII", reference, new, quantity, price)


def hidden_trade(
    locate: int, time_ns: int, quantity: int, symbol: str, price: int, match: int
) -> bytes:
    terms = struct.pack(">QcI", 0, b"B", quantity) + symbol.ljust(8).encode()
    return _head("P", locate, time_ns) + terms + struct.pack(">IQ", price, match)


def framed(messages: Iterable[bytes]) -> bytes:
    """Each message after its length: a packet's body, a file."""
    return b"".join(struct.pack(">H", len(message)) + message for message in messages)


def packet(session: bytes, sequence: int, messages: list[bytes]) -> bytes:
    """One downstream packet; a heartbeat where there are no messages."""
    return session + struct.pack(">QH", sequence, len(messages)) + framed(messages)


def end_of_session(session: bytes, sequence: int) -> bytes:
    return session + struct.pack(">QH", sequence, 0xFFFF)


def packets(session: bytes, sequence: int, messages: Iterable[bytes]) -> Iterator[bytes]:
    """Packets of as many messages as fit."""
    waiting: list[bytes] = []
    room = PACKET_BYTES_MAX - 20
    for message in messages:
        if len(message) + 2 > room:
            yield packet(session, sequence, waiting)
            sequence += len(waiting)
            waiting, room = [], PACKET_BYTES_MAX - 20
        waiting.append(message)
        room -= len(message) + 2
    if waiting:
        yield packet(session, sequence, waiting)


def soup(kind: str, payload: bytes = b"") -> bytes:
    """One SoupBinTCP packet."""
    return struct.pack(">H", 1 + len(payload)) + kind.encode() + payload
