"""How the reference exchange cancels and replaces orders."""

from __future__ import annotations

from domain import codes
from domain.codes import BUY, SELL, CommandType, Reason
from domain.commands import CancelOrder, MassCancel, ReplaceOrder
from domain.events import MassCancelled, OrderRejected, OrderReplaced
from tests.reference import checks
from tests.reference.book import Book, Order
from tests.reference.shard import Shard
from tests.reference.submits import trade


def aimed_at(shard: Shard, command: CancelOrder | ReplaceOrder) -> tuple[Book, Order] | Reason:
    """The resting order that is named, or why there is none."""
    if command.account not in shard.accounts:
        return Reason.UNKNOWN_ACCOUNT
    order_id = command.order_id
    if order_id == 0:
        named_in = shard.books.get(command.instrument)
        if named_in is None:
            return Reason.UNKNOWN_INSTRUMENT
        key = (command.account, command.client_order_id)
        order_id, _ = named_in.client_order_ids.get(key, (0, ()))
    for book, order in shard.resting(command.account):
        if order.order_id == order_id:
            elsewhere = command.instrument and shard.books.get(command.instrument) is not book
            return Reason.UNKNOWN_ORDER if elsewhere else (book, order)
    return Reason.UNKNOWN_ORDER


def cancel_order(shard: Shard, command: CancelOrder) -> None:
    """Take one order off the book."""
    found = aimed_at(shard, command)
    if isinstance(found, Reason):
        reject(shard, command, CommandType.CANCEL_ORDER, found)
    else:
        shard.take_off(*found, Reason.BY_REQUEST)


def replace_order(shard: Shard, command: ReplaceOrder) -> None:
    """Change one order's price or open quantity."""
    found = aimed_at(shard, command)
    if isinstance(found, Reason):
        reject(shard, command, CommandType.REPLACE_ORDER, found)
        return
    book, order = found
    price = command.price_ticks or order.price_ticks
    leaves = command.quantity or order.leaves
    if command.quantity and command.flags & codes.REPLACE_TOTAL:
        leaves -= order.executed
    stays_put = price == order.price_ticks and leaves <= order.leaves
    keeps_place = stays_put and not command.flags & codes.REPLACE_REQUEUE
    reason = checks.replace_reason(command, book, order, leaves)
    if reason == Reason.NONE and book.state == codes.CANCEL_ONLY and leaves > 0 and not keeps_place:
        reason = Reason.INSTRUMENT_CANCEL_ONLY
    if reason != Reason.NONE:
        reject(shard, command, CommandType.REPLACE_ORDER, reason)
    elif leaves <= 0:
        shard.take_off(book, order, Reason.REPLACED_TO_NOTHING)
    else:
        previous = (order.price_ticks, order.leaves)
        shard.touch(book, order.side, order.price_ticks)
        if not keeps_place:
            book.take_off(order)
        order.price_ticks, order.leaves = price, leaves
        tell_replaced(shard, book, order, previous, keeps_place)
        if not keeps_place:
            arrive_again(shard, book, order)


def tell_replaced(
    shard: Shard, book: Book, order: Order, previous: tuple[int, int], kept_priority: bool
) -> None:
    """An order has new terms; `previous` is its price and open quantity before."""
    shard.emit(
        OrderReplaced(
            shard.command_index,
            order.account,
            book.instrument,
            order.order_id,
            order.side,
            kept_priority,
            order.price_ticks,
            order.leaves,
            *previous,
            order.executed,
            book.next_sequence(),
        )
    )


def arrive_again(shard: Shard, book: Book, order: Order) -> None:
    """A replaced order that lost its place trades if it crosses, and what is left rests."""
    trade(shard, book, order, order.price_ticks)
    if order.leaves > 0:
        shard.rest(book, order)


def reject(
    shard: Shard, command: CancelOrder | ReplaceOrder, kind: CommandType, reason: Reason
) -> None:
    """A cancel or replace is refused; everything as sent."""
    shard.emit(
        OrderRejected(
            shard.command_index,
            kind,
            reason,
            command.account,
            command.instrument,
            command.order_id,
            0,
            0,
            0,
            getattr(command, "price_ticks", 0),
            getattr(command, "quantity", 0),
            command.client_order_id,
        )
    )


def mass_cancel(shard: Shard, command: MassCancel) -> None:
    """Cancel every order of an account, instrument and side."""
    account, instrument, side = command.account, command.instrument, command.side
    reason = checks.mass_cancel_reason(shard, command)
    if reason != Reason.NONE:
        kind = CommandType.MASS_CANCEL
        index = shard.command_index
        shard.emit(
            OrderRejected(index, kind, reason, account, instrument, 0, side & 3, 0, 0, 0, 0, b"")
        )
        return
    sides = (BUY, SELL) if side == codes.BOTH_SIDES else (side,)
    if account:
        candidates = [(b, o) for b, o in shard.open_orders(account) if o.side in sides]
    else:
        books = [shard.books[number] for number in sorted(shard.books)]
        candidates = [(b, o) for b in books for o in b.orders(*sides)]
    chosen = [(b, o) for b, o in candidates if instrument in (0, b.instrument)]
    for book, order in chosen:
        shard.take_off(book, order, Reason.BY_MASS_CANCEL)
    shard.emit(MassCancelled(shard.command_index, account, instrument, side, len(chosen)))
