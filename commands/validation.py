"""What a client asks, checked and turned into command records, before anything reaches the log.

Guarantees: whatever passes here fits the wire format; whatever does not is refused with a stable
reason code, in time bounded by the body's length alone. Numbers are read as the text that was sent:
no float ever touches a price. What the engine checks (ticks, lots, trading state) is left to it.

Plain functions on msgspec Structs: an order of a batch costs about 2 µs from JSON to record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from commands.directory.entries import AccountEntry, InstrumentEntry
from domain.codes import (
    BOTH_SIDES,
    BUY,
    DAY,
    FOK,
    GTC,
    IOC,
    LIMIT,
    MARKET,
    PRICE_TICKS_MAX,
    QUANTITY_MAX,
    REPLACE_REQUEUE,
    REPLACE_TOTAL,
    SELL,
    TradingState,
)
from domain.commands import CancelOrder, MassCancel, ReplaceOrder, SubmitOrder
from domain.wire import encode_command

AMOUNT_TEXT_LENGTH_MAX: Final = 32
DETAIL_LENGTH_MAX: Final = 300
PRICES_CACHED_MAX: Final = 65_536
ORDER_ID_MAX: Final = 2**63 - 1
ORDER_ID_SHARD_BITS: Final = 55
TICKS_PER_DOLLAR: Final = 10_000

SIDES: Final = {"buy": BUY, "sell": SELL, "both": BOTH_SIDES}
ORDER_TYPES: Final = {"limit": LIMIT, "market": MARKET}
TIMES_IN_FORCE: Final = {"day": DAY, "gtc": GTC, "ioc": IOC, "fok": FOK}
TRADING_STATES: Final = {state.name.lower(): int(state) for state in TradingState}

NO_PRICE: Final = Raw(b"null")
PRICE: Final = re.compile(rb"(?:(0|[1-9]\d{0,5})(?:\.(\d{1,4}))?)")
DECIMAL: Final = re.compile(r"(-?)(0|[1-9]\d*)(?:\.(\d+))?", re.ASCII)
CLIENT_ORDER_ID: Final = re.compile(r"[!-~]{1,36}")
ORDER_ID: Final = re.compile(r"[1-9]\d{0,18}", re.ASCII)


def no_price() -> Raw:
    """The price of a request that gives none. (A plain default cannot be shown in a schema.)"""
    return NO_PRICE


Price = Annotated[
    Raw,
    Meta(
        description="Dollars with at most 4 decimals, as a string or a number, above 0.",
        extra_json_schema={
            "type": ["string", "number", "null"],
            "pattern": r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,4})?$",
            "minimum": 0.0001,
            "maximum": 429496.7295,
            "multipleOf": 0.0001,
            "examples": ["187.2500"],
        },
    ),
]
Amount = Annotated[
    Raw,
    Meta(
        description="Dollars with at most 4 decimals, as a string or a number; null is none.",
        extra_json_schema={
            "type": ["string", "number", "null"],
            "pattern": r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$",
            "minimum": 0,
            "maximum": 429496729500000,
            "multipleOf": 0.0001,
            "examples": ["2500000.0000"],
        },
    ),
]
Quantity = Annotated[
    int,
    Meta(
        description="Shares; an integer.",
        extra_json_schema={"minimum": 1, "maximum": QUANTITY_MAX},
    ),
]
Symbol = Annotated[
    str,
    Meta(
        description="In capitals.",
        examples=["AAPL", "BRK/A"],
        extra_json_schema={"minLength": 1, "maxLength": 8},
    ),
]
ClientOrderId = Annotated[
    str,
    Meta(
        description="1 to 36 printable ASCII characters, unique per account and instrument "
        "until the instrument closes.",
        examples=["my-order-1"],
        extra_json_schema={"pattern": "^[!-~]{1,36}$"},
    ),
]
OrderId = Annotated[str, Meta(description="As answered.", examples=["36028797018963968"])]


class Refusal(Exception):
    """Refused before the log. `status` is the HTTP status of one item; `reason` a stable code."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail


class SubmitBody(Struct, forbid_unknown_fields=True, gc=False):
    """An order to buy or sell."""

    symbol: Symbol
    side: Literal["buy", "sell"]
    quantity: Quantity
    type: Literal["limit", "market"] = "limit"
    price: Price = msgspec.field(default_factory=no_price)
    time_in_force: Literal["day", "gtc", "ioc", "fok"] | None = None
    client_order_id: ClientOrderId | None = None


class Submit(SubmitBody, tag="submit", tag_field="op", gc=False):
    """An order to buy or sell, in a batch."""


class Cancel(Struct, tag="cancel", tag_field="op", forbid_unknown_fields=True, gc=False):
    """A cancel, by `order_id`, or by `client_order_id` and `symbol`."""

    order_id: OrderId | None = None
    client_order_id: ClientOrderId | None = None
    symbol: Symbol | None = None


class Replace(Struct, tag="replace", tag_field="op", forbid_unknown_fields=True, gc=False):
    """A new price or total quantity (executed part included), or both.

    By `order_id`, or by `client_order_id` and `symbol`; `symbol` always where a price is given.
    """

    order_id: OrderId | None = None
    client_order_id: ClientOrderId | None = None
    symbol: Symbol | None = None
    price: Price = msgspec.field(default_factory=no_price)
    quantity: Quantity | None = None
    requeue: bool = False


def price_ticks_of(price: Raw) -> int:
    """Price ticks of a JSON string or number as it was sent; 0 for null. Raises Refusal."""
    return _price_ticks(bytes(price))


@lru_cache(maxsize=PRICES_CACHED_MAX)
def _price_ticks(text: bytes) -> int:
    """Cached, because an order flow names few prices again and again: 0.1 µs instead of 1 µs."""
    found = PRICE.fullmatch(text[1:-1] if text[:1] == b'"' else text)
    if found is not None:
        ticks = int(found[1]) * TICKS_PER_DOLLAR
        if found[2] is not None:
            ticks += int(found[2].ljust(4, b"0"))
        if 0 < ticks <= PRICE_TICKS_MAX:
            return ticks
    return _unusual_price_ticks(text)


def _unusual_price_ticks(text: bytes) -> int:
    """The rest: null, an escaped string, or what must be refused with the right reason."""
    ticks = amount_ticks(text, "price")
    if text != b"null" and not 0 < ticks <= PRICE_TICKS_MAX:
        raise Refusal(422, "price_out_of_range", "a price is above 0, at most 429496.7295")
    return ticks


def amount_ticks(text: bytes, name: str) -> int:
    """1/10,000 dollars of a JSON string or number, whatever their sign; 0 for null. Raises
    Refusal."""
    if text == b"null":
        return 0
    if len(text) > AMOUNT_TEXT_LENGTH_MAX:
        raise Refusal(400, f"invalid_{name}", f"a {name} has at most 32 characters")
    try:
        value = msgspec.json.decode(text, type=str) if text[:1] == b'"' else text.decode()
    except UNREADABLE as error:
        raise refusal_of(error) from None
    found = DECIMAL.fullmatch(value)
    if found is None:
        detail = f'a {name} is a plain decimal, such as "187.2500"'
        raise Refusal(400, f"invalid_{name}", detail)
    decimals = found[3] or ""
    if len(decimals) > 4:
        raise Refusal(422, f"{name}_too_fine", f"a {name} has at most 4 decimals")
    ticks = int(found[2]) * TICKS_PER_DOLLAR + int(decimals.ljust(4, "0"))
    return -ticks if found[1] else ticks


def price_text(price_ticks: int) -> str:
    """Price ticks as a decimal string with 4 decimals."""
    return f"{price_ticks // TICKS_PER_DOLLAR}.{price_ticks % TICKS_PER_DOLLAR:04d}"


def check_quantity(quantity: int) -> None:
    """Raises Refusal where a quantity does not fit the wire."""
    if quantity < 1:
        raise Refusal(422, "quantity_required", "a quantity is at least 1")
    if quantity > QUANTITY_MAX:
        raise Refusal(422, "quantity_too_large", f"a quantity is at most {QUANTITY_MAX:,}")


def client_order_id_of(text: str | None) -> bytes:
    """A client order id as its bytes; b"" where there is none. Raises Refusal."""
    if text is None:
        return b""
    if CLIENT_ORDER_ID.fullmatch(text) is None:
        raise Refusal(
            400,
            "invalid_client_order_id",
            "a client_order_id has 1 to 36 printable ASCII characters, no space",
        )
    return text.encode()


def order_id_of(text: str) -> int:
    """An order id from its decimal string. Raises Refusal (400; 404 where it is out of range)."""
    if ORDER_ID.fullmatch(text) is None:
        raise Refusal(
            400, "invalid_order_id", "an order_id is a decimal string, as it was answered"
        )
    number = int(text)
    if number > ORDER_ID_MAX:
        raise Refusal(404, "unknown_order", "no open order of this account has this id")
    return number


def shard_of_order(order_id: int, shards: int) -> int:
    """The shard in which an order was born. Raises Refusal (404) where there is no such shard."""
    shard = order_id >> ORDER_ID_SHARD_BITS
    if shard >= shards:
        raise Refusal(404, "unknown_order", "no open order of this account has this id")
    return shard


def instrument_of(symbol: str, instruments: Mapping[str, InstrumentEntry]) -> InstrumentEntry:
    """The instrument with exactly this symbol. Raises Refusal (404), hinting at a wrong case."""
    found = instruments.get(symbol)
    if found is not None:
        return found
    shown = symbol[:16].encode("ascii", "backslashreplace").decode()
    if len(symbol) <= 8 and symbol.upper() in instruments:
        hint = f"; symbols are in capitals: {symbol.upper()}"
        raise Refusal(404, "unknown_instrument", f"no instrument {shown!r}{hint}")
    raise Refusal(404, "unknown_instrument", f"no instrument {shown!r}")


def check_limits(
    account: AccountEntry, instrument: InstrumentEntry | None, price_ticks: int, quantity: int
) -> None:
    """The account's limits and the instrument's collar, as far as price and quantity (0: not given)
    are known. A market order's notional is taken at the reference price, where there is one.

    Raises Refusal: order_quantity_limit, order_notional_limit, price_collar.
    """
    limits = account.limits
    if limits.order_quantity_max and quantity > limits.order_quantity_max:
        detail = f"the account's orders are of at most {limits.order_quantity_max} shares"
        raise Refusal(422, "order_quantity_limit", detail)
    reference = 0 if instrument is None else instrument.reference_price
    if limits.order_notional_max:
        notional = (price_ticks or reference) * quantity
        if notional > limits.order_notional_max:
            detail = f"the account's orders are of at most ${price_text(limits.order_notional_max)}"
            raise Refusal(422, "order_notional_limit", detail)
    collar = 0 if instrument is None else instrument.price_collar
    if price_ticks and reference and collar and abs(price_ticks - reference) > collar:
        detail = (
            f"the price is more than {price_text(collar)} from the reference price "
            f"{price_text(reference)}"
        )
        raise Refusal(422, "price_collar", detail)


def submit_record(
    request: SubmitBody, account: AccountEntry, instruments: Mapping[str, InstrumentEntry]
) -> tuple[int, bytes]:
    """The shard and command record of a submit. Raises Refusal."""
    instrument = instrument_of(request.symbol, instruments)
    price_ticks = 0 if request.price is NO_PRICE else price_ticks_of(request.price)
    quantity = request.quantity
    if not 0 < quantity <= QUANTITY_MAX:
        check_quantity(quantity)
    order_type = ORDER_TYPES[request.type]
    time_in_force = request.time_in_force
    check_limits(account, instrument, 0 if order_type == MARKET else price_ticks, quantity)
    command = SubmitOrder(
        account.number,
        instrument.number,
        SIDES[request.side],
        order_type,
        (IOC if order_type == MARKET else DAY)
        if time_in_force is None
        else TIMES_IN_FORCE[time_in_force],
        price_ticks,
        quantity,
        client_order_id_of(request.client_order_id),
    )
    return instrument.shard, encode_command(command)


def order_reference(
    request: Cancel | Replace, instruments: Mapping[str, InstrumentEntry], shards: int
) -> tuple[int, InstrumentEntry | None, int, bytes]:
    """Shard, instrument (None: not named), order id (0: none) and client order id of the order that
    a cancel or replace names. Raises Refusal."""
    instrument = None if request.symbol is None else instrument_of(request.symbol, instruments)
    if request.order_id is not None:
        if request.client_order_id is not None:
            detail = "name the order by order_id or by client_order_id, not by both"
            raise Refusal(400, "invalid_order_reference", detail)
        order_id = order_id_of(request.order_id)
        return shard_of_order(order_id, shards), instrument, order_id, b""
    if request.client_order_id is None:
        detail = "name the order by order_id, or by client_order_id and symbol"
        raise Refusal(400, "invalid_order_reference", detail)
    if instrument is None:
        raise Refusal(422, "symbol_required", "a client_order_id needs its symbol")
    return instrument.shard, instrument, 0, client_order_id_of(request.client_order_id)


def cancel_record(
    request: Cancel,
    account: AccountEntry,
    instruments: Mapping[str, InstrumentEntry],
    shards: int,
) -> tuple[int, bytes]:
    """The shard and command record of a cancel. Raises Refusal."""
    shard, instrument, order_id, client_id = order_reference(request, instruments, shards)
    number = 0 if instrument is None else instrument.number
    return shard, encode_command(CancelOrder(account.number, number, order_id, client_id))


def replace_record(
    request: Replace,
    account: AccountEntry,
    instruments: Mapping[str, InstrumentEntry],
    shards: int,
) -> tuple[int, bytes]:
    """The shard and command record of a replace; its quantity is the new total. Raises Refusal.

    The collar is checked where a price is given. Of an account with a limit of notional both price
    and quantity must be given: one alone is not enough to tell what the order would be worth.
    """
    shard, instrument, order_id, client_id = order_reference(request, instruments, shards)
    price_ticks = price_ticks_of(request.price)
    quantity = 0
    flags = REPLACE_REQUEUE if request.requeue else 0
    if request.quantity is not None:
        quantity = request.quantity
        check_quantity(quantity)
        flags |= REPLACE_TOTAL
    if price_ticks and instrument is None:
        raise Refusal(422, "symbol_required", "a new price needs the symbol, for its price collar")
    if not price_ticks and not quantity:
        raise Refusal(422, "nothing_to_replace", "give a price, a quantity, or both")
    if account.limits.order_notional_max and not (price_ticks and quantity):
        detail = "the account's orders have a limit of value: give both price and total quantity"
        raise Refusal(422, "price_and_quantity_required", detail)
    check_limits(account, instrument if price_ticks else None, price_ticks, quantity)
    number = 0 if instrument is None else instrument.number
    command = ReplaceOrder(
        account.number, number, order_id, price_ticks, quantity, flags, client_id
    )
    return shard, encode_command(command)


def mass_cancel_record(
    account: AccountEntry, instrument: InstrumentEntry | None, side: str
) -> bytes:
    """The command record that cancels an account's orders, of one instrument or of all."""
    number = 0 if instrument is None else instrument.number
    return encode_command(MassCancel(account.number, number, SIDES[side]))


# The reason of a body whose JSON is sound but not of our shape, by the field that msgspec names.
FIELD_REASONS: Final[dict[str, str]] = {
    "symbol": "invalid_symbol",
    "side": "invalid_side",
    "type": "invalid_order_type",
    "time_in_force": "invalid_time_in_force",
    "price": "invalid_price",
    "quantity": "invalid_quantity",
    "client_order_id": "invalid_client_order_id",
    "order_id": "invalid_order_id",
}
FIELD_AT: Final = re.compile(r"at `\$(?:\.\w+|\[[^\]]*\])*?\.(\w+)`$")


def refusal_of(error: Exception) -> Refusal:
    """What to answer where msgspec could not read a body, or one item of it."""
    if not isinstance(error, msgspec.ValidationError):
        return Refusal(400, "malformed_json", "the body is not sound JSON in UTF-8")
    detail = str(error)[:DETAIL_LENGTH_MAX]
    if "required field" in detail:
        return Refusal(400, "missing_field", detail)
    if "unknown field" in detail:
        return Refusal(400, "unknown_field", detail)
    found = FIELD_AT.search(str(error))
    reason = FIELD_REASONS.get(found[1], "invalid_body") if found else "invalid_body"
    return Refusal(400, reason, detail)


UNREADABLE: Final[tuple[type[Exception], ...]] = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
)


def decode_body(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """Read a whole body as the decoder's type. Raises Refusal (400)."""
    try:
        return decoder.decode(body)
    except UNREADABLE as error:
        raise refusal_of(error) from None
