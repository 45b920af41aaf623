"""The engine's hash tables and its sorted set of pages of prices, all in flat `vec[i64]` without an
object a key.

Guarantees: lookups and changes take a bounded number of steps whatever the price range; nothing
here depends on Python's own hashing, so two processes behave alike. Where a product may pass 2**63,
only bits that wrapping leaves alone are kept."""

from __future__ import annotations

from typing import Final, final

from librt.vecs import append, extend, vec
from mypy_extensions import i64

from domain.rows import LEVEL_ROWS

LOW: Final = 0xFFFFFFFF
ABSENT: Final = -1
BLOCK: Final[i64] = 1024


def zeros(count: i64) -> vec[i64]:
    """A vector of `count` zeros, made without a Python list as long."""
    cells = vec[i64](capacity=count)
    if count >= 2 * BLOCK:
        block = zeros(BLOCK)
        while len(cells) + BLOCK <= count:
            cells = extend(cells, block)
    while len(cells) < count:
        cells = append(cells, 0)
    return cells


def lowest_bit(mask: i64) -> i64:
    """Index of the lowest set bit of a 32-bit mask that is not 0."""
    index: i64 = 0
    if mask & 0xFFFF == 0:
        index = 16
        mask = mask >> 16
    if mask & 0xFF == 0:
        index += 8
        mask = mask >> 8
    if mask & 0xF == 0:
        index += 4
        mask = mask >> 4
    if mask & 0x3 == 0:
        index += 2
        mask = mask >> 2
    if mask & 0x1 == 0:
        index += 1
    return index


def highest_bit(mask: i64) -> i64:
    """Index of the highest set bit of a 32-bit mask that is not 0."""
    index: i64 = 0
    if mask >> 16 != 0:
        index = 16
        mask = mask >> 16
    if mask >> 8 != 0:
        index += 8
        mask = mask >> 8
    if mask >> 4 != 0:
        index += 4
        mask = mask >> 4
    if mask >> 2 != 0:
        index += 2
        mask = mask >> 2
    if mask >> 1 != 0:
        index += 1
    return index


@final
class IdMap:
    """Positive 64-bit keys to non-negative values: open addressing, linear probing, no tombstones.

    Two words a slot, at most 60 % full. `salt` spreads keys that a client may choose (prices).
    """

    def __init__(self, salt: int = 0) -> None:
        self.count: i64 = 0
        self.mask: i64 = 1023
        self.slots: vec[i64] = zeros(2048)
        self.factor: i64 = (0x1E3779B97F4A7C15 ^ (salt << 8)) | 1

    def home(self, key: i64) -> i64:
        """Where the search for `key` begins. Keys lie in lattices (a side's prices, step by step):
        it takes two rounds to spread them. A product may wrap.
        """
        spread = (key * self.factor) & 0x3FFFFFFFFFFFFFFF
        spread = ((spread ^ (spread >> 31)) * 0x14D049BB133111EB) & 0x3FFFFFFFFFFFFFFF
        return (spread >> 31) & self.mask

    def get(self, key: i64) -> i64:
        """The value, or ABSENT."""
        slots = self.slots
        mask = self.mask
        at = self.home(key)
        while True:
            found = slots[at << 1]
            if found == key:
                return slots[(at << 1) + 1]
            if found == 0:
                return ABSENT
            at = (at + 1) & mask

    def set_bit(self, key: i64, bit: i64) -> bool:
        """Set a bit of a key's value. Whether the key is new."""
        slots = self.slots
        mask = self.mask
        at = self.home(key)
        while True:
            found = slots[at << 1]
            if found == key:
                slots[(at << 1) + 1] = slots[(at << 1) + 1] | bit
                return False
            if found == 0:
                break
            at = (at + 1) & mask
        slots[at << 1] = key
        slots[(at << 1) + 1] = bit
        self.count += 1
        if self.count * 5 > (mask + 1) * 3:
            self._grow()
        return True

    def clear_bit(self, key: i64, bit: i64) -> bool:
        """Clear a bit of a key that is there. Whether it was its last: the key goes then."""
        slots = self.slots
        mask = self.mask
        at = self.home(key)
        while slots[at << 1] != key:
            assert slots[at << 1] != 0, "the key is there"
            at = (at + 1) & mask
        left = slots[(at << 1) + 1] & ~bit
        if left != 0:
            slots[(at << 1) + 1] = left
            return False
        self._empty(slots, at)
        return True

    def _empty(self, slots: vec[i64], at: i64) -> None:
        """Free a slot, moving back what was pushed past it."""
        mask = self.mask
        self.count -= 1
        gap = at
        while True:
            at = (at + 1) & mask
            moved = slots[at << 1]
            if moved == 0:
                break
            # It may fill the gap if its home does not lie between the gap and itself.
            if ((at - self.home(moved)) & mask) >= ((at - gap) & mask):
                slots[gap << 1] = moved
                slots[(gap << 1) + 1] = slots[(at << 1) + 1]
                gap = at
        slots[gap << 1] = 0

    def _grow(self) -> None:
        old = self.slots
        size = (self.mask + 1) << 1
        self.mask = size - 1
        fresh = zeros(size << 1)
        at: i64 = 0
        while at < size:
            key = old[at]
            if key != 0:
                home = self.home(key)
                while fresh[home << 1] != 0:
                    home = (home + 1) & self.mask
                fresh[home << 1] = key
                fresh[(home << 1) + 1] = old[at + 1]
            at += 2
        self.slots = fresh


# A slot of a RowMap: row number + 1 in the low bits, 36 bits of the key's hash above them.
ROW_BITS: Final = 26
ROW_MASK: Final = 0x3FFFFFF
ROW_WORDS_BITS: Final = 3  # a pool's rows are 8 words; the first is the key


@final
class RowMap:
    """The row of a pool (of 8-word rows that begin with their key) that holds a positive 64-bit
    key: open addressing, linear probing, no tombstones, one word a slot, at most 60 % full.

    Keys that agree but for their lowest `run_bits` bits lie side by side: the ids of orders that
    came together share a cache line. `salt` spreads keys that a client may choose (prices).
    """

    def __init__(self, run_bits: int, salt: int = 0) -> None:
        self.count: i64 = 0
        self.mask: i64 = 1023
        self.slots: vec[i64] = zeros(1024)
        self.run_bits: i64 = run_bits
        self.run_mask: i64 = (1 << run_bits) - 1
        self.factor: i64 = (0x1E3779B97F4A7C15 ^ (salt << 8)) | 1

    def hash_of(self, key: i64) -> i64:
        """36 bits, of which the lowest say where the search begins. The product may wrap: bits 26
        to 61 are the same as of the whole one.
        """
        run = self.run_mask
        spread = (((key >> self.run_bits) * self.factor) & 0x3FFFFFFFFFFFFFFF) >> ROW_BITS
        return (spread & ~run) | (key & run)

    def get(self, key: i64, pool: vec[i64]) -> i64:
        """First word of the key's row in `pool`, or ABSENT."""
        slots = self.slots
        mask = self.mask
        hashed = self.hash_of(key)
        at = hashed & mask
        while True:
            found = slots[at]
            if found == 0:
                return ABSENT
            if found >> ROW_BITS == hashed:
                row = ((found & ROW_MASK) - 1) << ROW_WORDS_BITS
                if pool[row] == key:
                    return row
            at = (at + 1) & mask

    def put(self, key: i64, row: i64) -> None:
        """Add a key that is not there, with the first word of its row."""
        slots = self.slots
        mask = self.mask
        hashed = self.hash_of(key)
        at = hashed & mask
        while slots[at] != 0:
            at = (at + 1) & mask
        slots[at] = (hashed << ROW_BITS) | ((row >> ROW_WORDS_BITS) + 1)
        self.count += 1
        if self.count * 5 > (mask + 1) * 3:
            self._grow()

    def remove(self, key: i64, row: i64) -> None:
        """Forget a key that is there, moving back what was pushed past it."""
        slots = self.slots
        mask = self.mask
        hashed = self.hash_of(key)
        wanted = (hashed << ROW_BITS) | ((row >> ROW_WORDS_BITS) + 1)
        at = hashed & mask
        while slots[at] != wanted:
            assert slots[at] != 0, "the key is there"
            at = (at + 1) & mask
        self.count -= 1
        gap = at
        while True:
            at = (at + 1) & mask
            moved = slots[at]
            if moved == 0:
                break
            # It may fill the gap if its home does not lie between the gap and itself.
            if ((at - (moved >> ROW_BITS)) & mask) >= ((at - gap) & mask):
                slots[gap] = moved
                gap = at
        slots[gap] = 0

    def _grow(self) -> None:
        old = self.slots
        size = self.mask + 1
        mask = (size << 1) - 1
        fresh = zeros(size << 1)
        at: i64 = 0
        while at < size:
            moved = old[at]
            if moved != 0:
                home = (moved >> ROW_BITS) & mask
                while fresh[home] != 0:
                    home = (home + 1) & mask
                fresh[home] = moved
            at += 1
        self.mask = mask
        self.slots = fresh


HEIGHTS: Final[i64] = 6  # 6 × 5 bits cover the pages of every price


@final
class PageIndex:
    """The occupied pages of every side of every book, sorted: a 32-ary bitmap tree whose words live
    in one IdMap.

    A page costs memory only while it is occupied, and a step to the next one only looks at words on
    its path."""

    def __init__(self, salt: int = 0) -> None:
        self.words: IdMap = IdMap(salt)

    def add(self, side_id: i64, page: i64) -> None:
        """Mark page number `page` of a side as occupied."""
        height: i64 = 0
        while height < HEIGHTS:
            bit: i64 = 1
            bit = bit << (page & 31)
            page = page >> 5
            if not self.words.set_bit((side_id << 40) | (height << 36) | page, bit):
                return
            height += 1

    def discard(self, side_id: i64, page: i64) -> None:
        """Mark one that is occupied as empty."""
        height: i64 = 0
        while height < HEIGHTS:
            bit: i64 = 1
            bit = bit << (page & 31)
            page = page >> 5
            if not self.words.clear_bit((side_id << 40) | (height << 36) | page, bit):
                return
            height += 1

    def above(self, side_id: i64, page: i64) -> i64:
        """The lowest occupied page above `page`, or ABSENT."""
        words = self.words
        height: i64 = 0
        while height < HEIGHTS:
            mask = words.get((side_id << 40) | (height << 36) | (page >> 5))
            if mask != ABSENT:
                shift = (page & 31) + 1
                mask = (mask >> shift) << shift
                if mask != 0:
                    page = ((page >> 5) << 5) + lowest_bit(mask)
                    return self._descend(side_id, height, page, True)
            page = page >> 5
            height += 1
        return ABSENT

    def below(self, side_id: i64, page: i64) -> i64:
        """The highest occupied page below `page`, or ABSENT."""
        words = self.words
        height: i64 = 0
        while height < HEIGHTS:
            mask = words.get((side_id << 40) | (height << 36) | (page >> 5))
            if mask != ABSENT:
                bit: i64 = 1
                mask = mask & ((bit << (page & 31)) - 1)
                if mask != 0:
                    page = ((page >> 5) << 5) + highest_bit(mask)
                    return self._descend(side_id, height, page, False)
            page = page >> 5
            height += 1
        return ABSENT

    def _descend(self, side_id: i64, height: i64, page: i64, lowest: bool) -> i64:
        while height > 0:
            height -= 1
            mask = self.words.get((side_id << 40) | (height << 36) | page)
            page = (page << 5) + (lowest_bit(mask) if lowest else highest_bit(mask))
        return page


def level_at(pages: vec[i64], page: i64, place: i64) -> i64:
    """The level of a page's price, or NIL."""
    return ((pages[page + LEVEL_ROWS + (place >> 1)] >> ((place & 1) << 5)) & LOW) - 1
