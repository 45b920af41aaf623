"""The checks of docs/matching.md as lists of questions: the first answer that is not fine is the
reason.

Guarantees: nothing here changes any state.
"""

from __future__ import annotations

from domain import codes
from domain.codes import DAY, FOK, GTC, IOC, LIMIT, MARKET, Reason
from domain.commands import ListInstrument, MassCancel, ReplaceOrder, SetTradingState, SubmitOrder
from tests.reference.book import Book, Order
from tests.reference.shard import Shard

CLOSED_DOORS = {
    codes.HALTED: Reason.INSTRUMENT_HALTED,
    codes.CANCEL_ONLY: Reason.INSTRUMENT_CANCEL_ONLY,
    codes.CLOSED: Reason.INSTRUMENT_CLOSED,
}


def first_of(*questions: tuple[bool, Reason]) -> Reason:
    """The reason beside the first question that is true."""
    return next((reason for refused, reason in questions if refused), Reason.NONE)


def is_printable(text: bytes) -> bool:
    """Whether every byte is a visible ASCII character."""
    return all(0x21 <= byte <= 0x7E for byte in text)


def submit_reason(shard: Shard, command: SubmitOrder, book: Book) -> Reason:
    """Rows 6 to 16 of the table."""
    price, quantity = command.price_ticks, command.quantity
    order_type, time_in_force = command.order_type, command.time_in_force
    account = shard.accounts[command.account]
    stays = time_in_force in (DAY, GTC)
    mine = shard.open_count(command.account)
    return first_of(
        (account.killed, Reason.ACCOUNT_KILLED),
        (book.state != codes.OPEN, CLOSED_DOORS.get(book.state, Reason.NONE)),
        (command.side not in (codes.BUY, codes.SELL), Reason.INVALID_SIDE),
        (order_type not in (LIMIT, MARKET), Reason.INVALID_ORDER_TYPE),
        (time_in_force not in (DAY, GTC, IOC, FOK), Reason.INVALID_TIME_IN_FORCE),
        (order_type == MARKET and stays, Reason.MARKET_MUST_BE_IOC_OR_FOK),
        (order_type == LIMIT and price == 0, Reason.PRICE_REQUIRED),
        (order_type == MARKET and price != 0, Reason.PRICE_NOT_ALLOWED),
        (price % book.tick_size != 0, Reason.PRICE_NOT_ON_TICK),
        (quantity == 0, Reason.QUANTITY_REQUIRED),
        (quantity > codes.QUANTITY_MAX, Reason.QUANTITY_TOO_LARGE),
        (quantity % book.lot_size != 0, Reason.QUANTITY_NOT_ON_LOT),
        (stays and 0 < account.open_orders_max <= mine, Reason.OPEN_ORDERS_LIMIT),
        (stays and shard.open_count() >= codes.ORDERS_MAX, Reason.ORDERS_EXHAUSTED),
    )


def replace_reason(command: ReplaceOrder, book: Book, order: Order, leaves: int) -> Reason:
    """Why a replace of a known order to `leaves` open is refused, but for its place."""
    known_flags = codes.REPLACE_REQUEUE | codes.REPLACE_TOTAL
    price, quantity = command.price_ticks, command.quantity
    return first_of(
        (command.flags & ~known_flags != 0, Reason.INVALID_FLAGS),
        (price == 0 and quantity == 0, Reason.NOTHING_TO_REPLACE),
        (book.state == codes.HALTED, Reason.INSTRUMENT_HALTED),
        (book.state == codes.CLOSED, Reason.INSTRUMENT_CLOSED),
        (price % book.tick_size != 0, Reason.PRICE_NOT_ON_TICK),
        (quantity > codes.QUANTITY_MAX, Reason.QUANTITY_TOO_LARGE),
        (quantity % book.lot_size != 0, Reason.QUANTITY_NOT_ON_LOT),
        (order.executed + leaves > codes.QUANTITY_MAX, Reason.QUANTITY_TOO_LARGE),
    )


def mass_cancel_reason(shard: Shard, command: MassCancel) -> Reason:
    """Why a mass cancel is refused."""
    return first_of(
        (command.side > codes.BOTH_SIDES, Reason.INVALID_SIDE),
        (command.instrument not in (0, *shard.books), Reason.UNKNOWN_INSTRUMENT),
        (command.account not in (0, *shard.accounts), Reason.UNKNOWN_ACCOUNT),
    )


def state_reason(shard: Shard, command: SetTradingState) -> Reason:
    """Why a trading state is refused."""
    return first_of(
        (command.instrument not in shard.books, Reason.UNKNOWN_INSTRUMENT),
        (command.state > codes.CLOSED, Reason.INVALID_TRADING_STATE),
    )


def listing_reason(shard: Shard, command: ListInstrument) -> Reason:
    """Why a listing is refused."""
    symbol = command.symbol
    good_symbol = 1 <= len(symbol) <= 8 and is_printable(symbol) and symbol == symbol.upper()
    return first_of(
        (not 1 <= command.instrument <= codes.INSTRUMENT_MAX, Reason.INVALID_INSTRUMENT),
        (command.instrument in shard.books, Reason.INSTRUMENT_EXISTS),
        (not good_symbol, Reason.INVALID_INSTRUMENT),
        (command.tick_size < 1, Reason.INVALID_INSTRUMENT),
        (not 1 <= command.lot_size <= codes.QUANTITY_MAX, Reason.INVALID_INSTRUMENT),
        (command.state > codes.CLOSED, Reason.INVALID_INSTRUMENT),
    )
