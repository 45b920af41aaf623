"""The load of `benchmarks.pipeline`: batches made before the clock starts, and a cheap HTTP client.

Guarantees: every command is valid when it is applied in order, so nothing is refused. Each
connection has symbols of its own, so what trades does not depend on how connections interleave.

A batch of 500 holds 250 submits (200 that rest, 25 pairs of a maker and the order that trades with
half of it: a fifth of the submits trade), 225 cancels (200 of orders that rest, 25 of the makers'
other halves) and 25 replaces. So as many orders end as begin, and the book stays as it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

BATCH_COMMANDS: Final = 500
PAIRS: Final = 25
RESTING: Final = 200
CANCELS: Final = 200
REPLACES: Final = 25
SUBMITS_PER_BATCH: Final = 2 * PAIRS + RESTING
RESTING_PER_SYMBOL: Final = 40
LEVELS: Final = 20
SUBMIT_HEAD: Final = '{"op":"submit"'
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
assert 3 * PAIRS + RESTING + CANCELS + REPLACES == BATCH_COMMANDS


@dataclass(frozen=True, slots=True)
class LoadSymbol:
    """A symbol and the price in whole cents about which its orders lie."""

    symbol: str
    middle_cents: int


@dataclass(slots=True)
class Batch:
    """One request: its body, and of its submits the client order ids and places, in order."""

    body: bytes
    client_order_ids: list[str]
    submits_at: list[int]


class Load:
    """One connection's batches, in the order in which they must be sent."""

    def __init__(self, symbols: list[LoadSymbol], name: str, seed: int) -> None:
        self._symbols = symbols
        self._name = name
        self._random = Random(seed)
        self._count = 0
        self._resting: deque[tuple[str, str]] = deque()  # (symbol, client order id), oldest first
        self._half_filled: dict[str, str] = {}
        self._next_pair = 0
        self._fresh: list[str] = []

    def opening(self) -> Batch:
        """The book that is there before the clock starts."""
        items = [
            self._rest(symbol, at % 2 == 0)
            for at in range(RESTING_PER_SYMBOL)
            for symbol in self._symbols
        ]
        return self._sealed(items)

    def batches(self, count: int) -> list[Batch]:
        """The next `count` batches."""
        return [self._sealed(list(self._batch())) for _ in range(count)]

    def single(self) -> tuple[bytes, str]:
        """The body of one order that rests, and its client order id."""
        symbol = self._symbols[self._count % len(self._symbols)]
        body = self._rest(symbol, self._count % 2 == 0).replace('"op":"submit",', "", 1)
        return body.encode(), self._fresh.pop()

    def _batch(self) -> Iterator[str]:
        kinds = ["pair"] * PAIRS + ["rest"] * RESTING + ["cancel"] * CANCELS
        kinds += ["replace"] * REPLACES
        self._random.shuffle(kinds)
        for kind in kinds:
            if kind == "rest":
                yield self._rest(self._random.choice(self._symbols), self._random.random() < 0.5)
            elif kind == "cancel":
                yield self._cancel(*self._resting.popleft())
            elif kind == "replace":
                yield self._replace()
            else:
                yield from self._pair()

    def _rest(self, symbol: LoadSymbol, buy: bool) -> str:
        away = 1 + self._random.randrange(LEVELS)
        cents = symbol.middle_cents + (-away if buy else away)
        name = self._submitted()
        self._resting.append((symbol.symbol, name))
        return submit_item(symbol.symbol, buy, cents, 100, name)

    def _pair(self) -> Iterator[str]:
        """Cancel what the symbol's last pair left, rest a maker alone at the middle, trade half."""
        symbol = self._symbols[self._next_pair % len(self._symbols)]
        self._next_pair += 1
        left = self._half_filled.get(symbol.symbol)
        if left is None:
            yield self._cancel(*self._resting.popleft())
        else:
            yield self._cancel(symbol.symbol, left)
        buy = self._random.random() < 0.5
        maker, aggressor = self._submitted(), self._submitted()
        self._half_filled[symbol.symbol] = maker
        yield submit_item(symbol.symbol, buy, symbol.middle_cents, 100, maker)
        yield submit_item(symbol.symbol, not buy, symbol.middle_cents, 50, aggressor)

    def _replace(self) -> str:
        """Less quantity, in its place; not of the oldest, which are about to be cancelled."""
        at = self._random.randrange(len(self._resting) // 2, len(self._resting))
        symbol, name = self._resting[at]
        quantity = 50 + self._random.randrange(50)
        return (
            f'{{"op":"replace","symbol":"{symbol}","client_order_id":"{name}",'
            f'"quantity":{quantity}}}'
        )

    def _cancel(self, symbol: str, name: str) -> str:
        return f'{{"op":"cancel","symbol":"{symbol}","client_order_id":"{name}"}}'

    def _submitted(self) -> str:
        self._count += 1
        name = f"{self._name}{self._count:x}"
        self._fresh.append(name)
        return name

    def _sealed(self, items: list[str]) -> Batch:
        names, self._fresh = self._fresh, []
        submits_at = [at for at, item in enumerate(items) if item.startswith(SUBMIT_HEAD)]
        return Batch(('{"commands":[' + ",".join(items) + "]}").encode(), names, submits_at)


def submit_item(symbol: str, buy: bool, cents: int, quantity: int, name: str) -> str:
    """A limit order as an item of a batch."""
    side = "buy" if buy else "sell"
    return (
        f'{{"op":"submit","symbol":"{symbol}","side":"{side}","type":"limit",'
        f'"quantity":{quantity},"price":"{cents // 100}.{cents % 100:02d}",'
        f'"time_in_force":"day","client_order_id":"{name}"}}'
    )


@dataclass(slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    retry_after_s: float


class Connection:
    """One keep-alive HTTP/1.1 connection, one request at a time: the least that a load needs."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self._host = host
        self._port = port
        self._head = f"Host: {host}:{port}\r\nAuthorization: Bearer {key}\r\n"
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, body: bytes) -> Answer:
        """Send a JSON body. Raises OSError or EOFError where the connection breaks."""
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(
                self._host, self._port, limit=ANSWER_BYTES_MAX
            )
        head = (
            f"POST {path} HTTP/1.1\r\n{self._head}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        try:
            return await self._answer(self._reader)
        except (OSError, EOFError):
            self.close()
            raise

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        body = await reader.readexactly(int(headers["content-length"]))
        return Answer(status, body, float(headers.get("retry-after", "0")))

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
