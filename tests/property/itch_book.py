"""ITCH 5.0 and MoldUDP64, read independently of what writes them: plain `struct`, plain dicts.

A book refuses what no exchange sends: an order added twice, more executed than there is, an unknown
reference or instrument, a symbol that is not its instrument's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

HEADER = struct.Struct(">10sQH")
FORMATS = {
    "S": struct.Struct(">cHH6sc"),
    "R": struct.Struct(">cHH6s8sccIcc2scccccIc"),
    "H": struct.Struct(">cHH6s8scc4s"),
    "A": struct.Struct(">cHH6sQcI8sI"),
    "E": struct.Struct(">cHH6sQIQ"),
    "X": struct.Struct(">cHH6sQI"),
    "D": struct.Struct(">cHH6sQ"),
}


def messages_of(blocks: bytes) -> list[bytes]:
    """The messages of a packet's blocks, which must end with the last of them."""
    found, at = [], 0
    while at < len(blocks):
        (size,) = struct.unpack_from(">H", blocks, at)
        found.append(blocks[at + 2 : at + 2 + size])
        at += 2 + size
    assert at == len(blocks)
    return found


def unpack(packet: bytes) -> tuple[bytes, int, list[bytes]]:
    """(session, sequence, messages) of a packet with as many messages as it says."""
    session, sequence, count = HEADER.unpack_from(packet)
    messages = messages_of(packet[HEADER.size :])
    assert len(messages) == count
    return session, sequence, messages


@dataclass
class Order:
    """A resting order as the feed tells of it."""

    locate: int
    side: str
    price: int
    shares: int


@dataclass
class ItchMarket:
    """What one session's messages come to."""

    symbols: dict[int, bytes] = field(default_factory=dict)
    lots: dict[int, int] = field(default_factory=dict)
    states: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)  # in the order in which they were added
    system: list[str] = field(default_factory=list)
    time_ns: int = 0
    matches: list[tuple[int, int, int]] = field(default_factory=list)  # number, shares, price
    counts: dict[str, int] = field(default_factory=dict)

    def apply(self, message: bytes) -> None:
        """One message."""
        kind = chr(message[0])
        fields = FORMATS[kind].unpack(message)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        locate, tracking, self.time_ns = fields[1], fields[2], int.from_bytes(fields[3], "big")
        assert tracking == 0
        assert self.time_ns < 86_400 * 10**9
        rest = fields[4:]
        if kind == "S":
            assert locate == 0
            self.system.append(rest[0].decode())
        elif kind == "R":
            self._listed(locate, rest)
        elif kind == "H":
            assert rest[0] == self.symbols[locate]
            self.states[locate] = (rest[1].decode(), rest[3])
        else:
            self._order(kind, locate, rest)

    def _listed(self, locate: int, rest: tuple) -> None:  # type: ignore[type-arg]
        assert locate not in self.symbols
        symbol, category, status, lot, only, cls, sub, real, ssr, ipo, tier, etp, lever, inverse = (
            rest
        )
        assert (category, status, cls, sub, real) == (b" ", b" ", b"C", b"Z ", b"P")
        assert (ssr, ipo, tier, etp, lever, inverse) == (b" ", b" ", b" ", b"N", 0, b"N")
        assert only == (b"Y" if lot > 1 else b"N")
        self.symbols[locate], self.lots[locate] = symbol, lot

    def _order(self, kind: str, locate: int, rest: tuple) -> None:  # type: ignore[type-arg]
        reference = rest[0]
        if kind == "A":
            _, side, shares, symbol, price = rest
            assert reference not in self.orders
            assert symbol == self.symbols[locate]
            assert shares > 0
            self.orders[reference] = Order(locate, side.decode(), price, shares)
            return
        order = self.orders[reference]
        assert order.locate == locate
        if kind == "D":
            del self.orders[reference]
            return
        assert 0 < rest[1] <= order.shares
        order.shares -= rest[1]
        if kind == "E":
            self.matches.append((rest[2], rest[1], order.price))
            if order.shares == 0:
                del self.orders[reference]
        else:
            assert order.shares > 0

    def book(self, locate: int) -> list[tuple[int, str, int, int]]:
        """(reference, side, price, shares): bids, then asks, each in the order of trading."""
        mine = [(ref, each) for ref, each in self.orders.items() if each.locate == locate]
        bids = sorted((e for e in mine if e[1].side == "B"), key=lambda each: -each[1].price)
        asks = sorted((e for e in mine if e[1].side == "S"), key=lambda each: each[1].price)
        return [(ref, each.side, each.price, each.shares) for ref, each in bids + asks]
