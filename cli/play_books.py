"""The books that a played file is compared with, and the exchange's own, made from its deltas.

None of them is fast or clever; they exist so that the comparison does not rest on the engine that
it judges.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from cli.play_commands import BUY, CANCEL, SELL, SUBMIT, PlayCommand, TopOfBook

SIGN: Final = {BUY: -1, SELL: 1}  # heaps give the least: bids go in negated


def distinct(states: Iterable[TopOfBook]) -> Iterator[TopOfBook]:
    """States without immediate repeats."""
    last: TopOfBook | None = None
    for state in states:
        if state != last:
            yield state
            last = state


class LevelBook:
    """Quantities by price of both sides.

    Level prices go through a heap, so the best is found without a sort.
    """

    def __init__(self) -> None:
        self.levels: dict[str, dict[int, int]] = {BUY: {}, SELL: {}}
        self._heaps: dict[str, list[int]] = {BUY: [], SELL: []}

    def add(self, side: str, price_ticks: int, quantity: int) -> None:
        """Change a level by `quantity`, which may be negative."""
        self.put(side, price_ticks, self.levels[side].get(price_ticks, 0) + quantity)

    def put(self, side: str, price_ticks: int, quantity: int) -> None:
        """Give a level its absolute quantity; 0 removes it."""
        assert quantity >= 0, (side, price_ticks, quantity)
        levels = self.levels[side]
        if quantity == 0:
            levels.pop(price_ticks, None)
            return
        if price_ticks not in levels:
            heappush(self._heaps[side], SIGN[side] * price_ticks)
        levels[price_ticks] = quantity

    def best(self, side: str) -> int:
        """The best price of a side, 0 where it is empty."""
        heap, levels = self._heaps[side], self.levels[side]
        while heap and SIGN[side] * heap[0] not in levels:
            heappop(heap)
        return SIGN[side] * heap[0] if heap else 0

    def top(self) -> TopOfBook:
        """Best ask, its quantity, best bid, its quantity."""
        ask, bid = self.best(SELL), self.best(BUY)
        return ask, self.levels[SELL].get(ask, 0), bid, self.levels[BUY].get(bid, 0)


class DeltaBook:
    """The exchange's book, from its deltas, and the distinct states of its top, one a command.

    A command's LevelChanged events are the last of its events and take consecutive book sequences;
    the next command begins with an order event, which takes one too. So a hole in the deltas'
    sequences is where one command ends.
    """

    def __init__(self) -> None:
        self.book = LevelBook()
        self.states: list[TopOfBook] = []
        self.sequence = 0
        self.delta_count = 0

    def apply(self, side: str, price_ticks: int, quantity: int, sequence: int) -> None:
        """One delta. A sequence already seen is ignored, so overlapping pages do no harm."""
        if sequence <= self.sequence:
            return
        if sequence != self.sequence + 1:
            self.command_done()
        self.book.put(side, price_ticks, quantity)
        self.sequence = sequence
        self.delta_count += 1

    def command_done(self) -> None:
        """Note the state after a command; also to be called at the end."""
        state = self.book.top()
        if self.delta_count and (not self.states or self.states[-1] != state):
            self.states.append(state)


@dataclass(slots=True)
class Resting:
    """An order of a PriceTimeBook."""

    side: str
    price_ticks: int
    leaves: int
    executed: int


class PriceTimeBook:
    """A plain price-time engine: the reference for files that do not say what traded."""

    def __init__(self) -> None:
        self.book = LevelBook()
        self._queues: dict[tuple[str, int], deque[str]] = {}
        self._orders: dict[str, Resting] = {}

    def apply(self, command: PlayCommand) -> TopOfBook:
        """Do one command; unknown orders are left alone. The top of the book afterwards."""
        if command.op == SUBMIT:
            self._submit(command)
        elif command.order_key in self._orders:
            order = self._orders[command.order_key]
            total = 0 if command.op == CANCEL else command.quantity
            self._leave(command.order_key, max(0, total - order.executed))
        return self.book.top()

    def is_open(self, order_key: str) -> bool:
        """Whether this order rests."""
        return order_key in self._orders

    def _submit(self, command: PlayCommand) -> None:
        left = self._match(command)
        if left == 0 or command.immediate:
            return
        key, side, price = command.order_key, command.side, command.price_ticks
        self._queues.setdefault((side, price), deque()).append(key)
        self._orders[key] = Resting(side, price, left, command.quantity - left)
        self.book.add(side, price, left)

    def _match(self, command: PlayCommand) -> int:
        left = command.quantity
        other = SELL if command.side == BUY else BUY
        while left:
            best = self.book.best(other)
            if best == 0 or SIGN[other] * best > SIGN[other] * command.price_ticks:
                break
            queue = self._queues[(other, best)]
            order = self._orders.get(queue[0])
            if order is None or order.leaves == 0:
                queue.popleft()
                continue
            taken = min(left, order.leaves)
            left -= taken
            order.executed += taken
            self._leave(queue[0], order.leaves - taken)
        return left

    def _leave(self, key: str, leaves: int) -> None:
        """Leave that much of an order open, in its place; nothing ends it."""
        order = self._orders[key]
        assert 0 <= leaves <= order.leaves, (key, leaves, order)
        self.book.add(order.side, order.price_ticks, leaves - order.leaves)
        order.leaves = leaves
        if leaves == 0:
            del self._orders[key]
