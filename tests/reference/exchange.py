"""The reference exchange: docs/matching.md once more, slow and obvious, to hold the engine against.

Guarantees: nothing here is shared with the engine but the dataclasses of commands and events and
the numbers of `domain.codes`. `ReferenceExchange.apply` gives the very events, in the very order,
that the engine must write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain import codes
from domain.codes import BUY, DAY, SELL, CommandType, Reason
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
from domain.events import (
    AccountUpdated,
    ClockTicked,
    Event,
    InstrumentListed,
    OrderRejected,
    TradingStateChanged,
)
from domain.wire import CommandHeader
from tests.reference import checks
from tests.reference.book import Book
from tests.reference.changes import cancel_order, mass_cancel, replace_order
from tests.reference.sessions import Heard
from tests.reference.shard import Account, Shard
from tests.reference.submits import submit


def set_trading_state(shard: Shard, command: SetTradingState) -> None:
    """Change what an instrument allows; a close ends DAY orders and forgets client order ids."""
    number, state = command.instrument, command.state
    reason = checks.state_reason(shard, command)
    if reason != Reason.NONE:
        reject(shard, CommandType.SET_TRADING_STATE, reason, instrument=number)
        return
    book = shard.books[number]
    previous, book.state = book.state, state
    sequence = book.next_sequence()
    shard.emit(TradingStateChanged(shard.command_index, number, state, previous, sequence))
    if state == codes.CLOSED and previous != codes.CLOSED:
        for order in [o for o in book.orders(BUY, SELL) if o.time_in_force == DAY]:
            shard.take_off(book, order, Reason.AT_CLOSE)
        book.client_order_ids.clear()


def tick_clock(shard: Shard, command: ClockTick) -> None:
    """Advance trading time; forget sessions long silent."""
    if command.time_ns <= 0 or command.time_ns < shard.trading_time_ns:
        reject(shard, CommandType.CLOCK_TICK, Reason.CLOCK_BACKWARDS)
        return
    shard.trading_time_ns = command.time_ns
    shard.sessions.tick(command.time_ns)
    shard.emit(ClockTicked(shard.command_index, command.time_ns))


def list_instrument(shard: Shard, command: ListInstrument) -> None:
    """Make an instrument tradable."""
    number, state = command.instrument, command.state
    tick, lot, collar = command.tick_size, command.lot_size, command.price_collar
    reason = checks.listing_reason(shard, command)
    if reason != Reason.NONE:
        reject(shard, CommandType.LIST_INSTRUMENT, reason, instrument=number)
        return
    book = shard.books[number] = Book(number, tick, lot, collar, state)
    index, sequence = shard.command_index, book.next_sequence()
    shard.emit(InstrumentListed(index, number, command.symbol, tick, lot, collar, state, sequence))


def set_account(shard: Shard, command: SetAccount) -> None:
    """Register an account or change its limits; a kill cancels its orders."""
    number, limit, killed = command.account, command.open_orders_max, command.killed
    if not 1 <= number <= codes.ACCOUNT_MAX:
        reject(shard, CommandType.SET_ACCOUNT, Reason.INVALID_ACCOUNT, account=number)
        return
    shard.accounts[number] = Account(limit, killed)
    shard.emit(AccountUpdated(shard.command_index, number, limit, killed))
    if killed:
        for book, order in shard.open_orders(number):
            shard.take_off(book, order, Reason.BY_KILL_SWITCH)


def reject(
    shard: Shard, kind: CommandType, reason: Reason, *, account: int = 0, instrument: int = 0
) -> None:
    """Refuse a command that is about no order."""
    index = shard.command_index
    shard.emit(OrderRejected(index, kind, reason, account, instrument, 0, 0, 0, 0, 0, 0, b""))


HANDLERS: dict[type[Command], Callable[[Shard, Any], None]] = {
    SubmitOrder: submit,
    CancelOrder: cancel_order,
    ReplaceOrder: replace_order,
    MassCancel: mass_cancel,
    SetTradingState: set_trading_state,
    ClockTick: tick_clock,
    ListInstrument: list_instrument,
    SetAccount: set_account,
}


class ReferenceExchange:
    """One shard. Feed it every position in order; `status` tells what became of the last one."""

    def __init__(self, shard: int) -> None:
        self.shard = Shard(shard)
        self.status = codes.APPLIED

    def apply(
        self, position: int, header: CommandHeader | None, commands: list[Command]
    ) -> list[Event]:
        """The events of one batch; `header` None means that its structure is unsound."""
        shard = self.shard
        assert position == shard.position + 1
        shard.position = position
        shard.events = []
        if header is None or header.batch_number <= 0:
            self.status = codes.UNDECODABLE
            return []
        if shard.sessions.is_repeat(header.session, header.batch_number):
            self.status = codes.REPEAT
            return []
        self.status = codes.APPLIED
        shard.sessions.hear(header.session, Heard(header.batch_number, position))
        for index, command in enumerate(commands):
            shard.command_index = index
            HANDLERS[type(command)](shard, command)
            shard.tell_levels()
        return shard.events

    @property
    def position(self) -> int:
        """The last position applied."""
        return self.shard.position

    @property
    def trading_time_ns(self) -> int:
        """Trading time, ns since 1970."""
        return self.shard.trading_time_ns

    def levels(self, instrument: int, side: int) -> list[tuple[int, int, int]]:
        """(price, quantity, order count) of each level, best first."""
        book = self.shard.books[instrument]
        return [(price, *book.level(side, price)) for price in book.prices(side)]

    def orders(self, instrument: int, side: int) -> list[tuple[int, int, int, int]]:
        """(order id, account, price, leaves) of each resting order, in priority order."""
        resting = self.shard.books[instrument].orders(side)
        return [(o.order_id, o.account, o.price_ticks, o.leaves) for o in resting]

    def book_sequence(self, instrument: int) -> int:
        """The sequence of the last event of this book."""
        return self.shard.books[instrument].sequence
