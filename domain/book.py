"""All books of a shard: orders, levels, pages of prices and the lists that tie them, in flat pools.

An order, a level and a page are each one 64-byte row of a `vec[i64]`, one cache line; a link is a
row number. Rows are used again, so memory follows the live orders and levels. docs/engine.md draws
the layout.

Guarantees: a side's levels that hold orders are in one list, best first; their pages know them by
bits, and the index knows their pages; an emptied level keeps its row until its command is told, an
emptied page for a bounded while.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter
from librt.vecs import append, vec
from mypy_extensions import i64

from domain.client_ids import ClientIds
from domain.event_records import write_cancelled, write_level
from domain.hints import Hints
from domain.rows import (
    ACCOUNT_LINKS,
    BEST_BID,
    COUNT,
    EXECUTED,
    FIRST_ORDER,
    HEAD,
    INDEXED,
    INSTRUMENT_ROW,
    LAST_ORDER,
    LEAVES,
    LEVEL,
    LEVEL_ROWS,
    LINKS,
    NEXT,
    NIL,
    OPEN_ORDERS,
    PAGE,
    PAGE_BITS,
    PREVIOUS,
    PRICE_ACCOUNT,
    PRICE_MASK,
    PRICES,
    ROW,
    SEQUENCE,
    TAIL,
    TICK,
    TOTAL,
    TOUCHED,
    WAITING,
)
from domain.tables import ABSENT, LOW, PageIndex, RowMap, highest_bit, level_at, lowest_bit, zeros

LAST: Final = -1  # of a list whose links are row + 1
ROWS_GROWN: Final = 64
WAITING_PAGES_MIN: Final = 8192
STEPS_FROM_TOP_MAX: Final = 8


@final
class Books:
    """The state that matching works on. Rows are named by their first word's index, `row × ROW`.

    Hot code hands the pools' vectors on: to read one from an attribute counts references, which
    was a quarter of a message's cost. They stay good for a whole command, because `reserve` makes
    the room that it may need.
    """

    def __init__(self, salt: bytes) -> None:
        seed = int.from_bytes(salt[:8], "little") & 0x3FFFFFFF
        self.orders: vec[i64] = zeros(0)
        self.free_order: i64 = NIL
        self.order_count: i64 = 0
        self.levels: vec[i64] = zeros(0)
        self.free_level: i64 = NIL
        self.pages: vec[i64] = zeros(0)
        self.free_page: i64 = NIL
        # Empty pages keep their rows for a while: prices come and go. The oldest is first.
        self.first_waiting: i64 = NIL
        self.last_waiting: i64 = NIL
        self.waiting_count: i64 = 0
        self.instruments: vec[i64] = zeros(INSTRUMENT_ROW)
        self.accounts: vec[i64] = zeros(ROW)
        self.by_id: RowMap = RowMap(3)
        self.by_page: RowMap = RowMap(2, seed)
        self.index: PageIndex = PageIndex(seed)
        self.client_ids: ClientIds = ClientIds(salt)
        self.first_touched: i64 = NIL
        self.last_touched: i64 = NIL
        self.match_number: i64 = 0
        self.out: BytesWriter = BytesWriter()
        self.event_count: i64 = 0
        self.command_index: i64 = 0
        self.hints: Hints = Hints()
        self.born_id: i64 = 0  # the order id that the command at work gives to a new order

    def reserve(self) -> None:
        """Make room for what one command may need: an order, a level and a page."""
        if self.free_order == NIL:
            self.orders, self.free_order = _grown(self.orders, NEXT)
        if self.free_level == NIL:
            self.levels, self.free_level = _grown(self.levels, LINKS)
            level = self.free_level
            while level != NIL:
                self.levels[level + TAIL] = NIL
                level = self.levels[level + LINKS]
        if self.free_page == NIL:
            self.pages, self.free_page = _grown(self.pages, LEVEL_ROWS)

    # --- orders -----------------------------------------------------------------------------------

    def find(self, orders: vec[i64], order_id: i64) -> i64:
        """Row of a resting order, or NIL."""
        if order_id <= 0:
            return NIL
        return self.by_id.get(order_id, orders)

    def rest(
        self,
        orders: vec[i64],
        levels: vec[i64],
        order_id: i64,
        side_id: i64,
        terms: i64,
        leaves: i64,
        executed: i64,
        tif: i64,
    ) -> None:
        """A new order, `terms` price | account << 32, comes to the end of its level's queue and of
        its account's list.
        """
        row = self.place(orders, levels, order_id, side_id, terms, leaves, executed, tif)
        self.join_account(orders, row, terms >> 32)

    def place(
        self,
        orders: vec[i64],
        levels: vec[i64],
        order_id: i64,
        side_id: i64,
        terms: i64,
        leaves: i64,
        executed: i64,
        tif: i64,
    ) -> i64:
        """Put an order at the end of its level's queue, and on no account's list. Its row."""
        row = self.free_order
        assert row != NIL, "reserve was called"
        self.free_order = orders[row + NEXT]
        orders[row] = order_id
        orders[row + PRICE_ACCOUNT] = terms
        orders[row + LEAVES] = leaves
        orders[row + EXECUTED] = executed
        orders[row + LEVEL] = tif << 32
        self.order_count += 1
        self.by_id.put(order_id, row)
        self.enqueue(orders, levels, row, side_id, terms & LOW)
        return row

    def enqueue(
        self, orders: vec[i64], levels: vec[i64], row: i64, side_id: i64, price: i64
    ) -> None:
        """Put an order that is on no level at the end of a level's queue."""
        pages = self.pages
        step = price // self.instruments[(side_id >> 1) * INSTRUMENT_ROW + TICK]
        key = (side_id << 32) | (step >> PAGE_BITS)
        page = self.hints.row
        if page < 0 or pages[page] != key:
            page = self.by_page.get(key, pages)
        if page == ABSENT:
            page = self._new_page(pages, key)
        place = step & PRICE_MASK
        level = level_at(pages, page, place)
        if level == NIL:
            level = self.free_level
            assert level != NIL, "reserve was called"
            self.free_level = levels[level + LINKS]
            levels[level] = price | (side_id << 32)
            levels[level + PAGE] = page | (place << 32)
            pages[page + LEVEL_ROWS + (place >> 1)] |= (level + 1) << ((place & 1) << 5)
        tail = levels[level + TAIL]
        orders[row + PRICE_ACCOUNT] = price | ((orders[row + PRICE_ACCOUNT] >> 32) << 32)
        orders[row + LEVEL] = level | ((orders[row + LEVEL] >> 32) << 32)
        orders[row + NEXT] = NIL
        orders[row + PREVIOUS] = tail
        count = levels[level + COUNT]
        if count == 0:
            levels[level + HEAD] = row
            self._show(levels, level, side_id)
        else:
            orders[tail + NEXT] = row
        levels[level + TAIL] = row
        levels[level + TOTAL] += orders[row + LEAVES]
        levels[level + COUNT] = count + 1
        if levels[level + TOUCHED] == 0:
            self.touch(levels, level)

    def dequeue(self, orders: vec[i64], levels: vec[i64], row: i64) -> None:
        """Take an order, with all its leaves, out of its level's queue."""
        level = orders[row + LEVEL] & LOW
        following = orders[row + NEXT]
        previous = orders[row + PREVIOUS]
        if levels[level + TOUCHED] == 0:
            self.touch(levels, level)
        levels[level + TOTAL] -= orders[row + LEAVES]
        count = levels[level + COUNT] - 1
        levels[level + COUNT] = count
        if previous == NIL:
            levels[level + HEAD] = following
        else:
            orders[previous + NEXT] = following
        if following == NIL:
            levels[level + TAIL] = previous
        else:
            orders[following + PREVIOUS] = previous
        if count == 0:
            self._hide(levels, level)

    def release(self, orders: vec[i64], row: i64) -> None:
        """Forget an order that is on no level any more."""
        self.by_id.remove(orders[row], row)
        self._leave_account(orders, row, orders[row + PRICE_ACCOUNT] >> 32)
        orders[row] = 0
        orders[row + NEXT] = self.free_order
        self.free_order = row
        self.order_count -= 1

    def cancel(self, orders: vec[i64], levels: vec[i64], row: i64, kind: i64, reason: i64) -> None:
        """Take an order off, with its event (`kind` cancelled or expired)."""
        side_id = levels[orders[row + LEVEL] & LOW] >> 32
        terms = orders[row + PRICE_ACCOUNT]
        parties = (terms >> 32) | ((side_id >> 1) << 32)
        quantity_word = (terms & LOW) | (orders[row + LEAVES] << 32)
        order_id = orders[row]
        self.dequeue(orders, levels, row)
        self.release(orders, row)
        shape = (side_id & 1) | (reason << 8)
        sequence = self.next_sequence(side_id >> 1)
        write_cancelled(
            self.out, kind, self.command_index, shape, parties, order_id, quantity_word, sequence
        )

    def next_sequence(self, instrument: i64) -> i64:
        """The number of the event that a book is about to have."""
        instruments = self.instruments
        at = instrument * INSTRUMENT_ROW + SEQUENCE
        sequence = instruments[at] + 1
        instruments[at] = sequence
        self.event_count += 1
        return sequence

    # --- an account's orders, oldest first --------------------------------------------------------

    def join_account(self, orders: vec[i64], row: i64, account: i64) -> None:
        """Put an order at the end of its account's list."""
        accounts = self.accounts
        at = account * ROW
        last = accounts[at + LAST_ORDER]
        orders[row + ACCOUNT_LINKS] = (last + 1) << 32
        if last == NIL:
            accounts[at + FIRST_ORDER] = row
        else:
            links = orders[last + ACCOUNT_LINKS]
            orders[last + ACCOUNT_LINKS] = ((links >> 32) << 32) | (row + 1)
        accounts[at + LAST_ORDER] = row
        accounts[at + OPEN_ORDERS] += 1

    def _leave_account(self, orders: vec[i64], row: i64, account: i64) -> None:
        accounts = self.accounts
        at = account * ROW
        links = orders[row + ACCOUNT_LINKS]
        following = (links & LOW) - 1
        previous = (links >> 32) - 1
        if previous == NIL:
            accounts[at + FIRST_ORDER] = following
        else:
            links = orders[previous + ACCOUNT_LINKS]
            orders[previous + ACCOUNT_LINKS] = ((links >> 32) << 32) | (following + 1)
        if following == NIL:
            accounts[at + LAST_ORDER] = previous
        else:
            links = orders[following + ACCOUNT_LINKS]
            orders[following + ACCOUNT_LINKS] = (links & LOW) | ((previous + 1) << 32)
        accounts[at + OPEN_ORDERS] -= 1

    # --- levels -----------------------------------------------------------------------------------

    def _new_page(self, pages: vec[i64], key: i64) -> i64:
        page = self.free_page
        assert page != NIL, "reserve was called"
        self.free_page = pages[page + LEVEL_ROWS]
        pages[page] = key
        pages[page + LEVEL_ROWS] = 0
        self.by_page.put(key, page)
        return page

    def _free_level(self, levels: vec[i64], level: i64) -> None:
        """Give up the row of an empty level; what else it holds is as a new one has it. Its page
        waits where it was the last.
        """
        pages = self.pages
        page = levels[level + PAGE] & LOW
        place = levels[level + PAGE] >> 32
        links_at = page + LEVEL_ROWS + (place >> 1)
        links = pages[links_at]
        pages[links_at] = (links >> 32) << 32 if place & 1 == 0 else links & LOW
        levels[level] = 0
        levels[level + LINKS] = self.free_level
        self.free_level = level
        if pages[page + PRICES] == 0 and pages[page + WAITING] == 0:
            self._retire(pages, page)

    def _show(self, levels: vec[i64], level: i64, side_id: i64) -> None:
        """The first order came to a level: put it on its side's list, best first, and tell its page
        and the index.
        """
        instruments = self.instruments
        at = (side_id >> 1) * INSTRUMENT_ROW + BEST_BID + (side_id & 1)
        best = instruments[at]
        sign: i64 = 1 - ((side_id & 1) << 1)  # a better price is a higher bid or a lower ask
        if best == NIL or sign * levels[level] > sign * levels[best]:
            instruments[at] = level
            levels[level + LINKS] = (best + 1) << 32
            worse = best
        else:
            better = self._better(levels, level, best, sign)
            worse = (levels[better + LINKS] >> 32) - 1
            levels[better + LINKS] = (levels[better + LINKS] & LOW) | ((level + 1) << 32)
            levels[level + LINKS] = (better + 1) | ((worse + 1) << 32)
        if worse != NIL:
            levels[worse + LINKS] = ((levels[worse + LINKS] >> 32) << 32) | (level + 1)
        pages = self.pages
        page = levels[level + PAGE] & LOW
        bit: i64 = 1
        pages[page + PRICES] |= bit << (levels[level + PAGE] >> 32)
        if pages[page + INDEXED] == 0:
            pages[page + INDEXED] = 1
            self.index.add(side_id, pages[page] & LOW)

    def _better(self, levels: vec[i64], level: i64, best: i64, sign: i64) -> i64:
        """The worst level of the list that is better than `level`; there is one.

        It is most often in the same page or near the top; the index always finds it.
        """
        pages = self.pages
        page = levels[level + PAGE] & LOW
        place = levels[level + PAGE] >> 32
        prices = pages[page + PRICES]
        bit: i64 = 1
        prices = (prices >> place) << place if sign > 0 else prices & ((bit << place) - 1)
        if prices == 0:
            key = sign * levels[level]
            steps: i64 = 0
            while steps < STEPS_FROM_TOP_MAX:
                if ends_before(levels, best, key, sign):
                    return best
                best = (levels[best + LINKS] >> 32) - 1
                steps += 1
            page = self._better_page(pages, page, sign)
            prices = pages[page + PRICES]
        return level_at(pages, page, lowest_bit(prices) if sign > 0 else highest_bit(prices))

    def _better_page(self, pages: vec[i64], page: i64, sign: i64) -> i64:
        """The next page that holds better prices; there is one. Emptied pages on the way leave the
        index, which is told of them here alone: prices that come and go cost it nothing.
        """
        side_id = pages[page] >> 32
        number = pages[page] & LOW
        while True:
            if sign > 0:
                number = self.index.above(side_id, number)
            else:
                number = self.index.below(side_id, number)
            page = self.by_page.get((side_id << 32) | number, pages)
            if pages[page + PRICES] != 0:
                return page
            pages[page + INDEXED] = 0
            self.index.discard(side_id, number)

    def _hide(self, levels: vec[i64], level: i64) -> None:
        """The last order left a level: take it off its side's list and its page."""
        better = (levels[level + LINKS] & LOW) - 1
        worse = (levels[level + LINKS] >> 32) - 1
        if better == NIL:
            side_id = levels[level] >> 32
            at = (side_id >> 1) * INSTRUMENT_ROW + BEST_BID + (side_id & 1)
            self.instruments[at] = worse
        else:
            levels[better + LINKS] = (levels[better + LINKS] & LOW) | ((worse + 1) << 32)
        if worse != NIL:
            levels[worse + LINKS] = ((levels[worse + LINKS] >> 32) << 32) | (better + 1)
        pages = self.pages
        page = levels[level + PAGE] & LOW
        bit: i64 = 1
        pages[page + PRICES] &= ~(bit << (levels[level + PAGE] >> 32))

    def touch(self, levels: vec[i64], level: i64) -> None:
        """Remember, once, that the command at work changed a level."""
        last = self.last_touched
        if last == NIL:
            self.first_touched = level
        else:
            levels[last + TOUCHED] = level + 1
        levels[level + TOUCHED] = LAST
        self.last_touched = level

    def flush_levels(self) -> None:
        """Tell of every level that the command touched, in the order in which it was touched."""
        level = self.first_touched
        if level == NIL:
            return
        levels = self.levels
        out = self.out
        while level != NIL:
            key = levels[level]
            side_id = key >> 32
            instrument = side_id >> 1
            following = levels[level + TOUCHED]
            levels[level + TOUCHED] = 0
            count = levels[level + COUNT]
            head = self.command_index | ((side_id & 1) << 16)
            place = count | (instrument << 32)
            sequence = self.next_sequence(instrument)
            write_level(out, head, place, key & LOW, levels[level + TOTAL], sequence)
            if count == 0:
                self._free_level(levels, level)
            level = NIL if following == LAST else following - 1
        self.first_touched = NIL
        self.last_touched = NIL

    def _retire(self, pages: vec[i64], page: i64) -> None:
        """Put an empty page on the list. Where it holds more than half of all pages, the oldest
        leave it, two at a time, so that it follows the pages that hold orders.
        """
        if self.last_waiting == NIL:
            self.first_waiting = page
        else:
            pages[self.last_waiting + WAITING] = page + 1
        pages[page + WAITING] = LAST
        self.last_waiting = page
        self.waiting_count += 1
        turns: i64 = 0
        while (
            turns < 2
            and self.waiting_count > WAITING_PAGES_MIN
            and self.waiting_count * 2 > self.by_page.count
        ):
            self._end_wait(pages)
            turns += 1

    def _end_wait(self, pages: vec[i64]) -> None:
        """Take the oldest off the list, and give up its row unless it is in use again. One with a
        level that is still to be told of is put on the list anew when it is.
        """
        oldest = self.first_waiting
        following = pages[oldest + WAITING]
        pages[oldest + WAITING] = 0
        self.first_waiting = following - 1
        if following == LAST:
            self.first_waiting = NIL
            self.last_waiting = NIL
        self.waiting_count -= 1
        links = pages[oldest + LEVEL_ROWS] | pages[oldest + LEVEL_ROWS + 1]
        if links | pages[oldest + LEVEL_ROWS + 2] | pages[oldest + LEVEL_ROWS + 3] == 0:
            key = pages[oldest]
            if pages[oldest + INDEXED] != 0:
                pages[oldest + INDEXED] = 0
                self.index.discard(key >> 32, key & LOW)
            self.by_page.remove(key, oldest)
            pages[oldest] = 0
            pages[oldest + LEVEL_ROWS] = self.free_page
            self.free_page = oldest


def _grown(pool: vec[i64], link: i64) -> tuple[vec[i64], i64]:
    """A pool with more rows, and the head of their chain by their word `link`."""
    first: i64 = len(pool)
    row = first
    end = first + ROWS_GROWN * ROW
    while len(pool) < end:
        pool = append(pool, 0)
    while row < len(pool):
        pool[row + link] = row + ROW
        row += ROW
    pool[row - ROW + link] = NIL
    return pool, first


def ends_before(levels: vec[i64], level: i64, key: i64, sign: i64) -> bool:
    """Whether the next worse level is beyond a key (already turned by its sign)."""
    worse = (levels[level + LINKS] >> 32) - 1
    return worse == NIL or sign * levels[worse] < key


def next_level(levels: vec[i64], level: i64) -> i64:
    """The next worse level of the same side, or NIL."""
    return (levels[level + LINKS] >> 32) - 1
