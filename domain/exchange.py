"""One shard's matching engine: command batch bytes in, event batch bytes out, and nothing else.

Guarantees (DESIGN's invariants 2, 3 and 7): the answer depends on the batches applied so far alone;
every position gives one EventBatch; no batch makes it raise but one of a newer release
(`NewerVersionError`), which changes nothing."""

from __future__ import annotations

import hashlib
from typing import Final, final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from librt.vecs import append
from mypy_extensions import i64, u8

from domain.ahead import look_ahead
from domain.book import Books, next_level
from domain.changes import cancel, cancel_account, cancel_book, mass_cancel, replace
from domain.client_ids import well_formed
from domain.codes import (
    ACCOUNT_MAX,
    APPLIED,
    AT_CLOSE,
    BOTH_SIDES,
    BY_KILL_SWITCH,
    CLOCK_BACKWARDS,
    CLOSED,
    INSTRUMENT_EXISTS,
    INSTRUMENT_MAX,
    INVALID_ACCOUNT,
    INVALID_INSTRUMENT,
    INVALID_TRADING_STATE,
    POSITION_MAX,
    QUANTITY_MAX,
    REPEAT,
    SESSION_MEMORY_NS,
    SESSIONS_MAX,
    SHARD_MAX,
    UNDECODABLE,
    UNKNOWN_INSTRUMENT,
)
from domain.event_records import (
    ACCOUNT_UPDATED,
    CLOCK_TICKED,
    ORDER_EXPIRED,
    write_listed,
    write_simple,
    write_state_changed,
)
from domain.hints import AHEAD_MASK
from domain.matching import is_instrument, reject, submit
from domain.rows import (
    BEST_BID,
    COLLAR,
    FIRST_ORDER,
    HEAD,
    INSTRUMENT_ROW,
    KNOWN,
    LAST_ORDER,
    LEAVES,
    LISTED,
    LOT,
    NEXT,
    NIL,
    OPEN_ORDERS_MAX,
    PRICE_ACCOUNT,
    ROW,
    SEQUENCE,
    STATE,
    SYMBOL,
    TICK,
)
from domain.tables import LOW
from domain.wire import (
    CANCEL_ORDER,
    CLOCK_TICK,
    COMMAND_HEADER_BYTES,
    EVENT_HEADER_BYTES,
    LIST_INSTRUMENT,
    MASS_CANCEL,
    REPLACE_ORDER,
    RULES_VERSION,
    SET_ACCOUNT,
    SET_TRADING_STATE,
    SUBMIT_ORDER,
    WIRE_VERSION,
    CommandHeader,
    WireError,
    check_batch,
)

EVENT_MAGIC_WORD: Final = 0x31454258  # "XBE1"
NO_SESSION: Final = bytes(16)
PERMANENT: Final = bytes(8)
NO_CHAIN: Final = bytes(32)
OUT_BYTES_KEPT: Final = 1 << 22  # a writer that grew past this is not kept for the next batch


def patch(out: BytesWriter, at: i64, value: i64) -> None:
    """Overwrite the word at byte `at`."""
    for byte in range(8):
        out[at + byte] = u8((value >> (byte * 8)) & 0xFF)


@final
class Session:
    """What is remembered of one gateway process: its last batch number, and the tick at which it
    counts as heard of (0: the next one).
    """

    def __init__(self, batch_number: i64, heard_ns: i64) -> None:
        self.batch_number: i64 = batch_number
        self.heard_ns: i64 = heard_ns


@final
class Exchange:
    """The engine of shard `shard`, at position 0 until batches are applied.

    Raises ValueError where `shard` is not 0 to 254.
    """

    def __init__(self, shard: int) -> None:
        if not 0 <= shard <= SHARD_MAX:
            raise ValueError(f"shard {shard}: 0 to {SHARD_MAX}")
        self.shard: i64 = shard
        self.position: i64 = 0
        self.trading_time_ns: i64 = 0
        self.salt = NO_SESSION
        self.sessions: dict[bytes, Session] = {}
        self.permanent: dict[bytes, i64] = {}
        self.books: Books = Books(NO_SESSION)

    # --- batches ----------------------------------------------------------------------------------

    def apply(self, position: int, batch: bytes) -> bytes:
        """Apply the CommandBatch at `position`, which must be the next, and return its EventBatch
        with an empty chain.

        Raises ValueError for any other position, NewerVersionError for a newer release's batch.
        """
        if position != self.position + 1 or position > POSITION_MAX:
            raise ValueError(f"position {position} does not follow {self.position}")
        try:
            header = check_batch(batch)
            status: i64 = APPLIED if header.batch_number > 0 else UNDECODABLE
        except WireError:
            status = UNDECODABLE
            header = CommandHeader(NO_SESSION, 0, 0, 0)
        if status == UNDECODABLE:
            header = CommandHeader(NO_SESSION, 0, 0, 0)
        elif self.position == 0:
            self._begin(batch)
        books = self.books
        if len(books.out) > OUT_BYTES_KEPT:
            books.out = BytesWriter()
        books.event_count = 0
        self.position = position
        self._write_header(header)
        if status == APPLIED:
            if self._is_repeat(header):
                status = REPEAT
            else:
                self._apply_records(batch)
        out = books.out
        patch(out, 16, self.shard | (status << 32) | (1 << 40))
        patch(out, 56, self.trading_time_ns)
        patch(out, 64, header.command_count | (books.event_count << 32))
        patch(out, 72, len(out) - EVENT_HEADER_BYTES)
        return out.getvalue()

    def _begin(self, batch: bytes) -> None:
        """The first batch, which nobody can foresee to the nanosecond, salts the hash tables."""
        self.salt = hashlib.sha256(batch).digest()[:16]
        self.books = Books(self.salt)

    def _is_repeat(self, header: CommandHeader) -> bool:
        """Whether this batch was seen before; if not, it is remembered."""
        key = header.session
        if key[:8] == PERMANENT:
            if header.batch_number <= self.permanent.get(key, 0):
                return True
            self.permanent[key] = header.batch_number
            return False
        known = self.sessions.get(key)
        if known is None:
            if header.batch_number != 1:
                return True
            if len(self.sessions) >= SESSIONS_MAX:
                del self.sessions[next(iter(self.sessions))]
        elif header.batch_number <= known.batch_number:
            return True
        else:
            del self.sessions[key]
        self.sessions[key] = Session(header.batch_number, 0)
        return False

    def _apply_records(self, batch: bytes) -> None:
        books = self.books
        first = (self.shard << 55) | (self.position << 16)
        at: i64 = COMMAND_HEADER_BYTES
        size: i64 = len(batch)
        index: i64 = 0
        seen = at
        hints = books.hints
        while at < size:
            if at == seen:
                seen = look_ahead(books, batch, at)
            if hints.in_use:
                hints.row = hints.rows[index & AHEAD_MASK]
            word = read_i64_le(batch, at)
            kind = word & 0xFF
            books.command_index = index
            books.born_id = first | index
            books.reserve()
            if kind == SUBMIT_ORDER:
                submit(books, batch, at)
            elif kind == CANCEL_ORDER:
                cancel(books, batch, at)
            elif kind == REPLACE_ORDER:
                replace(books, batch, at)
            elif kind == MASS_CANCEL:
                mass_cancel(books, batch, at)
            else:
                self._administer(batch, at, kind)
            books.flush_levels()
            index += 1
            at += ((word >> 8) & 0xFF) << 3

    def _write_header(self, header: CommandHeader) -> None:
        """Begin the EventBatch; what is known only at its end is patched in then."""
        out = self.books.out
        out.truncate(0)
        write_i64_le(out, EVENT_MAGIC_WORD | (WIRE_VERSION << 32) | (RULES_VERSION << 48))
        write_i64_le(out, self.position)
        write_i64_le(out, 0)
        out.write(header.session)
        write_i64_le(out, header.batch_number)
        write_i64_le(out, header.audit_timestamp_ns)
        write_i64_le(out, 0)
        write_i64_le(out, 0)
        write_i64_le(out, 0)
        out.write(NO_CHAIN)

    # --- what is not matching ---------------------------------------------------------------------

    def _administer(self, data: bytes, at: i64, kind: i64) -> None:
        reason: i64 = 0
        if kind == SET_TRADING_STATE:
            reason = self._set_trading_state(data, at)
        elif kind == CLOCK_TICK:
            reason = self._tick(read_i64_le(data, at + 8))
        elif kind == LIST_INSTRUMENT:
            reason = self._list(data, at)
        elif kind == SET_ACCOUNT:
            reason = self._set_account(data, at)
        if reason != 0:
            parties: i64 = 0 if kind == CLOCK_TICK else read_i64_le(data, at + 8)
            reject(self.books, kind | (reason << 8), parties, 0, 0)

    def _set_trading_state(self, data: bytes, at: i64) -> i64:
        books = self.books
        state = (read_i64_le(data, at) >> 32) & 0xFF
        instrument = (read_i64_le(data, at + 8) >> 32) & LOW
        if not is_instrument(books, instrument):
            return UNKNOWN_INSTRUMENT
        if state > CLOSED:
            return INVALID_TRADING_STATE
        book = instrument * INSTRUMENT_ROW
        before = books.instruments[book + STATE]
        states = state | (before << 8)
        books.instruments[book + STATE] = state
        sequence = books.next_sequence(instrument)
        write_state_changed(books.out, books.command_index, states, instrument, sequence)
        if state == CLOSED and before != CLOSED:
            cancel_book(books, instrument, BOTH_SIDES, ORDER_EXPIRED, AT_CLOSE)
            books.client_ids.close(instrument, books.instruments)
        return 0

    def _tick(self, time_ns: i64) -> i64:
        if time_ns < self.trading_time_ns or time_ns <= 0:
            return CLOCK_BACKWARDS
        for session in reversed(self.sessions.values()):
            if session.heard_ns != 0:
                break
            session.heard_ns = time_ns
        self.trading_time_ns = time_ns
        while len(self.sessions) > 0:
            oldest = next(iter(self.sessions))
            if time_ns - self.sessions[oldest].heard_ns < SESSION_MEMORY_NS:
                break
            del self.sessions[oldest]
        books = self.books
        books.event_count += 1
        write_simple(books.out, CLOCK_TICKED, books.command_index, 0, time_ns, 0)
        return 0

    def _list(self, data: bytes, at: i64) -> i64:
        books = self.books
        state = (read_i64_le(data, at) >> 32) & 0xFF
        instrument = (read_i64_le(data, at + 8) >> 32) & LOW
        sizes = read_i64_le(data, at + 16)
        collar = read_i64_le(data, at + 24) & LOW
        symbol = read_i64_le(data, at + 32)
        if instrument == 0 or instrument > INSTRUMENT_MAX:
            return INVALID_INSTRUMENT
        if is_instrument(books, instrument):
            return INSTRUMENT_EXISTS
        tick, lot = sizes & LOW, (sizes >> 32) & LOW
        symbol_bytes = data[at + 32 : at + 40].rstrip(b"\x00")
        if len(symbol_bytes) == 0 or not well_formed(data, at + 32, len(symbol_bytes)):
            return INVALID_INSTRUMENT
        if symbol_bytes != symbol_bytes.upper() or state > CLOSED:
            return INVALID_INSTRUMENT
        if tick == 0 or lot == 0 or lot > QUANTITY_MAX:
            return INVALID_INSTRUMENT
        self.add_instrument(instrument)
        book = instrument * INSTRUMENT_ROW
        rows = books.instruments
        rows[book + LISTED], rows[book + TICK], rows[book + LOT] = 1, tick, lot
        rows[book + COLLAR], rows[book + STATE], rows[book + SYMBOL] = collar, state, symbol
        sequence = books.next_sequence(instrument)
        head = books.command_index | (state << 16)
        write_listed(books.out, head, instrument, sizes, collar, symbol, sequence)
        return 0

    def add_instrument(self, instrument: i64) -> None:
        """Make an empty row for an instrument's number."""
        books = self.books
        while len(books.instruments) <= instrument * INSTRUMENT_ROW:
            for _ in range(INSTRUMENT_ROW):
                books.instruments = append(books.instruments, 0)
        book = instrument * INSTRUMENT_ROW
        books.instruments[book + BEST_BID] = NIL
        books.instruments[book + BEST_BID + 1] = NIL

    def _set_account(self, data: bytes, at: i64) -> i64:
        books = self.books
        killed = (read_i64_le(data, at) >> 24) & 1
        account = read_i64_le(data, at + 8) & LOW
        limit = read_i64_le(data, at + 16) & LOW
        if account == 0 or account > ACCOUNT_MAX:
            return INVALID_ACCOUNT
        self.add_account(account)
        books.accounts[account * ROW + KNOWN] = 1 | (killed << 1)
        books.accounts[account * ROW + OPEN_ORDERS_MAX] = limit
        books.event_count += 1
        write_simple(books.out, ACCOUNT_UPDATED, books.command_index, killed, account, limit)
        if killed != 0:
            cancel_account(books, account, 0, BOTH_SIDES, BY_KILL_SWITCH)
        return 0

    def add_account(self, account: i64) -> None:
        """Make an empty row for an account's number, if it has none."""
        books = self.books
        while len(books.accounts) <= account * ROW:
            for _ in range(ROW):
                books.accounts = append(books.accounts, 0)
        row = account * ROW
        if books.accounts[row + KNOWN] == 0:
            books.accounts[row + FIRST_ORDER] = NIL
            books.accounts[row + LAST_ORDER] = NIL

    # --- views ------------------------------------------------------------------------------------

    def levels(self, instrument: int, side: int) -> list[tuple[int, int, int]]:
        """(price ticks, quantity, order count) of one side, best first. Empty where the instrument
        is not listed.
        """
        books = self.books
        found: list[tuple[int, int, int]] = []
        if is_instrument(books, instrument):
            level = books.instruments[instrument * INSTRUMENT_ROW + BEST_BID + side]
            while level != NIL:
                rows = books.levels
                found.append((rows[level] & LOW, rows[level + 1], rows[level + 2]))
                level = next_level(books.levels, level)
        return found

    def orders(self, instrument: int, side: int) -> list[tuple[int, int, int, int]]:
        """(order id, account, price ticks, leaves quantity) of one side, in the order in which they
        would trade.
        """
        books = self.books
        found: list[tuple[int, int, int, int]] = []
        if is_instrument(books, instrument):
            level = books.instruments[instrument * INSTRUMENT_ROW + BEST_BID + side]
            while level != NIL:
                row = books.levels[level + HEAD]
                while row != NIL:
                    terms = books.orders[row + PRICE_ACCOUNT]
                    leaves = books.orders[row + LEAVES]
                    found.append((books.orders[row], terms >> 32, terms & LOW, leaves))
                    row = books.orders[row + NEXT]
                level = next_level(books.levels, level)
        return found

    def book_sequence(self, instrument: int) -> int:
        """The number of the book's last event, 0 where the instrument is not listed."""
        if not is_instrument(self.books, instrument):
            return 0
        return self.books.instruments[instrument * INSTRUMENT_ROW + SEQUENCE]

    def trading_state(self, instrument: int) -> int:
        """The instrument's trading state code."""
        return self.books.instruments[instrument * INSTRUMENT_ROW + STATE]

    def instruments(self) -> list[int]:
        """The numbers of all listed instruments, ascending."""
        count = len(self.books.instruments) // INSTRUMENT_ROW
        return [number for number in range(1, count) if is_instrument(self.books, number)]

    @property
    def order_count(self) -> int:
        """How many orders rest."""
        return self.books.order_count
