"""What cancel, replace and mass cancel do to the books. docs/matching.md is the text.

Pure and total, as `domain.matching`.
"""

from __future__ import annotations

from librt.strings import read_i64_le
from librt.vecs import vec
from mypy_extensions import i64

from domain.book import Books, next_level
from domain.client_ids import scope_of, well_formed
from domain.codes import (
    BOTH_SIDES,
    BY_MASS_CANCEL,
    BY_REQUEST,
    CANCEL_ONLY,
    CLOSED,
    HALTED,
    INSTRUMENT_CANCEL_ONLY,
    INVALID_FLAGS,
    INVALID_SIDE,
    NOTHING_TO_REPLACE,
    PRICE_NOT_ON_TICK,
    QUANTITY_MAX,
    QUANTITY_NOT_ON_LOT,
    QUANTITY_TOO_LARGE,
    REPLACE_REQUEUE,
    REPLACE_TOTAL,
    REPLACED_TO_NOTHING,
    UNKNOWN_ACCOUNT,
    UNKNOWN_INSTRUMENT,
    UNKNOWN_ORDER,
)
from domain.event_records import (
    MASS_CANCELLED,
    ORDER_CANCELLED,
    copy_words,
    write_replaced,
    write_simple,
)
from domain.matching import closed_reason, is_account, is_instrument, reject, trade
from domain.rows import (
    ACCOUNT_LINKS,
    BEST_BID,
    EXECUTED,
    FIRST_ORDER,
    HEAD,
    INSTRUMENT_ROW,
    LEAVES,
    LEVEL,
    LOT,
    NEXT,
    NIL,
    PRICE_ACCOUNT,
    ROW,
    STATE,
    TICK,
    TOTAL,
    TOUCHED,
    TRADING_DAY,
)
from domain.tables import LOW
from domain.wire import CANCEL_ORDER, MASS_CANCEL, REPLACE_ORDER

# --- cancel and replace ---------------------------------------------------------------------------


def _aim(books: Books, orders: vec[i64], levels: vec[i64], data: bytes, at: i64, id_at: i64) -> i64:
    """Row of the order that a cancel or replace names, or minus the reason why there is none."""
    parties = read_i64_le(data, at + 8)
    order_id = read_i64_le(data, at + 16)
    account = parties & LOW
    instrument = (parties >> 32) & LOW
    if not is_account(books, account):
        return -UNKNOWN_ACCOUNT
    if order_id == 0:
        if not is_instrument(books, instrument):
            return -UNKNOWN_INSTRUMENT
        length = (read_i64_le(data, at) >> 16) & 0xFF
        if length == 0 or not well_formed(data, id_at, length):
            return -UNKNOWN_ORDER
        day = books.instruments[instrument * INSTRUMENT_ROW + TRADING_DAY]
        scope = scope_of(account, instrument, day, length)
        order_id = books.client_ids.find(scope, data, id_at, length, -1)
    row = books.hints.row
    books.hints.row = NIL  # a price that the order is moved to is not the page's
    if row < 0 or orders[row] != order_id:
        row = books.find(orders, order_id)
    if row == NIL or orders[row + PRICE_ACCOUNT] >> 32 != account:
        return -UNKNOWN_ORDER
    # A gateway checks prices against the instrument that was named: it must be the order's.
    if instrument != 0 and levels[orders[row + LEVEL] & LOW] >> 33 != instrument:
        return -UNKNOWN_ORDER
    return row


def cancel(books: Books, data: bytes, at: i64) -> None:
    """Apply the CancelOrder record at `at`."""
    orders = books.orders
    levels = books.levels
    row = _aim(books, orders, levels, data, at, at + 24)
    if row < 0:
        _reject_aimed(books, data, at, CANCEL_ORDER, -row, at + 24)
        return
    books.cancel(orders, levels, row, ORDER_CANCELLED, BY_REQUEST)


def _reject_aimed(books: Books, data: bytes, at: i64, kind: i64, reason: i64, id_at: i64) -> None:
    length = (read_i64_le(data, at) >> 16) & 0xFF
    terms: i64 = 0
    if kind == REPLACE_ORDER:
        terms = read_i64_le(data, at + 24)
    head = kind | (reason << 8) | (length << 24)
    reject(books, head, read_i64_le(data, at + 8), read_i64_le(data, at + 16), terms)
    copy_words(books.out, data, id_at, (length + 7) >> 3)


def replace(books: Books, data: bytes, at: i64) -> None:
    """Apply the ReplaceOrder record at `at`."""
    orders = books.orders
    levels = books.levels
    row = _aim(books, orders, levels, data, at, at + 32)
    if row < 0:
        _reject_aimed(books, data, at, REPLACE_ORDER, -row, at + 32)
        return
    flags = (read_i64_le(data, at) >> 24) & 0xFF
    terms = read_i64_le(data, at + 24)
    price, quantity = terms & LOW, (terms >> 32) & LOW
    old_price, old_leaves = orders[row + PRICE_ACCOUNT] & LOW, orders[row + LEAVES]
    executed = orders[row + EXECUTED]
    leaves = old_leaves
    if quantity != 0:
        leaves = quantity - executed if flags & REPLACE_TOTAL != 0 else quantity
    if price == 0:
        price = old_price
    keeps = price == old_price and leaves <= old_leaves and flags & REPLACE_REQUEUE == 0
    side_id = levels[orders[row + LEVEL] & LOW] >> 32
    reason = _check_replace(
        books.instruments, side_id >> 1, flags, terms, executed + leaves, keeps or leaves <= 0
    )
    if reason != 0:
        _reject_aimed(books, data, at, REPLACE_ORDER, reason, at + 32)
    elif leaves <= 0:
        books.cancel(orders, levels, row, ORDER_CANCELLED, REPLACED_TO_NOTHING)
    elif keeps:
        _reduce(books, orders, levels, row, side_id, leaves)
    else:
        _requeue(books, orders, levels, row, side_id, price, leaves)


def _check_replace(
    instruments: vec[i64], instrument: i64, flags: i64, terms: i64, total: i64, keeps: bool
) -> i64:
    """0 where nothing is against it. `total` is executed and open quantity together."""
    book = instrument * INSTRUMENT_ROW
    state = instruments[book + STATE]
    if flags & ~(REPLACE_REQUEUE | REPLACE_TOTAL) != 0:
        return INVALID_FLAGS
    if terms == 0:
        return NOTHING_TO_REPLACE
    if state == HALTED or state == CLOSED:
        return closed_reason(state)
    if (terms & LOW) % instruments[book + TICK] != 0:
        return PRICE_NOT_ON_TICK
    quantity = (terms >> 32) & LOW
    if quantity > QUANTITY_MAX:
        return QUANTITY_TOO_LARGE
    if quantity % instruments[book + LOT] != 0:
        return QUANTITY_NOT_ON_LOT
    if total > QUANTITY_MAX:
        return QUANTITY_TOO_LARGE
    if state == CANCEL_ONLY and not keeps:
        return INSTRUMENT_CANCEL_ONLY
    return 0


def _replaced(
    books: Books, orders: vec[i64], row: i64, price: i64, leaves: i64, side_id: i64, kept: i64
) -> None:
    old_price = orders[row + PRICE_ACCOUNT] & LOW
    write_replaced(
        books.out,
        books.command_index | ((side_id & 1) << 16) | (kept << 24),
        (orders[row + PRICE_ACCOUNT] >> 32) | ((side_id >> 1) << 32),
        orders[row],
        price | (leaves << 32),
        old_price | (orders[row + LEAVES] << 32),
        orders[row + EXECUTED],
        books.next_sequence(side_id >> 1),
    )


def _reduce(
    books: Books, orders: vec[i64], levels: vec[i64], row: i64, side_id: i64, leaves: i64
) -> None:
    """Less quantity at the same price: the order keeps its place."""
    level = orders[row + LEVEL] & LOW
    _replaced(books, orders, row, orders[row + PRICE_ACCOUNT] & LOW, leaves, side_id, 1)
    if levels[level + TOUCHED] == 0:
        books.touch(levels, level)
    levels[level + TOTAL] -= orders[row + LEAVES] - leaves
    orders[row + LEAVES] = leaves


def _requeue(
    books: Books,
    orders: vec[i64],
    levels: vec[i64],
    row: i64,
    side_id: i64,
    price: i64,
    leaves: i64,
) -> None:
    """The order leaves its place and arrives again."""
    _replaced(books, orders, row, price, leaves, side_id, 0)
    books.dequeue(orders, levels, row)
    aggressor = (orders[row + PRICE_ACCOUNT] >> 32) | ((side_id & 1) << 32)
    instruments = books.instruments
    left = trade(
        books, orders, levels, instruments, orders[row], aggressor, side_id >> 1, price, leaves
    )
    orders[row + EXECUTED] += leaves - left
    orders[row + LEAVES] = left
    if left == 0:
        books.release(orders, row)
    else:
        books.enqueue(orders, levels, row, side_id, price)


# --- many at once ---------------------------------------------------------------------------------


def mass_cancel(books: Books, data: bytes, at: i64) -> None:
    """Apply the MassCancel record at `at`."""
    side = (read_i64_le(data, at) >> 32) & 0xFF
    parties = read_i64_le(data, at + 8)
    account, instrument = parties & LOW, (parties >> 32) & LOW
    reason: i64 = 0
    if side > BOTH_SIDES:
        reason = INVALID_SIDE
    elif instrument != 0 and not is_instrument(books, instrument):
        reason = UNKNOWN_INSTRUMENT
    elif account != 0 and not is_account(books, account):
        reason = UNKNOWN_ACCOUNT
    if reason != 0:
        head = MASS_CANCEL | (reason << 8) | ((side & 3) << 16)
        reject(books, head, parties, 0, 0)
        return
    before = books.order_count
    if account != 0:
        cancel_account(books, account, instrument, side, BY_MASS_CANCEL)
    elif instrument != 0:
        cancel_book(books, instrument, side, ORDER_CANCELLED, BY_MASS_CANCEL)
    else:
        instrument = 1
        while instrument * INSTRUMENT_ROW < len(books.instruments):
            if is_instrument(books, instrument):
                cancel_book(books, instrument, side, ORDER_CANCELLED, BY_MASS_CANCEL)
            instrument += 1
    books.event_count += 1
    taken = before - books.order_count
    write_simple(books.out, MASS_CANCELLED, books.command_index, side, parties, taken)


def cancel_account(books: Books, account: i64, instrument: i64, side: i64, reason: i64) -> None:
    """Cancel an account's orders (of one instrument, or of all: 0), oldest first."""
    orders = books.orders
    levels = books.levels
    row = books.accounts[account * ROW + FIRST_ORDER]
    while row != NIL:
        following = (orders[row + ACCOUNT_LINKS] & LOW) - 1
        side_id = levels[orders[row + LEVEL] & LOW] >> 32
        if (instrument == 0 or side_id >> 1 == instrument) and (
            side == BOTH_SIDES or side_id & 1 == side
        ):
            books.cancel(orders, levels, row, ORDER_CANCELLED, reason)
        row = following


def cancel_book(books: Books, instrument: i64, side: i64, kind: i64, reason: i64) -> None:
    """Cancel one instrument's orders; with `kind` expired, only its DAY orders."""
    orders = books.orders
    levels = books.levels
    for each in range(2):
        if side != BOTH_SIDES and side != each:
            continue
        level = books.instruments[instrument * INSTRUMENT_ROW + BEST_BID + each]
        while level != NIL:
            following_level = next_level(levels, level)
            row = levels[level + HEAD]
            while row != NIL:
                following = orders[row + NEXT]
                if kind == ORDER_CANCELLED or orders[row + LEVEL] >> 32 == 0:
                    books.cancel(orders, levels, row, kind, reason)
                row = following
            level = following_level
