"""Which client order ids were used since an instrument last closed, and by which order.

An id is kept as a 124-bit hash of (account, instrument, trading day, id), with a 31-bit digest of
the order's body: an entry of four words, in chunks, oldest first. A hash index of one 32-bit slot
an entry points into them: a new id reads one cache line and no more. When an instrument closes its
day goes up: its old ids are never met again, and the next growth drops them. The hash is salted by
the shard's first batch, so no one can prepare collisions.

Guarantees: no call works through the whole table. A new index is made ready, and the entries are
moved into it, a few at each new id.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import read_i64_le
from librt.vecs import append, extend, vec
from mypy_extensions import i32, i64

from domain.hints import AHEAD
from domain.rows import CLIENT_IDS, CLIENT_IDS_SUM, INSTRUMENT_ROW, LISTED, TRADING_DAY
from domain.tables import zeros

SEVEN_BYTES: Final = 0x00FFFFFFFFFFFFFF
SEVEN_HIGH_BITS: Final = 0x0080808080808080
SEVEN_ONES: Final = 0x0001010101010101
SEVEN_LIFTS: Final = 0x005F5F5F5F5F5F5F  # lifts 0x21 to 0x80
WORDS: Final = 4
WORDS_BITS: Final = 2
CHUNK_BITS: Final = 15  # entries of a chunk
CHUNK_MASK: Final = 0x7FFF
CHUNK_WORDS: Final = 131072
BLOCK: Final[i64] = 1024  # slots
FORESEEN_WORDS: Final = 3
MOVED_AT_ONCE: Final = 32  # the move ends well before the next one begins
# A slot of the index: 5 bits of the hash | entry + 1
PLACE_BITS: Final = 26
PLACE_MASK: Final = 0x3FFFFFF
ALL_BITS: Final = 0x3FFFFFFFFFFFFFFF  # 62: a larger literal is an object in compiled code
DAY_BITS: Final = 0xFFFF
NO_INSTRUMENT: Final = -1
FACTOR_1: Final = 0x1E3779B97F4A7C15
FACTOR_2: Final = 0x3F58476D1CE4E5B9
FACTOR_3: Final = 0x14D049BB133111EB


def scope_of(account: i64, instrument: i64, day: i64, length: i64) -> i64:
    """What an id of `length` bytes is unique in, in 62 bits."""
    return account | (length << 20) | (instrument << 26) | ((day & 0xFFFFF) << 42)


def rest_of(digest: i64, instrument: i64, day: i64) -> i64:
    """The last word of an entry: digest of the order's body, trading day, instrument."""
    return (digest << 32) | ((day & DAY_BITS) << 16) | instrument


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


@final
class ClientIds:
    """The table. A search leaves its hash and free slot for the `add` that follows it."""

    def __init__(self, salt: bytes) -> None:
        self.live: i64 = 0
        self.count: i64 = 0  # of entries, those of past days among them
        self.chunks: vec[vec[i64]] = vec[vec[i64]]()
        self.slots: vec[i32] = empty_slots(BLOCK)
        self.mask: i64 = BLOCK - 1
        # While an index grows: the next one, made ready; then the last one, and how much was moved.
        self.next_slots: vec[i32] = vec[i32]()
        self.next_size: i64 = 0
        self.old_chunks: vec[vec[i64]] = vec[vec[i64]]()
        self.old_slots: vec[i32] = vec[i32]()
        self.old_count: i64 = 0
        self.moved: i64 = 0
        self.dropping: bool = False  # whether the move leaves entries of past days behind
        self.dropped: i64 = NO_INSTRUMENT  # of which that move leaves every entry behind
        self.block: vec[i32] = empty_slots(BLOCK)
        self.seed_1: i64 = read_i64_le(salt, 0) & ALL_BITS
        self.seed_2: i64 = read_i64_le(salt, 8) & ALL_BITS
        self.first: i64 = 0
        self.second: i64 = 0
        self.slot: i64 = 0
        self.order_id: i64 = 0
        self.digest: i64 = 0
        # Of each of AHEAD commands: scope (0: none) and hash of its id, in two words.
        self.ahead: vec[i64] = zeros(AHEAD * FORESEEN_WORDS)
        self.seen: i64 = 0

    # --- looking ----------------------------------------------------------------------------------

    def foresee(self, place: i64, scope: i64) -> None:
        """The command at this place of the look ahead has the id just hashed (scope 0: none)."""
        ahead = self.ahead
        word = place * FORESEEN_WORDS
        ahead[word] = scope
        ahead[word + 1] = self.first
        ahead[word + 2] = self.second

    def touch(self, count: i64) -> None:
        """Read the slots of the ids foreseen, in a loop short enough for many to be waited for at
        once.
        """
        end = count * FORESEEN_WORDS
        ahead = self.ahead
        slots = self.slots
        mask = self.mask
        place: i64 = 1
        seen: i64 = 0
        while place < end:
            seen ^= i64(slots[ahead[place] & mask])
            place += FORESEEN_WORDS
        self.seen = seen

    def find(self, scope: i64, data: bytes, at: i64, length: i64, command: i64) -> i64:
        """The order that used the id of `length` well-formed bytes at `at`, or 0; `scope` is of
        `scope_of`, `command` the command's place in the look ahead, or -1.
        """
        place = command * FORESEEN_WORDS
        if command >= 0 and self.ahead[place] == scope:
            self.first = self.ahead[place + 1]
            self.second = self.ahead[place + 2]
        else:
            self.hash_id(scope, data, at, length)
        return self.seek()

    def hash_id(self, scope: i64, data: bytes, at: i64, length: i64) -> None:
        """Hash an id into `first` and `second`.

        Two lanes of 62 bits take in eight bytes a step: multiply, then fold the high bits into the
        low. A product may wrap; what is kept of it is the same as of the whole one. A word's bit 62
        goes where ASCII has none.
        """
        first = ((self.seed_1 ^ scope) * FACTOR_1) & ALL_BITS
        second = ((self.seed_2 ^ scope) * FACTOR_2) & ALL_BITS
        end = at + length
        while at < end:
            word = read_i64_le(data, at)
            word = word ^ (word >> 31)
            first = (((first ^ (first >> 32)) ^ word) * FACTOR_1) & ALL_BITS
            second = (((second ^ (second >> 29)) ^ word) * FACTOR_2) & ALL_BITS
            at += 8
        second = second ^ (second >> 29)
        first = ((first ^ (first >> 32) ^ (second >> 31)) * FACTOR_3) & ALL_BITS
        self.first = first ^ (first >> 32)
        self.second = second

    def seek(self) -> i64:
        """The order that used the id whose hash is in `first` and `second`, or 0."""
        slots = self.slots
        mask = self.mask
        mark = (self.first >> 40) & 31
        slot = self.first & mask
        while True:
            found = i64(slots[slot])
            if found == 0:
                break
            if found >> PLACE_BITS == mark and self.is_at(self.chunks, (found & PLACE_MASK) - 1):
                return self.order_id
            slot = (slot + 1) & mask
        self.slot = slot
        if self.moved < self.old_count:
            return self._seek_old()
        return 0

    def _seek_old(self) -> i64:
        slots = self.old_slots
        mask: i64 = len(slots) - 1
        mark = (self.first >> 40) & 31
        slot = self.first & mask
        while True:
            found = i64(slots[slot])
            if found == 0:
                return 0
            if found >> PLACE_BITS == mark and self.is_at(
                self.old_chunks, (found & PLACE_MASK) - 1
            ):
                return self.order_id
            slot = (slot + 1) & mask

    def is_at(self, chunks: vec[vec[i64]], place: i64) -> bool:
        """Whether the entry is of the id sought; it is then the one that is told of."""
        chunk = place >> CHUNK_BITS
        word = (place & CHUNK_MASK) << WORDS_BITS
        second_word = word + 1
        if chunks[chunk][word] != self.first or chunks[chunk][second_word] != self.second:
            return False
        order_word = word + 2
        rest_word = word + 3
        self.order_id = chunks[chunk][order_word]
        self.digest = chunks[chunk][rest_word] >> 32
        return True

    # --- adding -----------------------------------------------------------------------------------

    def add(self, order_id: i64, rest: i64, instruments: vec[i64]) -> None:
        """Remember the id that `find` just missed; `rest` is of `rest_of`, `instruments` the pool
        of the instruments' rows.
        """
        first = self.first
        self.slots[self.slot] = self._enter(first, self.second, order_id, rest)
        self.live += 1
        row = (rest & 0xFFFF) * INSTRUMENT_ROW
        instruments[row + CLIENT_IDS] += 1
        # In whatever order the ids are added, the sum is the same.
        total = instruments[row + CLIENT_IDS_SUM] + (first ^ order_id ^ (rest & ALL_BITS))
        instruments[row + CLIENT_IDS_SUM] = total & ALL_BITS
        if self.moved < self.old_count:
            self._move(instruments)
        elif self.count * 2 > self.mask:
            self._grow()

    def _enter(self, first: i64, second: i64, order_id: i64, rest: i64) -> i32:
        """Append an entry; returns what its slot holds."""
        place = self.count
        chunk = place >> CHUNK_BITS
        if chunk == len(self.chunks):
            self.chunks = append(self.chunks, zeros(CHUNK_WORDS))
        word = (place & CHUNK_MASK) << WORDS_BITS
        words = self.chunks[chunk]
        words[word] = first
        words[word + 1] = second
        words[word + 2] = order_id
        words[word + 3] = rest
        self.count = place + 1
        return i32(((first >> 40) & 31) << PLACE_BITS | (place + 1))

    def close(self, instrument: i64, instruments: vec[i64]) -> None:
        """Forget an instrument's ids: its next trading day begins."""
        row = instrument * INSTRUMENT_ROW
        self.live -= instruments[row + CLIENT_IDS]
        instruments[row + CLIENT_IDS] = 0
        instruments[row + CLIENT_IDS_SUM] = 0
        instruments[row + TRADING_DAY] += 1
        if instruments[row + TRADING_DAY] & DAY_BITS == 0:
            self._drop_all_of(instrument, instruments)

    def _drop_all_of(self, instrument: i64, instruments: vec[i64]) -> None:
        """The instrument's days begin again with 0, so none of its entries may stay: all at once,
        every 65,536 closes.
        """
        while self.moved < self.old_count:
            self._move(instruments)
        self._make_ready()
        self._begin_to_move(dropping=True)
        self.dropped = instrument
        while self.moved < self.old_count:
            self._move(instruments)
        self.dropped = NO_INSTRUMENT

    def is_of_today(self, rest: i64, instruments: vec[i64]) -> bool:
        """Whether an entry with this last word is of its instrument's present trading day."""
        day = instruments[(rest & 0xFFFF) * INSTRUMENT_ROW + TRADING_DAY]
        return day & DAY_BITS == (rest >> 16) & DAY_BITS

    # --- growing, a little at a time --------------------------------------------------------------

    def _grow(self) -> None:
        """From half full on, make the next index ready; at three fifths, begin to move."""
        size = self.mask + 1
        if self.next_size == 0:
            self.next_size = size
            while self.next_size < self.live * 4:
                self.next_size = self.next_size << 1
            self.next_slots = vec[i32](capacity=self.next_size)
        if len(self.next_slots) < self.next_size:
            self.next_slots = extend(self.next_slots, self.block)
        if self.count * 5 > size * 3:
            self._make_ready()
            self._begin_to_move(dropping=self.live * 2 < self.count)

    def _make_ready(self) -> None:
        if self.next_size == 0:
            self.next_size = self.mask + 1
        while len(self.next_slots) < self.next_size:
            self.next_slots = extend(self.next_slots, self.block)

    def _begin_to_move(self, *, dropping: bool) -> None:
        self.old_slots = self.slots
        self.old_count = self.count
        self.old_chunks = self.chunks
        self.moved = 0
        self.dropping = dropping
        if dropping:
            self.chunks = vec[vec[i64]]()
            self.count = 0
        self.slots = self.next_slots
        self.mask = self.next_size - 1
        self.next_slots = vec[i32]()
        self.next_size = 0

    def _move(self, instruments: vec[i64]) -> None:
        """Move a few entries into the new index."""
        end = self.moved + MOVED_AT_ONCE
        if end > self.old_count:
            end = self.old_count
        self._touch_moved(end)
        while self.moved < end:
            place = self.moved
            words = self.old_chunks[place >> CHUNK_BITS]
            word = (place & CHUNK_MASK) << WORDS_BITS
            first = words[word]
            if not self.dropping:
                self._index(first, i32(((first >> 40) & 31) << PLACE_BITS | (place + 1)))
            elif words[word + 3] & 0xFFFF != self.dropped and self.is_of_today(
                words[word + 3], instruments
            ):
                entered = self._enter(first, words[word + 1], words[word + 2], words[word + 3])
                self._index(first, entered)
            self.moved = place + 1
        if end == self.old_count:
            self.old_slots = vec[i32]()
            self.old_chunks = vec[vec[i64]]()
            self.moved = 0
            self.old_count = 0

    def _touch_moved(self, end: i64) -> None:
        """Read the slots to which entries will move, for all of them to be waited for at once."""
        slots = self.slots
        mask = self.mask
        place = self.moved
        words = self.old_chunks[place >> CHUNK_BITS]
        word = (place & CHUNK_MASK) << WORDS_BITS
        word_end = word + ((end - place) << WORDS_BITS)
        seen: i64 = 0
        while word < word_end:
            seen ^= i64(slots[words[word] & mask])
            word += WORDS
        self.seen = seen

    def _index(self, first: i64, entered: i32) -> None:
        slots = self.slots
        mask = self.mask
        slot = first & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = entered

    # --- snapshots --------------------------------------------------------------------------------

    def segments(self) -> list[tuple[vec[i64], int, int]]:
        """Every entry, as (chunk, first entry, end); what they hold never changes."""
        found: list[tuple[vec[i64], int, int]] = []
        _add_segments(found, self.chunks, 0, self.count)
        if self.dropping:
            _add_segments(found, self.old_chunks, self.moved, self.old_count)
        return found

    def expect(self, entries: i64) -> None:
        """Make the index of an empty table large enough for so many entries at once."""
        size: i64 = BLOCK
        while size < entries * 2:
            size = size << 1
        self.slots = empty_slots(size)
        self.mask = size - 1

    def adopt(self, chunk: vec[i64], instruments: vec[i64]) -> bool:
        """Take over a segment's entries. False where an instrument is not listed."""
        end: i64 = len(chunk)
        whole = end == CHUNK_WORDS and self.count & CHUNK_MASK == 0
        place = self.count
        if whole:
            self.chunks = append(self.chunks, chunk)
            self.count = place + CHUNK_MASK + 1
        word: i64 = 0
        while word < end:
            first, order_id, rest = chunk[word], chunk[word + 2], chunk[word + 3]
            row = (rest & 0xFFFF) * INSTRUMENT_ROW
            if row >= len(instruments) or instruments[row + LISTED] == 0:
                return False
            if whole:
                place += 1
                self._index(first, i32(((first >> 40) & 31) << PLACE_BITS | place))
            else:
                self._index(first, self._enter(first, chunk[word + 1], order_id, rest))
            if self.is_of_today(rest, instruments):
                self.live += 1
                instruments[row + CLIENT_IDS] += 1
                total = instruments[row + CLIENT_IDS_SUM] + (first ^ order_id ^ (rest & ALL_BITS))
                instruments[row + CLIENT_IDS_SUM] = total & ALL_BITS
            word += WORDS
        return True


def _add_segments(
    found: list[tuple[vec[i64], int, int]], chunks: vec[vec[i64]], first: i64, count: i64
) -> None:
    while first < count:
        end = (first | CHUNK_MASK) + 1
        if end > count:
            end = count
        found.append(
            (chunks[first >> CHUNK_BITS], first & CHUNK_MASK, ((end - 1) & CHUNK_MASK) + 1)
        )
        first = end


def empty_slots(size: i64) -> vec[i32]:
    """`size` empty slots, a multiple of BLOCK."""
    slots = vec[i32](capacity=size)
    while len(slots) < BLOCK:
        slots = append(slots, 0)
    block = slots[:]
    while len(slots) < size:
        slots = extend(slots, block)
    return slots
