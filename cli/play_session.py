"""Trades the commands of a file through a running exchange and follows its book meanwhile.

Guarantees: commands reach the exchange in file order, one batch at a time; a batch that was not
answered is sent again with the same client order ids; every command's answer is looked at, and what
was not acknowledged is counted as lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from cli.play_books import DeltaBook
from cli.play_commands import (
    CANCEL,
    SUBMIT,
    PlayCommand,
    client_order_id,
    price_string,
)
from crossbook_client import AsyncCrossbook, BookSnapshot, OrderResult
from crossbook_client.calls import batch_items

FOLLOW_PAUSE_S = 0.02
DELTA_BATCHES_PER_PAGE = 20  # the API counts batches of changes, here of up to 500 each
ORDERS_PER_PAGE = 1_000
GATHER_NS = 20_000_000  # at a chosen speed, what is due within this time goes in one batch
TICKS_PER_DOLLAR = 10_000
ACKNOWLEDGED = {"accepted", "repeated", "replaced", "cancelled", "pending"}


@dataclass
class PlayTotals:
    """What was sent and what came of it."""

    commands: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    pending: int = 0
    short_executions: int = 0
    orders: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)
    elapsed_s: float = 0.0
    position: str | None = None

    def add(self, command: PlayCommand, result: OrderResult) -> None:
        """Look at one answer."""
        self.commands += 1
        if result.outcome in ACKNOWLEDGED:
            self.acknowledged += 1
            self.pending += result.outcome == "pending"
            if command.op == SUBMIT and result.order_id is not None:
                self.orders.add(result.order_id)
            if command.immediate and result.executed_quantity < command.quantity:
                self.short_executions += 1
        elif result.refused_by == "engine":
            # In the log, and refused there: acknowledged all the same, and explained at the end.
            self.acknowledged += 1
            self.refused[f"{command.op} refused: {result.reason}"] += 1
            if command.op == SUBMIT and result.order_id is not None:
                self.orders.add(result.order_id)
        else:
            self.lost.append(f"{command.op} {command.order_key}: {result.status} {result.reason}")


def item_of(command: PlayCommand, symbol: str, run: str) -> dict[str, object]:
    """A command as an item of the API's batch."""
    item: dict[str, object] = {
        "op": command.op,
        "symbol": symbol,
        "client_order_id": client_order_id(run, command.order_key),
    }
    if command.op == CANCEL:
        return item
    item["quantity"] = command.quantity
    if command.op == SUBMIT:
        item["side"] = command.side
        item["price"] = price_string(command.price_ticks)
        item["time_in_force"] = "ioc" if command.immediate else "gtc"
    return item


class BookFollower:
    """Reads an instrument's deltas until told that all is sent, into a DeltaBook."""

    def __init__(self, exchange: AsyncCrossbook, symbol: str) -> None:
        self.deltas = DeltaBook()
        self.missed = 0
        self._exchange = exchange
        self._symbol = symbol

    async def start(self) -> None:
        """Begin after what the book holds now."""
        book = await self._exchange.book(self._symbol, depth=ORDERS_PER_PAGE)
        for side, levels in (("buy", book.bids), ("sell", book.asks)):
            for level in levels:
                self.deltas.book.put(side, int(level.price * TICKS_PER_DOLLAR), level.quantity)
        self.deltas.sequence = book.sequence

    async def follow(self, all_sent: asyncio.Event) -> None:
        """Read pages until `all_sent`, as they come."""
        while not all_sent.is_set():
            if not await self._page(None):
                await asyncio.sleep(FOLLOW_PAUSE_S)

    async def finish(self, position: str | None) -> None:
        """Read everything up to `position`, and note the last state."""
        while await self._page(position):
            pass
        self.deltas.command_done()

    async def _page(self, min_position: str | None) -> bool:
        """Read one page; False where it brought nothing new."""
        since = self.deltas.sequence
        page = await self._exchange.deltas(
            self._symbol, since, limit=DELTA_BATCHES_PER_PAGE, min_position=min_position
        )
        if isinstance(page, BookSnapshot):
            self._restart(page)
            return True
        for delta in page.deltas:
            price = int(delta.price * TICKS_PER_DOLLAR)
            self.deltas.apply(delta.side, price, delta.quantity, delta.sequence)
        return bool(page.deltas)

    def _restart(self, snapshot: BookSnapshot) -> None:
        """Deltas were trimmed before they were read: go on from the snapshot, and say so."""
        self.missed += max(0, snapshot.sequence - self.deltas.sequence)
        book = type(self.deltas.book)()
        for side, levels in (("buy", snapshot.bids), ("sell", snapshot.asks)):
            for level in levels:
                book.put(side, int(level.price * TICKS_PER_DOLLAR), level.quantity)
        self.deltas.book = book
        self.deltas.sequence = snapshot.sequence


class Player:
    """Sends a file's commands.

    `speed` is file time to wall time; None is as fast as answers come.
    """

    def __init__(
        self,
        exchange: AsyncCrossbook,
        *,
        symbol: str,
        run: str,
        batch_commands: int,
        speed: float | None,
    ) -> None:
        assert speed is None or speed > 0
        self.totals = PlayTotals()
        self._exchange = exchange
        self._symbol = symbol
        self._run = run
        self._batch_commands = batch_commands
        self._speed = speed

    async def play(self, commands: Iterable[PlayCommand]) -> None:
        """Send all of them, in order."""
        self.totals.began = time.monotonic()
        batch: list[PlayCommand] = []
        first_ns: int | None = None
        for command in commands:
            if first_ns is None:
                first_ns = command.time_ns
            if batch and self._is_full(batch, command):
                await self._send(batch, first_ns)
                batch = []
            batch.append(command)
        if batch and first_ns is not None:
            await self._send(batch, first_ns)
        self.totals.elapsed_s = time.monotonic() - self.totals.began

    def _is_full(self, batch: list[PlayCommand], next_command: PlayCommand) -> bool:
        if len(batch) >= self._batch_commands:
            return True
        if self._speed is None:
            return False
        return next_command.time_ns - batch[0].time_ns > GATHER_NS * self._speed

    async def _send(self, batch: list[PlayCommand], first_ns: int) -> None:
        if self._speed is not None:
            file_s = (batch[0].time_ns - first_ns) / 1e9
            due = self.totals.began + file_s / self._speed
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        items = [item_of(command, self._symbol, self._run) for command in batch]
        answer = await self._exchange.run(batch_items(items))
        for command, result in zip(batch, answer.results, strict=True):
            self.totals.add(command, result)
        self.totals.position = answer.position or self.totals.position


async def find_orders(exchange: AsyncCrossbook, symbol: str, position: str | None) -> Counter[str]:
    """How often each order of the account is in the exchange's list of this instrument."""
    found: Counter[str] = Counter()
    cursor = None
    while True:
        page = await exchange.orders(
            symbol=symbol, limit=ORDERS_PER_PAGE, cursor=cursor, min_position=position
        )
        found.update(order.order_id for order in page.orders)
        cursor = page.next_cursor
        if cursor is None:
            return found
