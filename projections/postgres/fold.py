"""What a group of event batches does to the history tables, as rows of PostgreSQL's binary COPY.

Guarantees: every column is a function of the events alone; each order has one row however often the
group touched it, an INSERT where it was born in the group and an UPDATE where it is older. Pure,
and typed for mypyc. The order of the columns is that of `COLUMNS`, whose tables migrations/
defines.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import (
    BytesWriter,
    read_i64_le,
    write_i16_be,
    write_i32_be,
    write_i64_be,
)
from mypy_extensions import i16, i32, i64

from domain.event_records import (
    INSTRUMENT_LISTED,
    LEVEL_CHANGED,
    ORDER_ACCEPTED,
    ORDER_CANCELLED,
    ORDER_EXECUTED,
    ORDER_EXPIRED,
    ORDER_REJECTED,
    ORDER_REPLACED,
    TRADING_STATE_CHANGED,
)

EVENT_HEADER_BYTES: Final = 112
LOW: Final = 0xFFFFFFFF
SUBMIT_ORDER: Final = 1

OPEN: Final = 0
PARTIALLY_FILLED: Final = 1
FILLED: Final = 2
CANCELLED: Final = 3
EXPIRED: Final = 4
REJECTED: Final = 5
STATUS_NAMES: Final = ("open", "partially_filled", "filled", "cancelled", "expired", "rejected")

RESTING: Final = 0
AGGRESSOR: Final = 1

COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TAIL: Final = b"\xff\xff"
COLUMNS: Final = {
    "orders": (
        "order_id, shard, account, instrument, client_order_id, side, order_type, time_in_force,"
        " price_ticks, quantity, executed_quantity, leaves_quantity, executed_value, status,"
        " reason, accepted_position, updated_position, accepted_at_ns, updated_at_ns,"
        " trading_time_ns"
    ),
    "order_changes": (
        "order_id, price_ticks, quantity, executed_quantity, leaves_quantity, executed_value,"
        " status, reason, updated_position, updated_at_ns"
    ),
    "executions": (
        "order_id, match_number, shard, account, instrument, side, liquidity, price_ticks,"
        " quantity, leaves_quantity, position, executed_at_ns, trading_time_ns"
    ),
    "trades": (
        "instrument, match_number, shard, aggressor_side, price_ticks, quantity, position,"
        " executed_at_ns, trading_time_ns"
    ),
}


@final
class Change:
    """What became of one order. `executed_…` is what the group added; `price_ticks` and `quantity`
    are 0 where an older order's stay as they are; `accepted_position` is 0 for an older order."""

    def __init__(self, order_id: i64) -> None:
        self.order_id: i64 = order_id
        self.price_ticks: i64 = 0
        self.quantity: i64 = 0
        self.executed_quantity: i64 = 0
        self.leaves_quantity: i64 = 0
        self.executed_value: i64 = 0
        self.status: i64 = 0
        self.reason: i64 = 0
        self.updated_position: i64 = 0
        self.updated_at_ns: i64 = 0
        self.account: i64 = 0
        self.instrument: i64 = 0
        self.shape: i64 = 0
        self.client_order_id: bytes = b""
        self.accepted_position: i64 = 0
        self.accepted_at_ns: i64 = 0
        self.trading_time_ns: i64 = 0


@final
class Listing:
    """An instrument listed in the group, or (`symbol` empty) its new trading state."""

    def __init__(self, instrument: i64, state: i64, position: i64) -> None:
        self.instrument: i64 = instrument
        self.symbol: bytes = b""
        self.tick_size: i64 = 0
        self.lot_size: i64 = 0
        self.price_collar: i64 = 0
        self.state: i64 = state
        self.position: i64 = position


@final
class Rows:
    """The rows of a group of batches, as COPY images, and how many there are."""

    def __init__(self, shard: i64) -> None:
        self.shard: i64 = shard
        self.position: i64 = 0
        self.audit_timestamp_ns: i64 = 0
        self.trading_time_ns: i64 = 0
        self.changes: dict[int, Change] = {}
        self.orders = _image()
        self.order_changes = _image()
        self.executions = _image()
        self.trades = _image()
        self.listings: list[Listing] = []
        self.orders_born: i64 = 0
        self.orders_changed: i64 = 0
        self.matches: i64 = 0

    def images(self) -> list[tuple[str, bytes]]:
        """Each table that gets rows, with its whole binary COPY image; `order_changes` comes
        last."""
        images = []
        if self.orders_born > 0:
            images.append(("orders", self.orders.getvalue()))
        if self.matches > 0:
            images.append(("executions", self.executions.getvalue()))
            images.append(("trades", self.trades.getvalue()))
        if self.orders_changed > 0:
            images.append(("order_changes", self.order_changes.getvalue()))
        return images


def _image() -> BytesWriter:
    out = BytesWriter()
    out.write(COPY_HEAD)
    return out


def fold(shard: int, records: list[bytes]) -> Rows:
    """Fold whole EventBatch records of one shard, in order of position."""
    rows = Rows(shard)
    for record in records:
        rows.position = read_i64_le(record, 8)
        rows.audit_timestamp_ns = read_i64_le(record, 48)
        rows.trading_time_ns = read_i64_le(record, 56)
        _fold_record(rows, record)
    for change in rows.changes.values():
        if change.accepted_position != 0:
            _write_order(rows, change)
        else:
            _write_change(rows, change)
    for out in (rows.orders, rows.order_changes, rows.executions, rows.trades):
        out.write(COPY_TAIL)
    return rows


def _fold_record(rows: Rows, record: bytes) -> None:
    at: i64 = EVENT_HEADER_BYTES
    size: i64 = len(record)
    while at < size:
        word = read_i64_le(record, at)
        kind = word & 0xFF
        if kind == LEVEL_CHANGED:
            pass
        elif kind == ORDER_ACCEPTED or kind == ORDER_REJECTED:
            _born(rows, record, at, word)
        elif kind == ORDER_CANCELLED or kind == ORDER_EXPIRED:
            change = _touched(rows, read_i64_le(record, at + 16))
            change.leaves_quantity = 0
            change.status = CANCELLED if kind == ORDER_CANCELLED else EXPIRED
            change.reason = (word >> 40) & 0xFF
        elif kind == ORDER_EXECUTED:
            _executed(rows, record, at, word)
        elif kind == ORDER_REPLACED:
            _replaced(rows, record, at)
        elif kind == INSTRUMENT_LISTED:
            _listed(rows, record, at, word)
        elif kind == TRADING_STATE_CHANGED:
            instrument = (read_i64_le(record, at + 8) >> 32) & LOW
            rows.listings.append(Listing(instrument, (word >> 32) & 0xFF, rows.position))
        at += ((word >> 8) & 0xFF) << 3


def _touched(rows: Rows, order_id: i64) -> Change:
    """The order's change, marked with the present batch."""
    change = rows.changes.get(order_id)
    if change is None:
        change = Change(order_id)
        rows.changes[order_id] = change
    change.updated_position = rows.position
    change.updated_at_ns = rows.audit_timestamp_ns
    return change


def _born(rows: Rows, record: bytes, at: i64, word: i64) -> None:
    """An accepted submit, or a refused one; a refused cancel or replace leaves no row."""
    accepted = word & 0xFF == ORDER_ACCEPTED
    shape = (word >> 32) & 0xFFFFFF
    if not accepted:
        if shape & 0xFF != SUBMIT_ORDER:
            return
        packed = shape >> 16
        shape = (packed & 3) | ((packed >> 2 & 3) << 8) | ((packed >> 4 & 3) << 16)
    change = _touched(rows, read_i64_le(record, at + 16))
    parties = read_i64_le(record, at + 8)
    terms = read_i64_le(record, at + 24)
    length = (word >> 56) & 0x7F
    start = at + (40 if accepted else 32)
    change.account = parties & LOW
    change.instrument = (parties >> 32) & LOW
    change.shape = shape
    change.price_ticks = terms & LOW
    change.quantity = (terms >> 32) & LOW
    change.client_order_id = record[start : start + length]
    change.accepted_position = rows.position
    change.accepted_at_ns = rows.audit_timestamp_ns
    change.trading_time_ns = rows.trading_time_ns
    if accepted:
        change.leaves_quantity = change.quantity
    else:
        change.status = REJECTED
        change.reason = (word >> 40) & 0xFF
        change.client_order_id = _sound(change.client_order_id)


def _sound(client_order_id: bytes) -> bytes:
    """A refused submit's client order id where PostgreSQL can keep it as text, else none."""
    for value in client_order_id:
        if value < 0x21 or value > 0x7E:
            return b""
    return client_order_id


def _executed(rows: Rows, record: bytes, at: i64, word: i64) -> None:
    terms = read_i64_le(record, at + 40)
    price, quantity = terms & LOW, (terms >> 32) & LOW
    instrument = read_i64_le(record, at + 64)
    match_number = read_i64_le(record, at + 48)
    side = (word >> 32) & 0xFF
    aggressor, resting = read_i64_le(record, at + 8), read_i64_le(record, at + 24)
    aggressor_id, resting_id = read_i64_le(record, at + 16), read_i64_le(record, at + 32)
    _fill(rows, aggressor_id, (aggressor >> 32) & LOW, price, quantity)
    _fill(rows, resting_id, (resting >> 32) & LOW, price, quantity)
    for liquidity in (AGGRESSOR, RESTING):
        out = rows.executions
        party = aggressor if liquidity == AGGRESSOR else resting
        write_i16_be(out, 13)
        _long(out, aggressor_id if liquidity == AGGRESSOR else resting_id)
        _long(out, match_number)
        _short(out, rows.shard)
        _long(out, party & LOW)
        _long(out, instrument)
        _short(out, side if liquidity == AGGRESSOR else 1 - side)
        _short(out, liquidity)
        _long(out, price)
        _long(out, quantity)
        _long(out, (party >> 32) & LOW)
        _stamp(out, rows)
    rows.matches += 1
    out = rows.trades
    write_i16_be(out, 9)
    _long(out, instrument)
    _long(out, match_number)
    _short(out, rows.shard)
    _short(out, side)
    _long(out, price)
    _long(out, quantity)
    _stamp(out, rows)


def _fill(rows: Rows, order_id: i64, leaves: i64, price: i64, quantity: i64) -> None:
    change = _touched(rows, order_id)
    change.executed_quantity += quantity
    change.executed_value += price * quantity
    change.leaves_quantity = leaves
    change.status = FILLED if leaves == 0 else PARTIALLY_FILLED


def _replaced(rows: Rows, record: bytes, at: i64) -> None:
    change = _touched(rows, read_i64_le(record, at + 16))
    terms = read_i64_le(record, at + 24)
    executed = read_i64_le(record, at + 40)
    change.price_ticks = terms & LOW
    change.leaves_quantity = (terms >> 32) & LOW
    change.quantity = executed + change.leaves_quantity
    change.status = OPEN if executed == 0 else PARTIALLY_FILLED


def _listed(rows: Rows, record: bytes, at: i64, word: i64) -> None:
    instrument = (read_i64_le(record, at + 8) >> 32) & LOW
    listing = Listing(instrument, (word >> 32) & 0xFF, rows.position)
    sizes = read_i64_le(record, at + 16)
    listing.tick_size, listing.lot_size = sizes & LOW, (sizes >> 32) & LOW
    listing.price_collar = read_i64_le(record, at + 24)
    listing.symbol = record[at + 32 : at + 40].rstrip(b"\x00")
    rows.listings.append(listing)


# --- binary COPY rows: a column count, then each value behind its length
# ---------------------------


def _long(out: BytesWriter, value: i64) -> None:
    write_i32_be(out, 8)
    write_i64_be(out, value)


def _short(out: BytesWriter, value: i64) -> None:
    write_i32_be(out, 2)
    write_i16_be(out, i16(value))


def _stamp(out: BytesWriter, rows: Rows) -> None:
    _long(out, rows.position)
    _long(out, rows.audit_timestamp_ns)
    _long(out, rows.trading_time_ns)


def _write_order(rows: Rows, change: Change) -> None:
    out = rows.orders
    write_i16_be(out, 20)
    _long(out, change.order_id)
    _short(out, rows.shard)
    _long(out, change.account)
    _long(out, change.instrument)
    length: i64 = len(change.client_order_id)
    write_i32_be(out, i32(length) if length > 0 else -1)
    out.write(change.client_order_id)
    _short(out, change.shape & 0xFF)
    _short(out, (change.shape >> 8) & 0xFF)
    _short(out, (change.shape >> 16) & 0xFF)
    _long(out, change.price_ticks)
    _long(out, change.quantity)
    _long(out, change.executed_quantity)
    _long(out, change.leaves_quantity)
    _long(out, change.executed_value)
    _short(out, change.status)
    _short(out, change.reason)
    _long(out, change.accepted_position)
    _long(out, change.updated_position)
    _long(out, change.accepted_at_ns)
    _long(out, change.updated_at_ns)
    _long(out, change.trading_time_ns)
    rows.orders_born += 1


def _write_change(rows: Rows, change: Change) -> None:
    out = rows.order_changes
    write_i16_be(out, 10)
    _long(out, change.order_id)
    _long(out, change.price_ticks)
    _long(out, change.quantity)
    _long(out, change.executed_quantity)
    _long(out, change.leaves_quantity)
    _long(out, change.executed_value)
    _short(out, change.status)
    _short(out, change.reason)
    _long(out, change.updated_position)
    _long(out, change.updated_at_ns)
    rows.orders_changed += 1
