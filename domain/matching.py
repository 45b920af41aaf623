"""What submit, cancel, replace and mass cancel do to the books. docs/matching.md is the text; the numbers are its rows.

Pure and total: every command that decodes ends in events, and none raises.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_le
from mypy_extensions import i64

from domain.book import (
    ACCOUNT_LINKS,
    BEST_BID,
    COLLAR,
    EXECUTED,
    FIRST_ORDER,
    HEAD,
    INSTRUMENT_ROW,
    KNOWN,
    LEAVES,
    LEVEL,
    LISTED,
    LOT,
    NEXT,
    NIL,
    OPEN_ORDERS,
    OPEN_ORDERS_MAX,
    PRICE_ACCOUNT,
    ROW,
    SIDE_ID,
    STATE,
    TICK,
    TOTAL,
    TOUCHED,
    Books,
)
from domain.client_ids import well_formed
from domain.codes import (
    BOTH_SIDES,
    BUY,
    BY_MASS_CANCEL,
    BY_REQUEST,
    CANCEL_ONLY,
    CLIENT_ORDER_IDS_EXHAUSTED,
    CLIENT_ORDER_IDS_MAX,
    CLOSED,
    DUPLICATE_CLIENT_ORDER_ID,
    FOK,
    FOK_NOT_FILLABLE,
    GTC,
    HALTED,
    INSTRUMENT_CANCEL_ONLY,
    INSTRUMENT_CLOSED,
    INSTRUMENT_HALTED,
    INVALID_CLIENT_ORDER_ID,
    INVALID_FLAGS,
    INVALID_ORDER_TYPE,
    INVALID_SIDE,
    INVALID_TIME_IN_FORCE,
    IOC_REMAINDER,
    KILLED,
    MARKET,
    MARKET_MUST_BE_IOC_OR_FOK,
    NO_LIQUIDITY,
    NOTHING_TO_REPLACE,
    OPEN,
    OPEN_ORDERS_LIMIT,
    ORDERS_EXHAUSTED,
    ORDERS_MAX,
    PRICE_NOT_ALLOWED,
    PRICE_NOT_ON_TICK,
    PRICE_REQUIRED,
    PRICE_TICKS_MAX,
    QUANTITY_MAX,
    QUANTITY_NOT_ON_LOT,
    QUANTITY_REQUIRED,
    QUANTITY_TOO_LARGE,
    REPLACE_REQUEUE,
    REPLACE_TOTAL,
    REPLACED_TO_NOTHING,
    SELL,
    UNKNOWN_ACCOUNT,
    UNKNOWN_INSTRUMENT,
    UNKNOWN_ORDER,
)
from domain.event_records import (
    MASS_CANCELLED,
    ORDER_CANCELLED,
    ORDER_REPEATED,
    copy_words,
    write_accepted,
    write_cancelled,
    write_executed,
    write_rejected,
    write_replaced,
    write_simple,
)
from domain.tables import LOW
from domain.wire import CANCEL_ORDER, MASS_CANCEL, REPLACE_ORDER, SUBMIT_ORDER

SHAPE_BITS: Final = 0xFFFFFF  # side, order type and time in force, a byte each


def is_instrument(books: Books, instrument: i64) -> bool:
    """Whether the number is listed."""
    at = instrument * INSTRUMENT_ROW
    return at < len(books.instruments) and books.instruments[at + LISTED] != 0


def is_account(books: Books, account: i64) -> bool:
    """Whether the number is registered."""
    at = account * ROW
    return at < len(books.accounts) and books.accounts[at + KNOWN] != 0


def reject(books: Books, head: i64, parties: i64, order_id: i64, terms: i64) -> None:
    """Refuse the command at work. `head` is as in `write_rejected`."""
    books.event_count += 1
    write_rejected(books.out, books.command_index, head, parties, order_id, terms)


# --- submit -------------------------------------------------------------------------------------------------------


def submit(books: Books, data: bytes, at: i64) -> None:
    """Apply the SubmitOrder record at `at`."""
    word = read_i64_le(data, at)
    parties = read_i64_le(data, at + 8)
    terms = read_i64_le(data, at + 16)
    instrument = (parties >> 32) & LOW
    account = parties & LOW
    shape = (word >> 32) & SHAPE_BITS
    length = (word >> 16) & 0xFF
    reason = _identify(books, data, at + 24, length, account, instrument, shape, terms)
    if reason < 0:
        return
    if reason == 0:
        reason = _check_submit(books, account, instrument, shape, terms)
    if reason != 0:
        sides = (shape & 3) | (((shape >> 8) & 3) << 2) | (((shape >> 16) & 3) << 4)
        head = SUBMIT_ORDER | (reason << 8) | (sides << 16) | (length << 24)
        reject(books, head, parties, books.born_id, terms)
        copy_words(books.out, data, at + 24, (length + 7) >> 3)
        return
    sequence = books.next_sequence(instrument)
    full_shape = shape | (length << 24)
    write_accepted(
        books.out, books.command_index, parties, books.born_id, full_shape, terms, sequence
    )
    copy_words(books.out, data, at + 24, (length + 7) >> 3)
    _trade_and_rest(books, account, instrument, shape, terms)


def _identify(
    books: Books,
    data: bytes,
    at: i64,
    length: i64,
    account: i64,
    instrument: i64,
    shape: i64,
    terms: i64,
) -> i64:
    """Checks 1 to 5, and the client order id is used up. -1 where the command is a repeat and was answered."""
    if not is_instrument(books, instrument):
        return UNKNOWN_INSTRUMENT
    if not is_account(books, account):
        return UNKNOWN_ACCOUNT
    if length == 0:
        return 0
    if not well_formed(data, at, length):
        return INVALID_CLIENT_ORDER_ID
    ids = books.client_ids
    cell = ids.find(account, instrument, data, at, length)
    digest = _digest(shape, terms)
    if cell >= 0:
        if ids.digest(cell) != digest:
            return DUPLICATE_CLIENT_ORDER_ID
        books.event_count += 1
        parties = account | (instrument << 32)
        order_id = ids.order_id(cell)
        write_simple(books.out, ORDER_REPEATED, books.command_index, 0, parties, order_id)
        return -1
    if ids.live >= CLIENT_ORDER_IDS_MAX:
        return CLIENT_ORDER_IDS_EXHAUSTED
    ids.add(books.born_id, digest, instrument)
    return 0


def _digest(shape: i64, terms: i64) -> i64:
    """31 bits of an order's side, type, time in force, price and quantity."""
    mixed = ((terms & LOW) * 0x2C1B3C6D) ^ (((terms >> 32) & LOW) * 0x297A2D39)
    mixed = ((mixed ^ (mixed >> 31)) & LOW) * 0x1B56C4E9 + shape * 0x3C6EF373
    return (mixed ^ (mixed >> 29)) & 0x7FFFFFFF


def _check_submit(books: Books, account: i64, instrument: i64, shape: i64, terms: i64) -> i64:
    """Checks 6 to 16; 0 where all hold."""
    book = instrument * INSTRUMENT_ROW
    instruments = books.instruments
    if books.accounts[account * ROW + KNOWN] & 2 != 0:
        return KILLED
    state = instruments[book + STATE]
    if state != OPEN:
        return _closed_reason(state)
    if shape & 0xFF > SELL:
        return INVALID_SIDE
    order_type = (shape >> 8) & 0xFF
    if order_type > MARKET:
        return INVALID_ORDER_TYPE
    tif = shape >> 16
    if tif > FOK:
        return INVALID_TIME_IN_FORCE
    price = terms & LOW
    if order_type == MARKET:
        if tif <= GTC:
            return MARKET_MUST_BE_IOC_OR_FOK
        if price != 0:
            return PRICE_NOT_ALLOWED
    else:
        if price == 0:
            return PRICE_REQUIRED
        if price % instruments[book + TICK] != 0:
            return PRICE_NOT_ON_TICK
    quantity = (terms >> 32) & LOW
    if quantity == 0:
        return QUANTITY_REQUIRED
    if quantity > QUANTITY_MAX:
        return QUANTITY_TOO_LARGE
    if quantity % instruments[book + LOT] != 0:
        return QUANTITY_NOT_ON_LOT
    if tif <= GTC:
        limit = books.accounts[account * ROW + OPEN_ORDERS_MAX]
        if limit != 0 and books.accounts[account * ROW + OPEN_ORDERS] >= limit:
            return OPEN_ORDERS_LIMIT
        if books.order_count >= ORDERS_MAX:
            return ORDERS_EXHAUSTED
    return 0


def _closed_reason(state: i64) -> i64:
    if state == HALTED:
        return INSTRUMENT_HALTED
    return INSTRUMENT_CANCEL_ONLY if state == CANCEL_ONLY else INSTRUMENT_CLOSED


def _trade_and_rest(books: Books, account: i64, instrument: i64, shape: i64, terms: i64) -> None:
    """An accepted order arrives: it trades, and what is left rests or is cancelled."""
    side = shape & 0xFF
    tif = shape >> 16
    quantity = terms >> 32
    is_market = (shape >> 8) & 0xFF == MARKET
    limit = _market_limit(books, instrument, side) if is_market else terms & LOW
    leaves = quantity
    if tif != FOK or _fillable(books, instrument, side, limit, quantity):
        leaves = trade(books, books.born_id, account, instrument, side, limit, quantity)
    if leaves == 0:
        return
    if tif <= GTC:
        side_id = instrument * 2 + side
        executed = quantity - leaves
        books.rest(books.born_id, side_id, limit, account, leaves, executed, tif)
        return
    reason: i64 = FOK_NOT_FILLABLE
    if tif != FOK:
        reason = NO_LIQUIDITY if is_market else IOC_REMAINDER
    sequence = books.next_sequence(instrument)
    left = (terms & LOW) | (leaves << 32)
    parties = account | (instrument << 32)
    cancelled_shape = side | (reason << 8)
    write_cancelled(
        books.out,
        ORDER_CANCELLED,
        books.command_index,
        cancelled_shape,
        parties,
        books.born_id,
        left,
        sequence,
    )


def _market_limit(books: Books, instrument: i64, side: i64) -> i64:
    """The worst price at which a market order may trade; no limit without a collar."""
    book = instrument * INSTRUMENT_ROW
    best = books.instruments[book + BEST_BID + (1 - side)]
    collar = books.instruments[book + COLLAR]
    if collar == 0 or best == NIL:
        return PRICE_TICKS_MAX if side == BUY else 0
    price = books.levels[best]
    return price + collar if side == BUY else price - collar


def _fillable(books: Books, instrument: i64, side: i64, limit: i64, quantity: i64) -> bool:
    """Whether the opposite side holds `quantity` within `limit`."""
    level = books.instruments[instrument * INSTRUMENT_ROW + BEST_BID + (1 - side)]
    while level != NIL:
        price = books.levels[level]
        if (side == BUY and price > limit) or (side == SELL and price < limit):
            return False
        quantity -= books.levels[level + TOTAL]
        if quantity <= 0:
            return True
        level = books.next_level(level)
    return False


def trade(
    books: Books,
    order_id: i64,
    account: i64,
    instrument: i64,
    side: i64,
    limit: i64,
    quantity: i64,
) -> i64:
    """Execute against the opposite side, best price first, oldest first. Returns what is left."""
    best_at = instrument * INSTRUMENT_ROW + BEST_BID + (1 - side)
    while quantity > 0:
        level = books.instruments[best_at]
        if level == NIL:
            break
        price = books.levels[level]
        if (side == BUY and price > limit) or (side == SELL and price < limit):
            break
        if books.levels[level + TOUCHED] != books.serial:
            books.touch(level)
        row = books.levels[level + HEAD]
        while quantity > 0 and row != NIL:
            following = books.orders[row + NEXT]
            quantity = _execute(
                books, row, level, order_id, account | (side << 32), price, quantity, instrument
            )
            row = following
    return quantity


def _execute(
    books: Books,
    row: i64,
    level: i64,
    order_id: i64,
    aggressor: i64,
    price: i64,
    quantity: i64,
    instrument: i64,
) -> i64:
    """Trade with one resting order. `aggressor` is account | side << 32. Returns what the aggressor has left."""
    orders = books.orders
    resting = orders[row + LEAVES]
    traded = resting if resting < quantity else quantity
    quantity -= traded
    resting -= traded
    books.match_number += 1
    sequence = books.next_sequence(instrument)
    write_executed(
        books.out,
        books.command_index | ((aggressor >> 32) << 16),
        order_id,
        (aggressor & LOW) | (quantity << 32),
        orders[row],
        (orders[row + PRICE_ACCOUNT] >> 32) | (resting << 32),
        price | (traded << 32),
        books.match_number,
        sequence,
        instrument,
    )
    if resting == 0:
        books.dequeue(row)
        books.release(row)
    else:
        orders[row + LEAVES] = resting
        orders[row + EXECUTED] += traded
        books.levels[level + TOTAL] -= traded
    return quantity


# --- cancel and replace -------------------------------------------------------------------------------------------


def _aim(books: Books, data: bytes, at: i64, order_id: i64, id_at: i64) -> i64:
    """Row of the order that a cancel or replace names, or minus the reason why there is none."""
    parties = read_i64_le(data, at + 8)
    account = parties & LOW
    if not is_account(books, account):
        return -UNKNOWN_ACCOUNT
    if order_id == 0:
        instrument = (parties >> 32) & LOW
        if not is_instrument(books, instrument):
            return -UNKNOWN_INSTRUMENT
        length = (read_i64_le(data, at) >> 16) & 0xFF
        if length == 0 or not well_formed(data, id_at, length):
            return -UNKNOWN_ORDER
        cell = books.client_ids.find(account, instrument, data, id_at, length)
        if cell < 0:
            return -UNKNOWN_ORDER
        order_id = books.client_ids.order_id(cell)
    row = books.find(order_id)
    if row == NIL or books.orders[row + PRICE_ACCOUNT] >> 32 != account:
        return -UNKNOWN_ORDER
    return row


def cancel(books: Books, data: bytes, at: i64) -> None:
    """Apply the CancelOrder record at `at`."""
    order_id = read_i64_le(data, at + 16)
    row = _aim(books, data, at, order_id, at + 24)
    if row < 0:
        _reject_aimed(books, data, at, CANCEL_ORDER, -row, at + 24)
        return
    books.cancel(row, ORDER_CANCELLED, BY_REQUEST)


def _reject_aimed(books: Books, data: bytes, at: i64, kind: i64, reason: i64, id_at: i64) -> None:
    length = (read_i64_le(data, at) >> 16) & 0xFF
    terms = read_i64_le(data, at + 24) if kind == REPLACE_ORDER else 0
    head = kind | (reason << 8) | (length << 24)
    reject(books, head, read_i64_le(data, at + 8), read_i64_le(data, at + 16), terms)
    copy_words(books.out, data, id_at, (length + 7) >> 3)


def replace(books: Books, data: bytes, at: i64) -> None:
    """Apply the ReplaceOrder record at `at`."""
    row = _aim(books, data, at, read_i64_le(data, at + 16), at + 32)
    if row < 0:
        _reject_aimed(books, data, at, REPLACE_ORDER, -row, at + 32)
        return
    flags = (read_i64_le(data, at) >> 24) & 0xFF
    terms = read_i64_le(data, at + 24)
    price, quantity = terms & LOW, (terms >> 32) & LOW
    orders = books.orders
    old_price, old_leaves = orders[row + PRICE_ACCOUNT] & LOW, orders[row + LEAVES]
    leaves = old_leaves
    if quantity != 0:
        leaves = quantity - orders[row + EXECUTED] if flags & REPLACE_TOTAL != 0 else quantity
    if price == 0:
        price = old_price
    keeps = price == old_price and leaves <= old_leaves and flags & REPLACE_REQUEUE == 0
    reason = _check_replace(books, row, flags, terms, leaves, keeps or leaves <= 0)
    if reason != 0:
        _reject_aimed(books, data, at, REPLACE_ORDER, reason, at + 32)
    elif leaves <= 0:
        books.cancel(row, ORDER_CANCELLED, REPLACED_TO_NOTHING)
    elif keeps:
        _reduce(books, row, leaves)
    else:
        _requeue(books, row, price, leaves)


def _check_replace(books: Books, row: i64, flags: i64, terms: i64, leaves: i64, keeps: bool) -> i64:
    side_id = books.levels[(books.orders[row + LEVEL] & LOW) + SIDE_ID]
    book = (side_id >> 1) * INSTRUMENT_ROW
    state = books.instruments[book + STATE]
    if flags & ~(REPLACE_REQUEUE | REPLACE_TOTAL) != 0:
        return INVALID_FLAGS
    if terms == 0:
        return NOTHING_TO_REPLACE
    if state == HALTED or state == CLOSED:
        return _closed_reason(state)
    if (terms & LOW) % books.instruments[book + TICK] != 0:
        return PRICE_NOT_ON_TICK
    quantity = (terms >> 32) & LOW
    if quantity > QUANTITY_MAX:
        return QUANTITY_TOO_LARGE
    if quantity % books.instruments[book + LOT] != 0:
        return QUANTITY_NOT_ON_LOT
    if books.orders[row + EXECUTED] + leaves > QUANTITY_MAX:
        return QUANTITY_TOO_LARGE
    if state == CANCEL_ONLY and not keeps:
        return INSTRUMENT_CANCEL_ONLY
    return 0


def _replaced(books: Books, row: i64, price: i64, leaves: i64, side_id: i64, kept: i64) -> None:
    orders = books.orders
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


def _reduce(books: Books, row: i64, leaves: i64) -> None:
    """Less quantity at the same price: the order keeps its place."""
    level = books.orders[row + LEVEL] & LOW
    side_id = books.levels[level + SIDE_ID]
    _replaced(books, row, books.orders[row + PRICE_ACCOUNT] & LOW, leaves, side_id, 1)
    if books.levels[level + TOUCHED] != books.serial:
        books.touch(level)
    books.levels[level + TOTAL] -= books.orders[row + LEAVES] - leaves
    books.orders[row + LEAVES] = leaves


def _requeue(books: Books, row: i64, price: i64, leaves: i64) -> None:
    """The order leaves its place and arrives again."""
    orders = books.orders
    side_id = books.levels[(orders[row + LEVEL] & LOW) + SIDE_ID]
    side, instrument = side_id & 1, side_id >> 1
    _replaced(books, row, price, leaves, side_id, 0)
    books.dequeue(row)
    account = orders[row + PRICE_ACCOUNT] >> 32
    left = trade(books, orders[row], account, instrument, side, price, leaves)
    orders[row + EXECUTED] += leaves - left
    orders[row + LEAVES] = left
    if left == 0:
        books.release(row)
    else:
        books.enqueue(row, side_id, price)


# --- many at once -------------------------------------------------------------------------------------------------


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
    row = books.accounts[account * ROW + FIRST_ORDER]
    while row != NIL:
        following = (books.orders[row + ACCOUNT_LINKS] & LOW) - 1
        side_id = books.levels[(books.orders[row + LEVEL] & LOW) + SIDE_ID]
        if (instrument == 0 or side_id >> 1 == instrument) and (
            side == BOTH_SIDES or side_id & 1 == side
        ):
            books.cancel(row, ORDER_CANCELLED, reason)
        row = following


def cancel_book(books: Books, instrument: i64, side: i64, kind: i64, reason: i64) -> None:
    """Cancel one instrument's orders; with `kind` expired, only its DAY orders."""
    for each in range(2):
        if side != BOTH_SIDES and side != each:
            continue
        level = books.instruments[instrument * INSTRUMENT_ROW + BEST_BID + each]
        while level != NIL:
            following_level = books.next_level(level)
            row = books.levels[level + HEAD]
            while row != NIL:
                following = books.orders[row + NEXT]
                if kind == ORDER_CANCELLED or books.orders[row + LEVEL] >> 32 == 0:
                    books.cancel(row, kind, reason)
                row = following
            level = following_level
