"""How the reference exchange takes a new order, and how any order trades."""

from __future__ import annotations

from domain import codes
from domain.codes import BUY, FOK, IOC, LIMIT, MARKET, SELL, CommandType, Reason
from domain.commands import SubmitOrder
from domain.events import OrderAccepted, OrderExecuted, OrderRejected, OrderRepeated
from tests.reference import checks
from tests.reference.book import Book, Order, within
from tests.reference.shard import Shard


def submit(shard: Shard, command: SubmitOrder) -> None:
    """Check in the order of the table, then accept."""
    order_id = shard.shard << 55 | shard.position << 16 | shard.command_index
    book = shard.books.get(command.instrument)
    if book is None:
        reject(shard, command, order_id, Reason.UNKNOWN_INSTRUMENT)
    elif command.account not in shard.accounts:
        reject(shard, command, order_id, Reason.UNKNOWN_ACCOUNT)
    elif command.client_order_id and not checks.is_printable(command.client_order_id):
        reject(shard, command, order_id, Reason.INVALID_CLIENT_ORDER_ID)
    elif not command.client_order_id or uses_up_its_client_order_id(shard, book, command, order_id):
        reason = checks.submit_reason(shard, command, book)
        if reason == Reason.NONE:
            accept(shard, book, command, order_id)
        else:
            reject(shard, command, order_id, reason)


def uses_up_its_client_order_id(
    shard: Shard, book: Book, command: SubmitOrder, order_id: int
) -> bool:
    """Rows 4 and 5: whether the order may go on. Its client order id is used up from then on."""
    key = (command.account, command.client_order_id)
    body = (
        command.side,
        command.order_type,
        command.time_in_force,
        command.price_ticks,
        command.quantity,
    )
    if key in book.client_order_ids:
        first_id, first_body = book.client_order_ids[key]
        if body == first_body:
            account, instrument = command.account, command.instrument
            shard.emit(OrderRepeated(shard.command_index, account, instrument, first_id))
        else:
            reject(shard, command, order_id, Reason.DUPLICATE_CLIENT_ORDER_ID)
        return False
    if sum(len(b.client_order_ids) for b in shard.books.values()) >= codes.CLIENT_ORDER_IDS_MAX:
        reject(shard, command, order_id, Reason.CLIENT_ORDER_IDS_EXHAUSTED)
        return False
    book.client_order_ids[key] = (order_id, body)
    return True


def reject(shard: Shard, command: SubmitOrder, order_id: int, reason: Reason) -> None:
    """Tell why, with what was sent."""
    shard.emit(
        OrderRejected(
            shard.command_index,
            CommandType.SUBMIT_ORDER,
            reason,
            command.account,
            command.instrument,
            order_id,
            command.side & 3,
            command.order_type & 3,
            command.time_in_force & 3,
            command.price_ticks,
            command.quantity,
            command.client_order_id,
        )
    )


def accept(shard: Shard, book: Book, command: SubmitOrder, order_id: int) -> None:
    """The order trades, and what is left rests or is cancelled."""
    shard.emit(
        OrderAccepted(
            shard.command_index,
            command.account,
            command.instrument,
            order_id,
            command.side,
            command.order_type,
            command.time_in_force,
            command.price_ticks,
            command.quantity,
            book.next_sequence(),
            command.client_order_id,
        )
    )
    order = Order(
        order_id,
        command.account,
        command.side,
        command.time_in_force,
        command.price_ticks,
        command.quantity,
    )
    limit = command.price_ticks if command.order_type == LIMIT else market_limit(book, order)
    if order.time_in_force == FOK and book.tradable(order.side, limit) < order.leaves:
        shard.tell_ended(book, order, Reason.FOK_NOT_FILLABLE)
        return
    trade(shard, book, order, limit)
    if order.leaves > 0 and order.time_in_force == IOC:
        market = command.order_type == MARKET
        reason = Reason.NO_LIQUIDITY if market else Reason.IOC_REMAINDER
        shard.tell_ended(book, order, reason)
    elif order.leaves > 0:
        shard.rest(book, order)


def market_limit(book: Book, order: Order) -> int | None:
    """How far a market order may go: its collar from the best opposite price at arrival."""
    best = book.best(SELL if order.side == BUY else BUY)
    if best is None or book.price_collar == 0:
        return None
    return best + book.price_collar if order.side == BUY else best - book.price_collar


def trade(shard: Shard, book: Book, order: Order, limit: int | None) -> None:
    """Execute against the other side, best price first and oldest first, while within the limit."""
    other = SELL if order.side == BUY else BUY
    for resting in book.orders(other):
        if order.leaves == 0 or not within(order.side, resting.price_ticks, limit):
            return
        quantity = min(order.leaves, resting.leaves)
        for party in (order, resting):
            party.leaves -= quantity
            party.executed += quantity
        if resting.leaves == 0:
            book.take_off(resting)
        shard.touch(book, other, resting.price_ticks)
        shard.match_number += 1
        shard.emit(
            OrderExecuted(
                shard.command_index,
                book.instrument,
                order.side,
                order.order_id,
                order.account,
                order.leaves,
                resting.order_id,
                resting.account,
                resting.leaves,
                resting.price_ticks,
                quantity,
                shard.match_number,
                book.next_sequence(),
            )
        )
