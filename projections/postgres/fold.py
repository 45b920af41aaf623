"""What a run of event batches of one trading day does to the history tables, as rows of binary
COPY.

Guarantees: every column is a function of the events alone; each order has one row however often the
run touched it, an INSERT where it was born in the run and an UPDATE where it is older. Pure, and
typed for mypyc. The order of the columns is that of `copy_rows.COLUMNS`, whose tables migrations/
defines.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, read_i64_le, write_i16_be
from mypy_extensions import i16, i64

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
from projections.postgres.copy_rows import (
    COPY_TAIL,
    WIDTHS,
    new_image,
    put_bytes,
    put_day,
    put_long,
    put_null,
    put_short,
)
from projections.postgres.fold_market import LevelRows, Summary

EVENT_HEADER_BYTES: Final = 112
LOW: Final = 0xFFFFFFFF
SUBMIT_ORDER: Final = 1
CANCEL_ORDER: Final = 2
REPLACE_ORDER: Final = 3

OPEN: Final = 0
PARTIALLY_FILLED: Final = 1
FILLED: Final = 2
CANCELLED: Final = 3
EXPIRED: Final = 4
REJECTED: Final = 5
STATUS_NAMES: Final = ("open", "partially_filled", "filled", "cancelled", "expired", "rejected")

RESTING: Final = 0
AGGRESSOR: Final = 1

# What `order_steps` keeps: of refused commands, the step is the command's own type.
STEP_REPLACED: Final = 1
STEP_NAMES: Final = ("", "replaced", "cancel_refused", "replace_refused")


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
        self.updated_trading_time_ns: i64 = 0
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
    """The rows of a run of batches, as COPY images, and how many there are.

    `older` are the changed orders that were born before `today_from`, the first order id of the
    day. `first_born_position` is 0 where no order was born.
    """

    def __init__(self, shard: i64, day: i64, today_from: i64) -> None:
        self.shard: i64 = shard
        self.day: i64 = day
        self.today_from: i64 = today_from
        self.position: i64 = 0
        self.audit_timestamp_ns: i64 = 0
        self.trading_time_ns: i64 = 0
        self.changes: dict[int, Change] = {}
        self.summaries: dict[int, Summary] = {}
        self.orders = new_image()
        self.order_changes = new_image()
        self.executions = new_image()
        self.trades = new_image()
        self.order_steps = new_image()
        self.levels = LevelRows(shard, day)
        self.listings: list[Listing] = []
        self.older: list[int] = []
        self.first_born_position: i64 = 0
        self.orders_born: i64 = 0
        self.orders_changed: i64 = 0
        self.matches: i64 = 0
        self.steps: i64 = 0
        self.order_width: i64 = WIDTHS["orders"]
        self.change_width: i64 = WIDTHS["order_changes"]
        self.execution_width: i64 = WIDTHS["executions"]
        self.trade_width: i64 = WIDTHS["trades"]
        self.step_width: i64 = WIDTHS["order_steps"]

    def images(self) -> list[tuple[str, bytes]]:
        """Each partitioned table that gets rows, with its whole binary COPY image."""
        images = []
        if self.orders_born > 0:
            images.append(("orders", self.orders.getvalue()))
        if self.matches > 0:
            images.append(("executions", self.executions.getvalue()))
            images.append(("trades", self.trades.getvalue()))
        if self.steps > 0:
            images.append(("order_steps", self.order_steps.getvalue()))
        if self.levels.count > 0:
            images.append(("level_changes", self.levels.image.getvalue()))
        return images


def fold(shard: int, records: list[bytes], day: int, today_from: int) -> Rows:
    """Fold whole EventBatch records of one shard and trading day (days since 1970), in order of
    position. Orders from the id `today_from` on were born on that day.
    """
    rows = Rows(shard, day, today_from)
    for record in records:
        rows.position = read_i64_le(record, 8)
        rows.audit_timestamp_ns = read_i64_le(record, 48)
        rows.trading_time_ns = read_i64_le(record, 56)
        _fold_record(rows, record)
        rows.levels.end_batch(rows.position, rows.audit_timestamp_ns, rows.trading_time_ns)
    for change in rows.changes.values():
        if change.accepted_position != 0:
            _write_order(rows, change)
        else:
            _write_change(rows, change)
            if change.order_id < rows.today_from:
                rows.older.append(change.order_id)
    for out in (rows.orders, rows.order_changes, rows.executions, rows.trades, rows.order_steps):
        out.write(COPY_TAIL)
    rows.levels.image.write(COPY_TAIL)
    return rows


def _fold_record(rows: Rows, record: bytes) -> None:
    at: i64 = EVENT_HEADER_BYTES
    size: i64 = len(record)
    while at < size:
        word = read_i64_le(record, at)
        kind = word & 0xFF
        if kind == LEVEL_CHANGED:
            rows.levels.add(record, at, (word >> 32) & 0xFF)
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
            _replaced(rows, record, at, word)
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
    change.updated_trading_time_ns = rows.trading_time_ns
    return change


def _born(rows: Rows, record: bytes, at: i64, word: i64) -> None:
    """An accepted submit, or a refused one; a refused cancel or replace is a step of its order."""
    accepted = word & 0xFF == ORDER_ACCEPTED
    shape = (word >> 32) & 0xFFFFFF
    if not accepted:
        command = shape & 0xFF
        if command != SUBMIT_ORDER:
            if command == CANCEL_ORDER or command == REPLACE_ORDER:
                _refused(rows, record, at, word)
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
    if rows.first_born_position == 0:
        rows.first_born_position = rows.position
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


def _refused(rows: Rows, record: bytes, at: i64, word: i64) -> None:
    """A refused cancel or replace, where it aimed at an order that is known."""
    order_id = read_i64_le(record, at + 16)
    if order_id == 0:
        return
    parties, terms = read_i64_le(record, at + 8), read_i64_le(record, at + 24)
    out = _step(rows, order_id, word, parties, (word >> 32) & 0xFF)
    put_null(out)
    put_short(out, (word >> 40) & 0xFF)
    put_null(out)
    put_long(out, terms & LOW)
    put_long(out, (terms >> 32) & LOW)
    put_null(out)
    put_null(out)
    put_null(out)
    put_null(out)
    put_long(out, rows.audit_timestamp_ns)
    put_long(out, rows.trading_time_ns)


def _step(rows: Rows, order_id: i64, word: i64, parties: i64, step: i64) -> BytesWriter:
    """Begin a row of `order_steps`."""
    out = rows.order_steps
    rows.steps += 1
    write_i16_be(out, i16(rows.step_width))
    put_long(out, order_id)
    put_long(out, rows.position)
    put_long(out, (word >> 16) & 0xFFFF)
    put_day(out, rows.day)
    put_short(out, rows.shard)
    put_long(out, parties & LOW)
    put_long(out, (parties >> 32) & LOW)
    put_short(out, step)
    return out


def _executed(rows: Rows, record: bytes, at: i64, word: i64) -> None:
    terms = read_i64_le(record, at + 40)
    price, quantity = terms & LOW, (terms >> 32) & LOW
    instrument = read_i64_le(record, at + 64)
    match_number = read_i64_le(record, at + 48)
    sequence = read_i64_le(record, at + 56)
    side = (word >> 32) & 0xFF
    aggressor, resting = read_i64_le(record, at + 8), read_i64_le(record, at + 24)
    aggressor_id, resting_id = read_i64_le(record, at + 16), read_i64_le(record, at + 32)
    _fill(rows, aggressor_id, (aggressor >> 32) & LOW, price, quantity)
    _fill(rows, resting_id, (resting >> 32) & LOW, price, quantity)
    summary = rows.summaries.get(instrument)
    if summary is None:
        summary = Summary(instrument, price, match_number, rows.audit_timestamp_ns)
        rows.summaries[instrument] = summary
    summary.add(price, quantity, match_number, rows.audit_timestamp_ns)
    for liquidity in (AGGRESSOR, RESTING):
        out = rows.executions
        party = aggressor if liquidity == AGGRESSOR else resting
        write_i16_be(out, i16(rows.execution_width))
        put_long(out, aggressor_id if liquidity == AGGRESSOR else resting_id)
        put_long(out, match_number)
        put_day(out, rows.day)
        put_short(out, rows.shard)
        put_long(out, party & LOW)
        put_long(out, instrument)
        put_short(out, side if liquidity == AGGRESSOR else 1 - side)
        put_short(out, liquidity)
        put_long(out, price)
        put_long(out, quantity)
        put_long(out, (party >> 32) & LOW)
        put_long(out, sequence)
        _stamp(out, rows)
    rows.matches += 1
    out = rows.trades
    write_i16_be(out, i16(rows.trade_width))
    put_long(out, instrument)
    put_long(out, match_number)
    put_day(out, rows.day)
    put_short(out, rows.shard)
    put_short(out, side)
    put_long(out, price)
    put_long(out, quantity)
    put_long(out, sequence)
    _stamp(out, rows)


def _fill(rows: Rows, order_id: i64, leaves: i64, price: i64, quantity: i64) -> None:
    change = _touched(rows, order_id)
    change.executed_quantity += quantity
    change.executed_value += price * quantity
    change.leaves_quantity = leaves
    change.status = FILLED if leaves == 0 else PARTIALLY_FILLED


def _replaced(rows: Rows, record: bytes, at: i64, word: i64) -> None:
    change = _touched(rows, read_i64_le(record, at + 16))
    terms = read_i64_le(record, at + 24)
    executed = read_i64_le(record, at + 40)
    change.price_ticks = terms & LOW
    change.leaves_quantity = (terms >> 32) & LOW
    change.quantity = executed + change.leaves_quantity
    change.status = OPEN if executed == 0 else PARTIALLY_FILLED
    previous = read_i64_le(record, at + 32)
    out = _step(rows, change.order_id, word, read_i64_le(record, at + 8), STEP_REPLACED)
    put_short(out, (word >> 32) & 0xFF)
    put_short(out, 0)
    put_short(out, (word >> 40) & 0xFF)
    put_long(out, change.price_ticks)
    put_long(out, change.leaves_quantity)
    put_long(out, previous & LOW)
    put_long(out, (previous >> 32) & LOW)
    put_long(out, executed)
    put_long(out, read_i64_le(record, at + 48))
    put_long(out, rows.audit_timestamp_ns)
    put_long(out, rows.trading_time_ns)


def _listed(rows: Rows, record: bytes, at: i64, word: i64) -> None:
    instrument = (read_i64_le(record, at + 8) >> 32) & LOW
    listing = Listing(instrument, (word >> 32) & 0xFF, rows.position)
    sizes = read_i64_le(record, at + 16)
    listing.tick_size, listing.lot_size = sizes & LOW, (sizes >> 32) & LOW
    listing.price_collar = read_i64_le(record, at + 24)
    listing.symbol = record[at + 32 : at + 40].rstrip(b"\x00")
    rows.listings.append(listing)


def _stamp(out: BytesWriter, rows: Rows) -> None:
    put_long(out, rows.position)
    put_long(out, rows.audit_timestamp_ns)
    put_long(out, rows.trading_time_ns)


def _write_order(rows: Rows, change: Change) -> None:
    out = rows.orders
    write_i16_be(out, i16(rows.order_width))
    put_long(out, change.order_id)
    put_day(out, rows.day)
    put_short(out, rows.shard)
    put_long(out, change.account)
    put_long(out, change.instrument)
    put_bytes(out, change.client_order_id)
    put_short(out, change.shape & 0xFF)
    put_short(out, (change.shape >> 8) & 0xFF)
    put_short(out, (change.shape >> 16) & 0xFF)
    put_long(out, change.price_ticks)
    put_long(out, change.quantity)
    put_long(out, change.executed_quantity)
    put_long(out, change.leaves_quantity)
    put_long(out, change.executed_value)
    put_short(out, change.status)
    put_short(out, change.reason)
    put_long(out, change.accepted_position)
    put_long(out, change.updated_position)
    put_long(out, change.accepted_at_ns)
    put_long(out, change.updated_at_ns)
    put_long(out, change.trading_time_ns)
    put_long(out, change.updated_trading_time_ns)
    rows.orders_born += 1


def _write_change(rows: Rows, change: Change) -> None:
    out = rows.order_changes
    write_i16_be(out, i16(rows.change_width))
    put_long(out, change.order_id)
    put_long(out, change.price_ticks)
    put_long(out, change.quantity)
    put_long(out, change.executed_quantity)
    put_long(out, change.leaves_quantity)
    put_long(out, change.executed_value)
    put_short(out, change.status)
    put_short(out, change.reason)
    put_long(out, change.updated_position)
    put_long(out, change.updated_at_ns)
    put_long(out, change.updated_trading_time_ns)
    rows.orders_changed += 1
