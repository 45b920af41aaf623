"""What a submit does to the books. docs/matching.md is the text; the
numbers are its rows.

Pure and total: every command that decodes ends in events, and none raises.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_le
from librt.vecs import vec
from mypy_extensions import i64

from domain.book import Books, next_level
from domain.client_ids import rest_of, scope_of, well_formed
from domain.codes import (
    BUY,
    CANCEL_ONLY,
    CLIENT_ORDER_IDS_EXHAUSTED,
    CLIENT_ORDER_IDS_MAX,
    DUPLICATE_CLIENT_ORDER_ID,
    FOK,
    FOK_NOT_FILLABLE,
    GTC,
    HALTED,
    INSTRUMENT_CANCEL_ONLY,
    INSTRUMENT_CLOSED,
    INSTRUMENT_HALTED,
    INVALID_CLIENT_ORDER_ID,
    INVALID_ORDER_TYPE,
    INVALID_SIDE,
    INVALID_TIME_IN_FORCE,
    IOC_REMAINDER,
    KILLED,
    MARKET,
    MARKET_MUST_BE_IOC_OR_FOK,
    NO_LIQUIDITY,
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
    SELL,
    UNKNOWN_ACCOUNT,
    UNKNOWN_INSTRUMENT,
)
from domain.event_records import (
    ORDER_CANCELLED,
    ORDER_REPEATED,
    copy_words,
    write_accepted,
    write_cancelled,
    write_executed,
    write_rejected,
    write_simple,
)
from domain.hints import AHEAD_MASK
from domain.rows import (
    BEST_BID,
    COLLAR,
    EXECUTED,
    HEAD,
    INSTRUMENT_ROW,
    KNOWN,
    LEAVES,
    LISTED,
    LOT,
    NEXT,
    NIL,
    OPEN_ORDERS,
    OPEN_ORDERS_MAX,
    PRICE_ACCOUNT,
    ROW,
    SEQUENCE,
    STATE,
    TICK,
    TOTAL,
    TOUCHED,
    TRADING_DAY,
)
from domain.tables import LOW
from domain.wire import SUBMIT_ORDER

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


# --- submit ---------------------------------------------------------------------------------------


def submit(books: Books, data: bytes, at: i64) -> None:
    """Apply the SubmitOrder record at `at`."""
    word = read_i64_le(data, at)
    parties = read_i64_le(data, at + 8)
    terms = read_i64_le(data, at + 16)
    shape = (word >> 32) & SHAPE_BITS
    length = (word >> 16) & 0xFF
    instruments = books.instruments
    accounts = books.accounts
    book = ((parties >> 32) & LOW) * INSTRUMENT_ROW
    owner = (parties & LOW) * ROW
    reason: i64 = 0
    if book >= len(instruments) or instruments[book + LISTED] == 0:
        reason = UNKNOWN_INSTRUMENT
    elif owner >= len(accounts) or accounts[owner + KNOWN] == 0:
        reason = UNKNOWN_ACCOUNT
    elif length > 0:
        reason = _identify(books, instruments, data, at + 24, length, parties, shape, terms)
        if reason < 0:
            return
    if reason == 0:
        reason = _check_submit(instruments, accounts, book, owner, shape, terms, books.order_count)
    out = books.out
    if reason != 0:
        sides = (shape & 3) | (((shape >> 8) & 3) << 2) | (((shape >> 16) & 3) << 4)
        head = SUBMIT_ORDER | (reason << 8) | (sides << 16) | (length << 24)
        reject(books, head, parties, books.born_id, terms)
        copy_words(out, data, at + 24, (length + 7) >> 3)
        return
    sequence = instruments[book + SEQUENCE] + 1
    instruments[book + SEQUENCE] = sequence
    books.event_count += 1
    full_shape = shape | (length << 24)
    write_accepted(out, books.command_index, parties, books.born_id, full_shape, terms, sequence)
    if length > 0:
        copy_words(out, data, at + 24, (length + 7) >> 3)
    _trade_and_rest(books, instruments, parties, shape, terms)


def _identify(
    books: Books,
    instruments: vec[i64],
    data: bytes,
    at: i64,
    length: i64,
    parties: i64,
    shape: i64,
    terms: i64,
) -> i64:
    """Checks 3 to 5, and the client order id is used up. -1 where the command is a repeat and was
    answered.
    """
    if not well_formed(data, at, length):
        return INVALID_CLIENT_ORDER_ID
    ids = books.client_ids
    instrument = parties >> 32
    day = instruments[instrument * INSTRUMENT_ROW + TRADING_DAY]
    scope = scope_of(parties & LOW, instrument, day, length)
    order_id = ids.find(scope, data, at, length, books.command_index & AHEAD_MASK)
    digest = _digest(shape, terms)
    if order_id != 0:
        if ids.digest != digest:
            return DUPLICATE_CLIENT_ORDER_ID
        books.event_count += 1
        write_simple(books.out, ORDER_REPEATED, books.command_index, 0, parties, order_id)
        return -1
    if ids.live >= CLIENT_ORDER_IDS_MAX:
        return CLIENT_ORDER_IDS_EXHAUSTED
    ids.add(books.born_id, rest_of(digest, instrument, day), instruments)
    return 0


def _digest(shape: i64, terms: i64) -> i64:
    """31 bits of an order's side, type, time in force, price and quantity."""
    mixed = ((terms & LOW) * 0x2C1B3C6D) ^ (((terms >> 32) & LOW) * 0x297A2D39)
    mixed = ((mixed ^ (mixed >> 31)) & LOW) * 0x1B56C4E9 + shape * 0x3C6EF373
    return (mixed ^ (mixed >> 29)) & 0x7FFFFFFF


def _check_submit(
    instruments: vec[i64],
    accounts: vec[i64],
    book: i64,
    owner: i64,
    shape: i64,
    terms: i64,
    order_count: i64,
) -> i64:
    """Checks 6 to 16; 0 where all hold."""
    if accounts[owner + KNOWN] & 2 != 0:
        return KILLED
    state = instruments[book + STATE]
    if state != OPEN:
        return closed_reason(state)
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
    lot = instruments[book + LOT]
    if lot != 1 and quantity % lot != 0:
        return QUANTITY_NOT_ON_LOT
    if tif <= GTC:
        limit = accounts[owner + OPEN_ORDERS_MAX]
        if limit != 0 and accounts[owner + OPEN_ORDERS] >= limit:
            return OPEN_ORDERS_LIMIT
        if order_count >= ORDERS_MAX:
            return ORDERS_EXHAUSTED
    return 0


def closed_reason(state: i64) -> i64:
    """Why a state that is not open refuses."""
    if state == HALTED:
        return INSTRUMENT_HALTED
    return INSTRUMENT_CANCEL_ONLY if state == CANCEL_ONLY else INSTRUMENT_CLOSED


def _trade_and_rest(
    books: Books, instruments: vec[i64], parties: i64, shape: i64, terms: i64
) -> None:
    """An accepted order arrives: it trades, and what is left rests or is cancelled."""
    side = shape & 0xFF
    tif = shape >> 16
    quantity = terms >> 32
    limit = terms & LOW
    instrument = parties >> 32
    orders = books.orders
    levels = books.levels
    is_market = (shape >> 8) & 0xFF == MARKET
    if is_market:
        limit = _market_limit(instruments, levels, instrument, side)
    leaves = quantity
    if tif != FOK or _fillable(instruments, levels, instrument, side, limit, quantity):
        aggressor = (parties & LOW) | (side << 32)
        leaves = trade(
            books, orders, levels, instruments, books.born_id, aggressor, instrument, limit, leaves
        )
    if leaves == 0:
        return
    if tif <= GTC:
        books.rest(
            orders,
            levels,
            books.born_id,
            instrument * 2 + side,
            limit | ((parties & LOW) << 32),
            leaves,
            quantity - leaves,
            tif,
        )
        return
    reason: i64 = FOK_NOT_FILLABLE
    if tif != FOK:
        reason = NO_LIQUIDITY if is_market else IOC_REMAINDER
    write_cancelled(
        books.out,
        ORDER_CANCELLED,
        books.command_index,
        side | (reason << 8),
        parties,
        books.born_id,
        (terms & LOW) | (leaves << 32),
        books.next_sequence(instrument),
    )


def _market_limit(instruments: vec[i64], levels: vec[i64], instrument: i64, side: i64) -> i64:
    """The worst price at which a market order may trade; no limit without a collar."""
    book = instrument * INSTRUMENT_ROW
    best = instruments[book + BEST_BID + (1 - side)]
    collar = instruments[book + COLLAR]
    if collar == 0 or best == NIL:
        return PRICE_TICKS_MAX if side == BUY else 0
    price = levels[best] & LOW
    return price + collar if side == BUY else price - collar


def _fillable(
    instruments: vec[i64],
    levels: vec[i64],
    instrument: i64,
    side: i64,
    limit: i64,
    quantity: i64,
) -> bool:
    """Whether the opposite side holds `quantity` within `limit`."""
    level = instruments[instrument * INSTRUMENT_ROW + BEST_BID + (1 - side)]
    while level != NIL:
        price = levels[level] & LOW
        if (side == BUY and price > limit) or (side == SELL and price < limit):
            return False
        quantity -= levels[level + TOTAL]
        if quantity <= 0:
            return True
        level = next_level(levels, level)
    return False


def trade(
    books: Books,
    orders: vec[i64],
    levels: vec[i64],
    instruments: vec[i64],
    order_id: i64,
    aggressor: i64,
    instrument: i64,
    limit: i64,
    quantity: i64,
) -> i64:
    """Execute against the opposite side, best price first, oldest first; `aggressor` is account |
    side << 32. Returns what is left.
    """
    side = aggressor >> 32
    best_at = instrument * INSTRUMENT_ROW + BEST_BID + (1 - side)
    while quantity > 0:
        level = instruments[best_at]
        if level == NIL:
            break
        price = levels[level] & LOW
        if (side == BUY and price > limit) or (side == SELL and price < limit):
            break
        if levels[level + TOUCHED] == 0:
            books.touch(levels, level)
        row = levels[level + HEAD]
        while quantity > 0 and row != NIL:
            following = orders[row + NEXT]
            resting = orders[row + LEAVES]
            traded = resting if resting < quantity else quantity
            quantity -= traded
            resting -= traded
            books.match_number += 1
            write_executed(
                books.out,
                books.command_index | (side << 16),
                order_id,
                (aggressor & LOW) | (quantity << 32),
                orders[row],
                (orders[row + PRICE_ACCOUNT] >> 32) | (resting << 32),
                price | (traded << 32),
                books.match_number,
                books.next_sequence(instrument),
                instrument,
            )
            if resting == 0:
                books.dequeue(orders, levels, row)
                books.release(orders, row)
            else:
                orders[row + LEAVES] = resting
                orders[row + EXECUTED] += traded
                levels[level + TOTAL] -= traded
            row = following
    return quantity
