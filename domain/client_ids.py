"""Which client order ids were used since an instrument last closed, and by which order.

An id is kept as a 126-bit hash of (account, instrument, trading day, id), with a 31-bit digest of
the order's body: four words an id in one list, oldest first. A hash index points into it, its
15-bit marks apart from its places: a new id reads one cache line of marks and no more. When an
instrument closes its day goes up: its old ids are never met again, and the next growth drops them.
The hash is salted by the shard's first batch, so no one can prepare collisions.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import read_i64_le
from librt.vecs import append, extend, vec
from mypy_extensions import i16, i32, i64

from domain.tables import BLOCK, LOW, zeros

SEVEN_BYTES: Final = 0x00FFFFFFFFFFFFFF
SEVEN_HIGH_BITS: Final = 0x0080808080808080
SEVEN_ONES: Final = 0x0001010101010101
SEVEN_LIFTS: Final = 0x005F5F5F5F5F5F5F  # lifts 0x21 to 0x80
WORDS: Final[i64] = 4
SUM_BITS: Final = 0x1FFFFFFFFFFFFFFF


def well_formed(data: bytes, at: i64, length: i64) -> bool:
    """Whether `length` bytes at `at` are printable ASCII (0x21 to 0x7E), then NUL to a whole word.

    Seven bytes of each word are looked at together, the eighth alone: no sum passes 2**63.
    """
    while length >= 8:
        word = read_i64_le(data, at)
        seven = word & SEVEN_BYTES
        last = (word >> 56) & 0xFF
        if (seven | (seven + SEVEN_ONES)) & SEVEN_HIGH_BITS != 0 or last < 0x21 or last > 0x7E:
            return False
        if (seven + SEVEN_LIFTS) & SEVEN_HIGH_BITS != SEVEN_HIGH_BITS:
            return False
        at += 8
        length -= 8
    if length == 0:
        return True
    word = read_i64_le(data, at)
    used: i64 = 1
    used = (used << (length << 3)) - 1
    wanted = SEVEN_HIGH_BITS & used
    if word & ~used != 0 or (word | (word + (SEVEN_ONES & used))) & wanted != 0:
        return False
    return (word + (SEVEN_LIFTS & used)) & wanted == wanted


def mark_of(first: i64) -> i64:
    """15 bits of a hash, never 0: what the index tells a full slot by."""
    mark = (first >> 32) & 0x7FFF
    if mark == 0:
        return 1
    return mark


def _mix(lane: i64, chunk: i64, factor: i64) -> i64:
    product = (lane ^ chunk) * factor
    return (product ^ (product >> 32)) & LOW


@final
class ClientIds:
    """The table. A search leaves its hash and free slot for the `add` that follows it."""

    def __init__(self, salt: bytes) -> None:
        self.live: i64 = 0
        self.mask: i64 = 1023
        self.marks: vec[i16] = vec[i16]()
        self.places: vec[i32] = vec[i32]()
        self._make_index(1024)
        self.entries: vec[i64] = zeros(0)
        self.used: i64 = 0  # words of `entries` that hold ids; the rest of its last block is free
        self.block: vec[i64] = zeros(BLOCK)
        self.seed_1: i64 = read_i64_le(salt, 0) & LOW
        self.seed_2: i64 = (read_i64_le(salt, 0) >> 32) & LOW
        self.seed_3: i64 = read_i64_le(salt, 8) & LOW
        self.seed_4: i64 = (read_i64_le(salt, 8) >> 32) & LOW
        self.first: i64 = 0
        self.second: i64 = 0
        self.slot: i64 = 0
        # By instrument: its trading day, its ids of that day, and a sum over them that takes part
        # in the state hash.
        self.days: vec[i64] = zeros(1)
        self.counts: vec[i64] = zeros(1)
        self.sums: vec[i64] = zeros(1)

    def cover(self, instrument: i64) -> None:
        """Make room for an instrument's number."""
        while len(self.days) <= instrument:
            self.days = append(self.days, 0)
            self.counts = append(self.counts, 0)
            self.sums = append(self.sums, 0)

    def close(self, instrument: i64) -> None:
        """Forget an instrument's ids: its next trading day begins."""
        self.days[instrument] = self.days[instrument] + 1
        self.live -= self.counts[instrument]
        self.counts[instrument] = 0
        self.sums[instrument] = 0

    def find(self, account: i64, instrument: i64, data: bytes, at: i64, length: i64) -> i64:
        """Entry of the id of `length` bytes at `at`, or -1."""
        h1, h2, h3, h4 = self.seed_1, self.seed_2, self.seed_3, self.seed_4
        words = (length + 7) >> 3
        day = self.days[instrument] & 0x7FFF
        word = account | (length << 20) | (instrument << 32) | (day << 48)
        while True:
            low = word & LOW
            high = (word >> 32) & LOW
            h1 = _mix(_mix(h1, low, 0x2C1B3C6D), high, 0x297A2D39)
            h2 = _mix(_mix(h2, low, 0x1B56C4E9), high, 0x4CF5AD43)
            h3 = _mix(_mix(h3, low, 0x6A09E667), high, 0x3C6EF372 | 1)
            h4 = _mix(_mix(h4, low, 0x510E527F), high, 0x1F83D9AB)
            if words == 0:
                break
            word = read_i64_le(data, at)
            at += 8
            words -= 1
        h1 = _mix(h1, h4, 0x45D9F3B1)
        h3 = _mix(h3, h2, 0x5BE0CD19)
        self.first = h1 | ((h2 & 0x7FFFFFFF) << 32)
        self.second = h3 | ((h4 & 0x7FFFFFFF) << 32)
        return self.seek()

    def seek(self) -> i64:
        """Entry of the id whose hash is in `first` and `second`, or -1."""
        marks = self.marks
        mask = self.mask
        wanted = mark_of(self.first)
        slot = self.first & mask
        while True:
            mark = i64(marks[slot])
            if mark == 0:
                self.slot = slot
                return -1
            if mark == wanted:
                entry = i64(self.places[slot]) * WORDS
                if self.entries[entry] == self.first and self.entries[entry + 1] == self.second:
                    return entry
            slot = (slot + 1) & mask

    def order_id(self, entry: i64) -> i64:
        """The order that used the id."""
        return self.entries[entry + 2]

    def digest(self, entry: i64) -> i64:
        """The digest of its body."""
        return self.entries[entry + 3] >> 32

    def add(self, order_id: i64, digest: i64, instrument: i64) -> None:
        """Remember the id that `find` just missed."""
        if self.used >= (self.mask + 1) * 3:
            self._rebuild()
            self.seek()
        entry = self.used
        if entry == len(self.entries):
            self.entries = extend(self.entries, self.block)
        self.used = entry + WORDS
        entries = self.entries
        entries[entry] = self.first
        entries[entry + 1] = self.second
        entries[entry + 2] = order_id
        day = self.days[instrument] & 0x7FFF
        entries[entry + 3] = (digest << 32) | instrument | (day << 16)
        self.marks[self.slot] = i16(mark_of(self.first))
        self.places[self.slot] = i32(entry >> 2)
        self.live += 1
        self.counts[instrument] = self.counts[instrument] + 1
        self.sums[instrument] = self.mixed(instrument, self.first, self.second, order_id, digest)

    def mixed(self, instrument: i64, first: i64, second: i64, order_id: i64, digest: i64) -> i64:
        """The instrument's sum with one more id: the order in which ids came does not matter to
        it.
        """
        entry = (first ^ (second >> 1) ^ (order_id & SUM_BITS) ^ (digest << 20)) & SUM_BITS
        return (self.sums[instrument] + entry) & SUM_BITS

    def _make_index(self, size: i64) -> None:
        """An empty index of `size` slots, a power of two from 1,024 on."""
        marks = vec[i16](capacity=size)
        places = vec[i32](capacity=size)
        while len(marks) < BLOCK:
            marks = append(marks, 0)
            places = append(places, 0)
        some_marks = marks[:]
        some_places = places[:]
        while len(marks) < size:
            marks = extend(marks, some_marks)
            places = extend(places, some_places)
        self.marks = marks
        self.places = places
        self.mask = size - 1

    def _rebuild(self) -> None:
        """Drop what is not of its instrument's present day, and make an index at most half full."""
        if self.used > self.live * WORDS:
            self._drop_past_days()
        size: i64 = 1024
        while size < self.live * 2:
            size = size << 1
        self._make_index(size)
        marks = self.marks
        mask = self.mask
        at: i64 = 0
        while at < self.used:
            first = self.entries[at]
            slot = first & mask
            while marks[slot] != 0:
                slot = (slot + 1) & mask
            marks[slot] = i16(mark_of(first))
            self.places[slot] = i32(at >> 2)
            at += WORDS

    def _drop_past_days(self) -> None:
        old = self.entries
        end = self.used
        kept = zeros(((self.live * WORDS) // BLOCK + 1) * BLOCK)
        used: i64 = 0
        at: i64 = 0
        while at < end:
            if self.is_of_today(at):
                word: i64 = 0
                while word < WORDS:
                    kept[used + word] = old[at + word]
                    word += 1
                used += WORDS
            at += WORDS
        self.entries = kept
        self.used = used

    def is_of_today(self, entry: i64) -> bool:
        """Whether an entry is of its instrument's present trading day."""
        rest = self.entries[entry + 3]
        return (self.days[rest & 0xFFFF] & 0x7FFF) == (rest >> 16) & 0x7FFF
