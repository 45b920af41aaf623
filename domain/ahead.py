"""Looking ahead: what the next commands will search for is searched for before they are applied.

A client order id's slot, an order's row or a page of prices is most often in no cache, and a
command at work waits for each. Here the same place of many commands is read in one short loop, so
that a processor waits for many at once; when the command comes, its lines are there.

Guarantees: nothing is changed that a later answer depends on (`domain.hints`).
"""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from domain.book import Books
from domain.client_ids import scope_of
from domain.codes import GTC
from domain.hints import AHEAD
from domain.rows import (
    INSTRUMENT_ROW,
    LEVEL,
    LISTED,
    NEXT,
    NIL,
    PAGE_BITS,
    PRICE_MASK,
    TAIL,
    TICK,
    TRADING_DAY,
)
from domain.tables import LOW, level_at
from domain.wire import CANCEL_ORDER, REPLACE_ORDER, SUBMIT_ORDER


def look_ahead(books: Books, data: bytes, at: i64) -> i64:
    """Look at the commands from byte `at` on, AHEAD of them at most. Returns where the first that
    was not looked at begins.
    """
    hints = books.hints
    hints.row = NIL
    hints.in_use = books.order_count >= hints.orders_min
    count: i64 = 0
    size: i64 = len(data)
    ids = books.client_ids
    instruments = books.instruments
    start = at
    while count < AHEAD and at < size:
        word = read_i64_le(data, at)
        length = (word >> 16) & 0xFF
        scope: i64 = 0
        if word & 0xFF == SUBMIT_ORDER and length > 0:
            parties = read_i64_le(data, at + 8)
            instrument = (parties >> 32) & LOW
            book = instrument * INSTRUMENT_ROW
            if book < len(instruments):
                scope = scope_of(parties & LOW, instrument, instruments[book + TRADING_DAY], length)
                ids.hash_id(scope, data, at + 24, length)
        ids.foresee(count, scope)
        count += 1
        at += ((word >> 8) & 0xFF) << 3
    ids.touch(count)
    if hints.in_use:
        _want(books, data, start, at)
        _find(books, count)
        _touch(books, count)
    return at


def _want(books: Books, data: bytes, at: i64, end: i64) -> None:
    """The order that each command names, or the side and price at which its order may rest."""
    wanted = books.hints.wanted
    instruments = books.instruments
    place: i64 = 0
    while at < end:
        word = read_i64_le(data, at)
        kind = word & 0xFF
        key: i64 = 0
        if kind == SUBMIT_ORDER and (word >> 48) & 0xFF <= GTC:
            instrument = (read_i64_le(data, at + 8) >> 32) & LOW
            book = instrument * INSTRUMENT_ROW
            if book < len(instruments) and instruments[book + LISTED] != 0:
                step = (read_i64_le(data, at + 16) & LOW) // instruments[book + TICK]
                key = -(step | (instrument << 36) | (((word >> 32) & 1) << 35))
        elif kind == CANCEL_ORDER or kind == REPLACE_ORDER:
            key = read_i64_le(data, at + 16)
            if key < 0:
                key = 0
        wanted[place] = key
        place += 1
        at += ((word >> 8) & 0xFF) << 3


def _find(books: Books, count: i64) -> None:
    """The row of each order or page that is wanted."""
    wanted = books.hints.wanted
    rows = books.hints.rows
    orders = books.orders
    pages = books.pages
    at: i64 = 0
    while at < count:
        key = wanted[at]
        row: i64 = NIL
        if key > 0:
            row = books.by_id.get(key, orders)
        elif key < 0:
            row = books.by_page.get((-key) >> PAGE_BITS, pages)
        rows[at] = row
        at += 1


def _touch(books: Books, count: i64) -> None:
    """Read what lies beside the rows found: an order's level and neighbour, a price's level."""
    wanted = books.hints.wanted
    rows = books.hints.rows
    orders = books.orders
    levels = books.levels
    pages = books.pages
    seen: i64 = 0
    at: i64 = 0
    while at < count:
        row = rows[at]
        if row != NIL:
            key = wanted[at]
            if key > 0:
                seen ^= levels[orders[row + LEVEL] & LOW]
                following = orders[row + NEXT]
                if following != NIL:
                    seen ^= orders[following]
            else:
                level = level_at(pages, row, (-key) & PRICE_MASK)
                if level != NIL:
                    seen ^= levels[level + TAIL]
        at += 1
    books.hints.seen = seen
