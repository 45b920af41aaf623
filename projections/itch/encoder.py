"""Event batches of one shard as the packets of its feed.

Guarantees: packets are a function of the log alone. The same batches give the same bytes, however
they are grouped and wherever an encoder was stopped and another went on (`state`); a packet never
holds messages of two batches, and is as full as 1,400 bytes allow. docs/multicast.md has the table
of events and messages. Pure, and typed for mypyc."""

from __future__ import annotations

import base64
from typing import Final, final

from librt.strings import BytesWriter, read_i64_le, write_i16_be, write_i64_be
from librt.vecs import append, vec
from mypy_extensions import i16, i64, u8

from domain.event_records import (
    CLOCK_TICKED,
    INSTRUMENT_LISTED,
    LEVEL_CHANGED,
    ORDER_ACCEPTED,
    ORDER_CANCELLED,
    ORDER_EXECUTED,
    ORDER_EXPIRED,
    ORDER_REPLACED,
    TRADING_STATE_CHANGED,
)
from domain.tables import zeros
from projections.itch.messages import (
    ACTION_BYTES,
    ADD_BYTES,
    CANCEL_BYTES,
    DAY_NS,
    DELETE_BYTES,
    DIRECTORY_BYTES,
    END_OF_MARKET_HOURS,
    EXECUTED_BYTES,
    START_OF_MARKET_HOURS,
    START_OF_MESSAGES,
    SYSTEM_BYTES,
    stock_of,
    write_action,
    write_add,
    write_cancel,
    write_delete,
    write_directory,
    write_executed,
    write_system,
)

EVENT_HEADER_BYTES: Final = 112
EVENT_CHAIN_AT: Final = 80
CHAIN_BYTES: Final = 32
LOW: Final = 0xFFFFFFFF
GTC: Final = 1
CLOSED: Final = 3
# Why the rest of an order that never rested was cancelled.
IOC_REMAINDER: Final = 67
NO_LIQUIDITY: Final = 69

PACKET_BYTES_MAX: Final = 1400
HEADER_BYTES: Final = 20
SESSION_BYTES: Final = 10
# A word of an instrument's row: its symbol as ITCH writes it (0: not listed), lot, state.
ROW: Final = 3


def session_of(chain: bytes) -> bytes:
    """The session's name: 50 bits of the running hash after position 1, in base 32. The first batch
    holds its gateway's session and clock, so no two exchanges have the same.
    """
    return base64.b32encode(chain)[:SESSION_BYTES]


@final
class FeedEncoder:
    """Stands after `position`; `next_sequence` is the number of the next message. `packets` gathers
    (first sequence, packet) until whoever takes them clears it.
    """

    def __init__(
        self,
        session: bytes = b"",
        position: int = 0,
        next_sequence: int = 1,
        trading_time_ns: int = 0,
    ) -> None:
        self.session = session
        self.position: i64 = position
        self.next_sequence: i64 = next_sequence
        self.trading_time_ns: i64 = trading_time_ns
        self.packets: list[tuple[int, bytes]] = []
        self.changed: dict[int, bool] = {}  # instruments listed or set since it was last cleared
        self._time_ns: i64 = trading_time_ns % DAY_NS
        self._instruments: vec[i64] = zeros(ROW)
        self._open_count: i64 = 0
        self._out: BytesWriter = BytesWriter()
        self._count: i64 = 0
        # The order that the command at work brought, until its executions are told.
        self._arriving_id: i64 = 0
        self._arriving_instrument: i64 = 0
        self._arriving_side: i64 = 0
        self._arriving_price: i64 = 0
        self._arriving_leaves: i64 = 0

    def add_instrument(self, number: int, symbol: int, lot_size: int, state: int) -> None:
        """An instrument that was listed before `position`; the symbol as `instrument` gives it."""
        self._put(number, symbol, lot_size, state)

    def instrument(self, number: int) -> tuple[int, int, int]:
        """(symbol, lot size, trading state) of a listed instrument."""
        rows = self._instruments
        at: i64 = number * ROW
        return rows[at], rows[at + 1], rows[at + 2]

    def apply(self, record: bytes) -> None:
        """Turn one whole EventBatch, the next one, into packets. Raises ValueError for another."""
        position = read_i64_le(record, 8)
        if position != self.position + 1:
            raise ValueError(f"batch {position} does not follow {self.position}")
        if position == 1:
            self.session = session_of(record[EVENT_CHAIN_AT : EVENT_CHAIN_AT + CHAIN_BYTES])
            write_system(self._room(SYSTEM_BYTES), self._time_ns, START_OF_MESSAGES)
        at: i64 = EVENT_HEADER_BYTES
        size: i64 = len(record)
        while at < size:
            word = read_i64_le(record, at)
            kind = word & 0xFF
            if kind == LEVEL_CHANGED:
                if self._arriving_id != 0:
                    self._rest()
            elif kind == ORDER_EXECUTED:
                self._executed(record, at)
            elif kind == ORDER_ACCEPTED:
                self._accepted(record, at, word)
            elif kind == ORDER_CANCELLED or kind == ORDER_EXPIRED:
                self._cancelled(record, at, (word >> 40) & 0xFF)
            elif kind == ORDER_REPLACED:
                self._replaced(record, at, word)
            else:
                self._administered(record, at, word, kind)
            at += ((word >> 8) & 0xFF) << 3
        if self._count > 0:
            self._close_packet()
        self.position = position

    # --- packets ----------------------------------------------------------------------------------

    def _room(self, size: i64) -> BytesWriter:
        """The packet that a message of `size` bytes goes into."""
        out = self._out
        if self._count > 0 and len(out) + 2 + size > PACKET_BYTES_MAX:
            self._close_packet()
        if self._count == 0:
            out.truncate(0)
            out.write(self.session)
            write_i64_be(out, self.next_sequence)
            write_i16_be(out, i16(0))
        self._count += 1
        return out

    def _close_packet(self) -> None:
        out, count = self._out, self._count
        out[18] = u8((count >> 8) & 0xFF)
        out[19] = u8(count & 0xFF)
        self.packets.append((self.next_sequence, out.getvalue()))
        self.next_sequence += count
        self._count = 0

    # --- orders -----------------------------------------------------------------------------------

    def _accepted(self, record: bytes, at: i64, word: i64) -> None:
        """It is told once it rests: what it trades before is told of the orders that it meets."""
        self._arriving_id = 0
        if (word >> 48) & 0xFF > GTC:
            return
        terms = read_i64_le(record, at + 24)
        self._arriving_id = read_i64_le(record, at + 16)
        self._arriving_instrument = (read_i64_le(record, at + 8) >> 32) & LOW
        self._arriving_side = (word >> 32) & 0xFF
        self._arriving_price = terms & LOW
        self._arriving_leaves = (terms >> 32) & LOW

    def _rest(self) -> None:
        """The command's executions are told: what is left of its order rests."""
        if self._arriving_leaves > 0:
            instrument = self._arriving_instrument
            write_add(
                self._room(ADD_BYTES),
                instrument,
                self._time_ns,
                self._arriving_id,
                self._arriving_side,
                self._arriving_leaves,
                self._instruments[instrument * ROW],
                self._arriving_price,
            )
        self._arriving_id = 0

    def _executed(self, record: bytes, at: i64) -> None:
        write_executed(
            self._room(EXECUTED_BYTES),
            read_i64_le(record, at + 64),
            self._time_ns,
            read_i64_le(record, at + 32),
            (read_i64_le(record, at + 40) >> 32) & LOW,
            read_i64_le(record, at + 48),
        )
        if read_i64_le(record, at + 16) == self._arriving_id:
            self._arriving_leaves = (read_i64_le(record, at + 8) >> 32) & LOW

    def _cancelled(self, record: bytes, at: i64, reason: i64) -> None:
        if IOC_REMAINDER <= reason <= NO_LIQUIDITY:
            return
        instrument = (read_i64_le(record, at + 8) >> 32) & LOW
        order_id = read_i64_le(record, at + 16)
        write_delete(self._room(DELETE_BYTES), instrument, self._time_ns, order_id)

    def _replaced(self, record: bytes, at: i64, word: i64) -> None:
        instrument = (read_i64_le(record, at + 8) >> 32) & LOW
        order_id = read_i64_le(record, at + 16)
        terms = read_i64_le(record, at + 24)
        leaves = (terms >> 32) & LOW
        if (word >> 40) & 0xFF != 0:
            taken = ((read_i64_le(record, at + 32) >> 32) & LOW) - leaves
            if taken > 0:
                out = self._room(CANCEL_BYTES)
                write_cancel(out, instrument, self._time_ns, order_id, taken)
            return
        write_delete(self._room(DELETE_BYTES), instrument, self._time_ns, order_id)
        self._arriving_id = order_id
        self._arriving_instrument = instrument
        self._arriving_side = (word >> 32) & 0xFF
        self._arriving_price = terms & LOW
        self._arriving_leaves = leaves

    # --- what is not an order ---------------------------------------------------------------------

    def _administered(self, record: bytes, at: i64, word: i64, kind: i64) -> None:
        number = (read_i64_le(record, at + 8) >> 32) & LOW
        state = (word >> 32) & 0xFF
        if kind == TRADING_STATE_CHANGED:
            rows, row = self._instruments, number * ROW
            self._set_state(number, rows[row], rows[row + 1], state)
        elif kind == INSTRUMENT_LISTED:
            symbol = stock_of(read_i64_le(record, at + 32))
            lot_size = (read_i64_le(record, at + 16) >> 32) & LOW
            out = self._room(DIRECTORY_BYTES)
            write_directory(out, number, self._time_ns, symbol, lot_size)
            self._set_state(number, symbol, lot_size, state)
        elif kind == CLOCK_TICKED:
            time_ns = read_i64_le(record, at + 8)
            is_new_day = time_ns // DAY_NS != self.trading_time_ns // DAY_NS
            self.trading_time_ns = time_ns
            self._time_ns = time_ns % DAY_NS
            if is_new_day:
                write_system(self._room(SYSTEM_BYTES), self._time_ns, START_OF_MESSAGES)

    def _set_state(self, number: i64, symbol: i64, lot_size: i64, state: i64) -> None:
        before = self._open_count
        self._put(number, symbol, lot_size, state)
        self.changed[number] = True
        write_action(self._room(ACTION_BYTES), number, self._time_ns, symbol, state)
        if before == 0 and self._open_count > 0:
            write_system(self._room(SYSTEM_BYTES), self._time_ns, START_OF_MARKET_HOURS)
        elif before > 0 and self._open_count == 0:
            write_system(self._room(SYSTEM_BYTES), self._time_ns, END_OF_MARKET_HOURS)

    def _put(self, number: i64, symbol: i64, lot_size: i64, state: i64) -> None:
        at = number * ROW
        while len(self._instruments) <= at:
            for _ in range(ROW):
                self._instruments = append(self._instruments, 0)
        rows = self._instruments
        if rows[at] != 0 and rows[at + 2] != CLOSED:
            self._open_count -= 1
        if state != CLOSED:
            self._open_count += 1
        rows[at], rows[at + 1], rows[at + 2] = symbol, lot_size, state
