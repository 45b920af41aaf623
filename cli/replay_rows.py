"""Batches as rows that people and their tools read: one a command, one an event.

Guarantees: every field of a record is there under its own name; codes are words, prices and
quantities integers (`price_ticks`: 1/10,000 dollar). In JSON, ids, sequences and whatever may pass
2**53 are strings, times RFC 3339 with nanoseconds, and prices are there as decimals, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from enum import IntEnum
from functools import cache
from typing import Any, Final, NamedTuple

from domain.codes import (
    BatchStatus,
    CommandType,
    EventType,
    OrderType,
    Reason,
    Side,
    TimeInForce,
    TradingState,
)
from domain.commands import (
    CancelOrder,
    ClockTick,
    ListInstrument,
    MassCancel,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)
from domain.event_records import decode_events
from domain.wire import WireError, check_batch, decode_batch, decode_event_header

SAFE_INTEGER: Final = 2**53 - 1
NS: Final = 10**9
STRINGS: Final = frozenset(
    (
        "order_id",
        "aggressor_order_id",
        "resting_order_id",
        "match_number",
        "book_sequence",
        "batch_number",
    )
)
TIMES: Final = frozenset(("trading_time", "gateway_time", "time"))
CODES: Final[Mapping[str, type[IntEnum]]] = {
    "side": Side,
    "aggressor_side": Side,
    "order_type": OrderType,
    "time_in_force": TimeInForce,
    "state": TradingState,
    "previous_state": TradingState,
    "command_type": CommandType,
    "reason": Reason,
}
COMMAND_NAMES: Final[Mapping[type, str]] = {
    SubmitOrder: "submit_order",
    CancelOrder: "cancel_order",
    ReplaceOrder: "replace_order",
    MassCancel: "mass_cancel",
    SetTradingState: "set_trading_state",
    ClockTick: "clock_tick",
    ListInstrument: "list_instrument",
    SetAccount: "set_account",
}

Row = dict[str, Any]
SymbolOf = Callable[[int], str]


# --- one record -----------------------------------------------------------------------------------


class Take(IntEnum):
    """How a field becomes a value of a row."""

    AS_IT_IS = 0
    CODE = 1
    TEXT = 2
    STRING = 3
    TIME = 4
    PRICE = 5


class Field(NamedTuple):
    """One field of a command or an event: its name in the record, its name in a row, and for a code
    the words.
    """

    attribute: str
    name: str
    take: Take
    words: Mapping[int, str]


@cache
def _fields(kind: type) -> tuple[Field, ...]:
    return tuple(_field(each.name) for each in fields(kind))


def _field(attribute: str) -> Field:
    words: Mapping[int, str] = {}
    name, take = attribute, Take.AS_IT_IS
    if attribute in CODES:
        take, words = Take.CODE, {int(each): each.name.lower() for each in CODES[attribute]}
    elif attribute in ("client_order_id", "symbol"):
        take = Take.TEXT
    elif attribute == "time_ns":
        name, take = "time", Take.TIME
    elif attribute in STRINGS:
        take = Take.STRING
    elif attribute.endswith("price_ticks"):
        take = Take.PRICE
    return Field(attribute, name, take, words)


def plain_fields(record: object, symbol_of: SymbolOf) -> Row:
    """The fields of a command or an event, for Parquet: numbers as they are, codes as words, an
    instrument's symbol beside it.
    """
    row: Row = {}
    for attribute, name, take, words in _fields(type(record)):
        value = getattr(record, attribute)
        if take is Take.CODE:
            value = words.get(value) or str(value)
        elif take is Take.TEXT:
            value = value.decode("ascii", "backslashreplace") or None
        row[name] = value
    if "instrument" in row and "symbol" not in row:
        row["symbol"] = symbol_of(row["instrument"]) or None
    return row


def json_fields(record: object, symbol_of: SymbolOf) -> Row:
    """The same for JSON: without what is None, wide numbers as strings, prices as decimals, too."""
    row: Row = {}
    for attribute, name, take, words in _fields(type(record)):
        value = getattr(record, attribute)
        if take is Take.AS_IT_IS:
            row[name] = value if -SAFE_INTEGER <= value <= SAFE_INTEGER else str(value)
            if name == "instrument" and (symbol := symbol_of(value)):
                row["symbol"] = symbol
        elif take is Take.CODE:
            row[name] = words.get(value) or str(value)
        elif take is Take.STRING:
            row[name] = str(value)
        elif take is Take.TIME:
            row[name] = rfc3339(value)
        elif take is Take.PRICE:
            row[name] = value
            if value:
                row[name.removesuffix("_ticks")] = decimal_price(value)
        elif value:
            row[name] = value.decode("ascii", "backslashreplace")
    return row


def event_name(event: object) -> str:
    """`order_accepted` for an OrderAccepted."""
    return _event_name(type(event))


@cache
def _event_name(kind: type) -> str:
    names = {each.name.title().replace("_", ""): each.name.lower() for each in EventType}
    return names[kind.__name__]


def code_name(codes: type[IntEnum], value: int) -> str:
    """A code in lower case; its number where it is none of ours (a refused command's)."""
    try:
        return codes(value).name.lower()
    except ValueError:
        return str(value)


# --- rows of a batch ------------------------------------------------------------------------------


class Form(NamedTuple):
    """How rows are made: what all rows of a batch begin with, and the fields of one record."""

    head: Callable[[Row], Row]
    fields: Callable[[object, SymbolOf], Row]


def command_rows(
    position: int, shard: int, batch: bytes, event_record: bytes, form: Form, symbol_of: SymbolOf
) -> Iterator[Row]:
    """One row a command, with what became of its batch; one without a command where the batch is
    undecodable.
    """
    header = decode_event_header(event_record)
    head: Row = {
        "position": position,
        "status": BatchStatus(int(header.status)).name.lower(),
        "trading_time": header.trading_time_ns,
    }
    try:
        sent, commands = decode_batch(batch)
    except WireError as error:
        yield form.head(head | {"undecodable": str(error)})
        return
    head |= {
        "session": sent.session.hex(),
        "batch_number": sent.batch_number,
        "gateway_time": sent.audit_timestamp_ns,
    }
    head = form.head(head)
    for index, command in enumerate(commands):
        row = head | {"command_index": index, "command": COMMAND_NAMES[type(command)]}
        if isinstance(command, SubmitOrder):
            row |= form.head({"order_id": shard << 55 | position << 16 | index})
        yield row | form.fields(command, symbol_of)


def event_rows(position: int, record: bytes, form: Form, symbol_of: SymbolOf) -> Iterator[Row]:
    """One row an event of a whole EventBatch."""
    header = decode_event_header(record)
    head = form.head(
        {
            "position": position,
            "trading_time": header.trading_time_ns,
            "gateway_time": header.audit_timestamp_ns,
        }
    )
    for index, event in enumerate(decode_events(record)):
        row = head | {"event_index": index, "event": event_name(event)}
        row.update(form.fields(event, symbol_of))
        yield row


# --- JSON -----------------------------------------------------------------------------------------


def as_json(row: Row) -> Row:
    """The row as JSON takes it: without what is None, wide numbers as strings, prices as decimals
    as well.
    """
    out: Row = {}
    for name, value in row.items():
        if value is None:
            continue
        if name in TIMES:
            value = rfc3339(value)
        elif name in STRINGS or (
            isinstance(value, int) and not -SAFE_INTEGER <= value <= SAFE_INTEGER
        ):
            value = str(value)
        out[name] = value
        if name.endswith("price_ticks") and value:
            out[name.removesuffix("_ticks")] = decimal_price(int(value))
    return out


PLAIN: Final = Form(lambda row: row, plain_fields)
JSON: Final = Form(as_json, json_fields)


def decimal_price(price_ticks: int) -> str:
    """Dollars with four decimals."""
    return f"{price_ticks // 10_000}.{price_ticks % 10_000:04d}"


def level_json(level: tuple[int, int, int] | None) -> Row | None:
    """A price level, (price ticks, quantity, order count), as the API gives it."""
    if level is None:
        return None
    price, quantity, count = level
    return as_json({"price_ticks": price, "quantity": quantity, "order_count": count})


def rfc3339(time_ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC."""
    seconds, rest = divmod(time_ns, NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


# --- one batch, whole -----------------------------------------------------------------------------


def command_batch_json(position: int, shard: int, batch: bytes, symbol_of: SymbolOf) -> Row:
    """A CommandBatch as one JSON object; an unsound one tells why it is none."""
    try:
        header = check_batch(batch)
        _, commands = decode_batch(batch)
    except WireError as error:
        return {"byte_count": len(batch), "undecodable": str(error)}
    rows = []
    for index, command in enumerate(commands):
        row: Row = {"command_index": index, "command": COMMAND_NAMES[type(command)]}
        if isinstance(command, SubmitOrder):
            row["order_id"] = shard << 55 | position << 16 | index
        rows.append(as_json(row) | json_fields(command, symbol_of))
    return as_json(
        {
            "wire_version": header.version,
            "rules_version": header.rules_version,
            "session": header.session.hex(),
            "batch_number": header.batch_number,
            "gateway_time": header.audit_timestamp_ns,
            "byte_count": len(batch),
            "commands": rows,
        }
    )


def event_batch_json(record: bytes, part_count: int, symbol_of: SymbolOf) -> Row:
    """A whole EventBatch as one JSON object; an unsound one tells why it is none."""
    try:
        header = decode_event_header(record)
        status = code_name(BatchStatus, header.status)
        events = [
            {"event": event_name(event)} | json_fields(event, symbol_of)
            for event in decode_events(record)
        ]
    except WireError as error:
        return {"byte_count": len(record), "unsound": str(error)}
    return as_json(
        {
            "status": status,
            "position": header.position,
            "shard": header.shard,
            "session": header.session.hex(),
            "batch_number": header.batch_number,
            "gateway_time": header.audit_timestamp_ns,
            "trading_time": header.trading_time_ns,
            "command_count": header.command_count,
            "chain": header.chain.hex(),
            "byte_count": len(record),
            "part_count": part_count,
            "events": events,
        }
    )
