"""All books of a shard: orders, price levels and the lists that tie them, in flat pools.

An order and a level are each one 64-byte row of a `vec[i64]`, one cache line; a link is a row
number. Rows are used again, so memory follows the live orders and levels. docs/engine.md draws the
layout.

Guarantees: a side's levels that hold orders are in one list, best first; an emptied level keeps its
row for a bounded while, and at least until its command is told; the index knows every level's row.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter
from librt.vecs import append, vec
from mypy_extensions import i64

from domain.client_ids import ClientIds
from domain.event_records import write_cancelled, write_level
from domain.tables import ABSENT, LOW, IdMap, PriceIndex, zeros

NIL: Final = -1
ROW: Final = 8  # words in a row of every pool but the instruments'
INSTRUMENT_ROW: Final = 16

# An order's row
ORDER_ID: Final = 0
PRICE_ACCOUNT: Final = 1  # price ticks | account << 32
LEAVES: Final = 2
EXECUTED: Final = 3
NEXT: Final = 4  # the next younger order of its level; of a free row, the next free one
PREVIOUS: Final = 5
ACCOUNT_LINKS: Final = 6  # the account's next order + 1 | previous + 1 << 32
LEVEL: Final = 7  # level row | time in force << 32

# A level's row
KEY: Final = 0  # price ticks | (instrument × 2 + side) << 32; 0 in a free row
TOTAL: Final = 1
COUNT: Final = 2
HEAD: Final = 3
TAIL: Final = 4
TOUCHED: Final = 5  # serial of the last command that touched it
LINKS: Final = (
    6  # the next better level + 1 | the next worse + 1 << 32; of a free row, the next free
)
WAITING: Final = 7  # 1 while it is on the list of empty levels

# An instrument's row
LISTED: Final = 0
TICK: Final = 1
LOT: Final = 2
COLLAR: Final = 3
STATE: Final = 4
BEST_BID: Final = 5  # level row, or NIL; the best ask is the next word
BEST_ASK: Final = 6
SEQUENCE: Final = 7
SYMBOL: Final = 8

EMPTY_LEVELS_MAX: Final = 512  # a power of two
STEPS_FROM_TOP_MAX: Final = 8

# An account's row
KNOWN: Final = 0  # 1 known, 2 known and killed
OPEN_ORDERS_MAX: Final = 1
OPEN_ORDERS: Final = 2
FIRST_ORDER: Final = 3
LAST_ORDER: Final = 4


@final
class Books:
    """The state that matching works on. Rows are named by their first word's index, `row × ROW`."""

    def __init__(self, salt: bytes) -> None:
        seed = int.from_bytes(salt[:8], "little") & 0x3FFFFFFF
        self.orders: vec[i64] = zeros(0)
        self.free_order: i64 = NIL
        self.order_count: i64 = 0
        self.levels: vec[i64] = zeros(0)
        self.free_level: i64 = NIL
        # Empty levels keep their rows for a while: prices at the top of a book come and go.
        self.empties: vec[i64] = zeros(EMPTY_LEVELS_MAX)
        self.empties_at: i64 = 0
        self.instruments: vec[i64] = zeros(INSTRUMENT_ROW)
        self.accounts: vec[i64] = zeros(ROW)
        self.by_id: IdMap = IdMap()
        self.by_price: IdMap = IdMap(seed)
        self.index: PriceIndex = PriceIndex(seed)
        self.client_ids: ClientIds = ClientIds(salt)
        self.touched: vec[i64] = zeros(64)
        self.touched_count: i64 = 0
        self.serial: i64 = (
            1  # of the command at work; decides nothing, so it is no part of the state
        )
        self.match_number: i64 = 0
        self.out: BytesWriter = BytesWriter()
        self.event_count: i64 = 0
        self.command_index: i64 = 0
        self.born_id: i64 = 0  # the order id that the command at work gives to a new order

    # --- orders -----------------------------------------------------------------------------------

    def find(self, order_id: i64) -> i64:
        """Row of a resting order, or NIL."""
        if order_id <= 0:
            return NIL
        return self.by_id.get(order_id)

    def rest(
        self,
        order_id: i64,
        side_id: i64,
        price: i64,
        account: i64,
        leaves: i64,
        executed: i64,
        tif: i64,
    ) -> None:
        """Put a new order at the end of its level's queue and of its account's list."""
        row = self.free_order
        if row == NIL:
            row = len(self.orders)
            for _ in range(ROW):
                self.orders = append(self.orders, 0)
        else:
            self.free_order = self.orders[row + NEXT]
        orders = self.orders
        orders[row] = order_id
        orders[row + PRICE_ACCOUNT] = price | (account << 32)
        orders[row + LEAVES] = leaves
        orders[row + EXECUTED] = executed
        orders[row + LEVEL] = tif << 32
        self.order_count += 1
        self.by_id.put(order_id, row)
        self._join_account(row, account)
        self.enqueue(row, side_id, price)

    def enqueue(self, row: i64, side_id: i64, price: i64) -> None:
        """Put an order that is on no level at the end of a level's queue."""
        level = self.by_price.get((side_id << 32) | price)
        if level == ABSENT:
            level = self._new_level(side_id, price)
        levels = self.levels
        orders = self.orders
        leaves = orders[row + LEAVES]
        tail = levels[level + TAIL]
        orders[row + PRICE_ACCOUNT] = price | ((orders[row + PRICE_ACCOUNT] >> 32) << 32)
        orders[row + LEVEL] = level | ((orders[row + LEVEL] >> 32) << 32)
        orders[row + NEXT] = NIL
        orders[row + PREVIOUS] = tail
        if levels[level + COUNT] == 0:
            levels[level + HEAD] = row
            self._show(level, side_id, price)
        else:
            orders[tail + NEXT] = row
        levels[level + TAIL] = row
        levels[level + TOTAL] += leaves
        levels[level + COUNT] += 1
        if levels[level + TOUCHED] != self.serial:
            self.touch(level)

    def dequeue(self, row: i64) -> None:
        """Take an order, with all its leaves, out of its level's queue."""
        orders = self.orders
        levels = self.levels
        level = orders[row + LEVEL] & LOW
        following = orders[row + NEXT]
        previous = orders[row + PREVIOUS]
        if levels[level + TOUCHED] != self.serial:
            self.touch(level)
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
            self._hide(level)

    def release(self, row: i64) -> None:
        """Forget an order that is on no level any more."""
        orders = self.orders
        self.by_id.remove(orders[row])
        self._leave_account(row, orders[row + PRICE_ACCOUNT] >> 32)
        orders[row] = 0
        orders[row + NEXT] = self.free_order
        self.free_order = row
        self.order_count -= 1

    def cancel(self, row: i64, kind: i64, reason: i64) -> None:
        """Take an order off, with its event (`kind` cancelled or expired)."""
        orders = self.orders
        side_id = self.levels[orders[row + LEVEL] & LOW] >> 32
        terms = orders[row + PRICE_ACCOUNT]
        parties = (terms >> 32) | ((side_id >> 1) << 32)
        quantity_word = (terms & LOW) | (orders[row + LEAVES] << 32)
        order_id = orders[row]
        self.dequeue(row)
        self.release(row)
        shape = (side_id & 1) | (reason << 8)
        sequence = self.next_sequence(side_id >> 1)
        write_cancelled(
            self.out, kind, self.command_index, shape, parties, order_id, quantity_word, sequence
        )

    def next_sequence(self, instrument: i64) -> i64:
        """The number of the event that a book is about to have."""
        at = instrument * INSTRUMENT_ROW + SEQUENCE
        sequence = self.instruments[at] + 1
        self.instruments[at] = sequence
        self.event_count += 1
        return sequence

    # --- an account's orders, oldest first --------------------------------------------------------

    def _join_account(self, row: i64, account: i64) -> None:
        accounts = self.accounts
        at = account * ROW
        last = accounts[at + LAST_ORDER]
        self.orders[row + ACCOUNT_LINKS] = (last + 1) << 32
        if last == NIL:
            accounts[at + FIRST_ORDER] = row
        else:
            links = self.orders[last + ACCOUNT_LINKS]
            self.orders[last + ACCOUNT_LINKS] = ((links >> 32) << 32) | (row + 1)
        accounts[at + LAST_ORDER] = row
        accounts[at + OPEN_ORDERS] += 1

    def _leave_account(self, row: i64, account: i64) -> None:
        orders = self.orders
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

    def next_of_account(self, row: i64) -> i64:
        """The same account's next younger order, or NIL."""
        return (self.orders[row + ACCOUNT_LINKS] & LOW) - 1

    # --- levels -----------------------------------------------------------------------------------

    def _new_level(self, side_id: i64, price: i64) -> i64:
        level = self.free_level
        if level == NIL:
            level = len(self.levels)
            for _each in range(ROW):
                self.levels = append(self.levels, 0)
        else:
            self.free_level = self.levels[level + LINKS]
        levels = self.levels
        levels[level] = price | (side_id << 32)
        levels[level + TOTAL] = 0
        levels[level + COUNT] = 0
        levels[level + HEAD] = NIL
        levels[level + TAIL] = NIL
        levels[level + TOUCHED] = 0
        levels[level + WAITING] = 0
        levels[level + LINKS] = 0
        self.by_price.put(levels[level], level)
        self.index.add(side_id, price // self.instruments[(side_id >> 1) * INSTRUMENT_ROW + TICK])
        return level

    def _free_level(self, level: i64) -> None:
        """Give up the row of an empty level."""
        levels = self.levels
        key = levels[level]
        side_id = key >> 32
        tick = self.instruments[(side_id >> 1) * INSTRUMENT_ROW + TICK]
        self.index.discard(side_id, (key & LOW) // tick)
        self.by_price.remove(key)
        levels[level] = 0
        levels[level + LINKS] = self.free_level
        self.free_level = level

    def _show(self, level: i64, side_id: i64, price: i64) -> None:
        """The first order came to a level: put it on its side's list, best first."""
        levels = self.levels
        at = (side_id >> 1) * INSTRUMENT_ROW + BEST_BID + (side_id & 1)
        best = self.instruments[at]
        sign: i64 = 1 - ((side_id & 1) << 1)  # a better price is a higher bid or a lower ask
        if best == NIL or sign * price > sign * (levels[best] & LOW):
            self.instruments[at] = level
            levels[level + LINKS] = (best + 1) << 32
            worse = best
        else:
            better = self._better(level, best, side_id, sign)
            worse = (levels[better + LINKS] >> 32) - 1
            levels[better + LINKS] = (levels[better + LINKS] & LOW) | ((level + 1) << 32)
            levels[level + LINKS] = (better + 1) | ((worse + 1) << 32)
        if worse != NIL:
            levels[worse + LINKS] = ((levels[worse + LINKS] >> 32) << 32) | (level + 1)

    def _better(self, level: i64, best: i64, side_id: i64, sign: i64) -> i64:
        """The worst level of the list that is better than `level`; there is one.

        It is most often the one that stood there when `level` was emptied, or near the top; the
        index always finds it.
        """
        levels = self.levels
        price = sign * (levels[level] & LOW)
        hint = (levels[level + LINKS] & LOW) - 1
        if (
            hint != NIL
            and levels[hint] >> 32 == side_id
            and levels[hint + COUNT] > 0
            and sign * (levels[hint] & LOW) > price
            and self._ends_before(hint, price, sign)
        ):
            return hint
        steps: i64 = 0
        while steps < STEPS_FROM_TOP_MAX:
            if self._ends_before(best, price, sign):
                return best
            best = (levels[best + LINKS] >> 32) - 1
            steps += 1
        tick = self.instruments[(side_id >> 1) * INSTRUMENT_ROW + TICK]
        step = (levels[level] & LOW) // tick
        while True:
            if sign > 0:
                step = self.index.above(side_id, step)
            else:
                step = self.index.below(side_id, step)
            found = self.by_price.get((side_id << 32) | (step * tick))
            if levels[found + COUNT] > 0:
                return found

    def _ends_before(self, level: i64, price: i64, sign: i64) -> bool:
        """Whether the next worse level is beyond a price (already turned by its sign)."""
        worse = (self.levels[level + LINKS] >> 32) - 1
        return worse == NIL or sign * (self.levels[worse] & LOW) < price

    def _hide(self, level: i64) -> None:
        """The last order left a level: take it off its side's list. Its links stay, as a hint."""
        levels = self.levels
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

    def next_level(self, level: i64) -> i64:
        """The next worse level of the same side, or NIL."""
        return (self.levels[level + LINKS] >> 32) - 1

    def touch(self, level: i64) -> None:
        """Remember that the command at work changed a level."""
        self.levels[level + TOUCHED] = self.serial
        if self.touched_count == len(self.touched):
            self.touched = append(self.touched, 0)
        self.touched[self.touched_count] = level
        self.touched_count += 1

    def flush_levels(self) -> None:
        """Tell of every level that the command touched, and end the command."""
        count = self.touched_count
        levels = self.levels
        emptied = False
        i: i64 = 0
        while i < count:
            level = self.touched[i]
            key = levels[level]
            side_id = key >> 32
            instrument = side_id >> 1
            head = self.command_index | ((side_id & 1) << 16)
            orders = levels[level + COUNT]
            sequence = self.next_sequence(instrument)
            place = orders | (instrument << 32)
            write_level(self.out, head, place, key & LOW, levels[level + TOTAL], sequence)
            if orders == 0 and levels[level + WAITING] == 0:
                emptied = True
            i += 1
        if emptied:
            self._retire_empties()
        self.touched_count = 0
        self.serial += 1

    def _retire_empties(self) -> None:
        """Put the levels that were emptied on the list, and free those that fall off its end."""
        levels = self.levels
        i: i64 = 0
        while i < self.touched_count:
            level = self.touched[i]
            i += 1
            if levels[level] == 0 or levels[level + COUNT] != 0 or levels[level + WAITING] != 0:
                continue
            oldest = self.empties[self.empties_at] - 1
            self.empties[self.empties_at] = level + 1
            self.empties_at = (self.empties_at + 1) & (EMPTY_LEVELS_MAX - 1)
            levels[level + WAITING] = 1
            if oldest != NIL:
                levels[oldest + WAITING] = 0
                if levels[oldest + COUNT] == 0:
                    self._free_level(oldest)
