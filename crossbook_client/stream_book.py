"""A book kept from the stream's `level2` channel: a snapshot, then deltas.

Guarantees: a delta is applied only where it continues the last message, and a checksum that came
with it is compared; where either fails the book says so by an exception and is not to be used until
its next snapshot.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from crossbook_client.models import Level

CHECKSUM_LEVELS = 10


class BrokenChainError(Exception):
    """A message does not continue the last one, or a checksum is another: subscribe again."""


class _Side:
    """Levels of one side by price in 1/10,000 dollar, kept in order, best first. A bid's key is
    negative."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[int] = []
        self._levels: dict[int, tuple[str, int, int]] = {}

    def clear(self) -> None:
        self._keys.clear()
        self._levels.clear()

    def set(self, price: str, quantity: int, order_count: int) -> None:
        key = self._sign * int(price.replace(".", ""))
        known = key in self._levels
        if quantity:
            self._levels[key] = (price, quantity, order_count)
            if not known:
                insort(self._keys, key)
        elif known:
            del self._levels[key]
            del self._keys[bisect_left(self._keys, key)]

    def levels(self, depth: int | None = None) -> list[Level]:
        found = (self._levels[key] for key in self._keys[:depth])
        return [Level(Decimal(price), quantity, count) for price, quantity, count in found]

    def text(self) -> str:
        top = (self._levels[key] for key in self._keys[:CHECKSUM_LEVELS])
        return ";".join(f"{price}:{quantity}" for price, quantity, _ in top)


class LiveBook:
    """One symbol's book as of `sequence`. `verified` is the last sequence whose checksum agreed;
    `conflated` counts the snapshots that were sent because this client was too slow."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.sequence = 0
        self.verified = 0
        self.conflated = 0
        self._bids = _Side(-1)
        self._asks = _Side(1)

    @property
    def bids(self) -> list[Level]:
        """All bids, best first."""
        return self._bids.levels()

    @property
    def asks(self) -> list[Level]:
        """All asks, best first."""
        return self._asks.levels()

    @property
    def best_bid(self) -> Level | None:
        """The best bid."""
        return next(iter(self._bids.levels(1)), None)

    @property
    def best_ask(self) -> Level | None:
        """The best ask."""
        return next(iter(self._asks.levels(1)), None)

    @property
    def checksum(self) -> int:
        """CRC-32 of the top ten levels, as docs/stream.md defines it."""
        return zlib.crc32(f"{self._bids.text()}|{self._asks.text()}".encode("ascii"))

    def take_snapshot(self, message: Mapping[str, Any]) -> None:
        """Become what a snapshot says. Raises BrokenChainError where its checksum is another."""
        self._bids.clear()
        self._asks.clear()
        self.conflated += bool(message.get("conflated"))
        self._set(message)

    def take_delta(self, message: Mapping[str, Any]) -> None:
        """Apply a delta. Raises BrokenChainError where it is not the next one, or the checksum
        differs."""
        if int(message["previous_sequence"]) != self.sequence:
            raise BrokenChainError(
                f"{self.symbol}: {message['previous_sequence']} does not follow {self.sequence}"
            )
        self._set(message)

    def _set(self, message: Mapping[str, Any]) -> None:
        for side, levels in ((self._bids, message["bids"]), (self._asks, message["asks"])):
            _set_levels(side, levels)
        self.sequence = int(message["sequence"])
        told = message.get("checksum")
        if told is None:
            return
        if told != self.checksum:
            raise BrokenChainError(
                f"{self.symbol}: the checksum of {self.sequence} is {told}, ours {self.checksum}"
            )
        self.verified = self.sequence


def _set_levels(side: _Side, levels: Sequence[Sequence[Any]]) -> None:
    for price, quantity, order_count in levels:
        side.set(price, quantity, order_count)
