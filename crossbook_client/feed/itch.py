"""Decodes Nasdaq TotalView-ITCH 5.0, strictly: a message of a wrong length, an unknown type or a
field out of its range is an UndecodableError, never a guess and never another exception.

Source: Nasdaq TotalView-ITCH 5.0 specification, sections 3 and 4. All integers are big-endian,
texts ASCII, left-justified and padded with spaces.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from crossbook_client.feed.messages import (
    AddOrder,
    CrossTrade,
    HiddenTrade,
    Message,
    OrderDeleted,
    OrderExecuted,
    OrderExecutedWithPrice,
    OrderReduced,
    OrderReplaced,
    OtherMessage,
    StockDirectory,
    SystemEvent,
    TradingAction,
)

DAY_NS: Final = 86_400 * 10**9
SYMBOLS_REMEMBERED_MAX: Final = 65_536
SIZES: Final = {
    "S": 12,
    "R": 39,
    "H": 25,
    "Y": 20,
    "L": 26,
    "V": 35,
    "W": 12,
    "K": 28,
    "J": 35,
    "h": 21,
    "A": 36,
    "F": 40,
    "E": 31,
    "C": 36,
    "X": 23,
    "D": 19,
    "U": 35,
    "P": 44,
    "Q": 40,
    "B": 19,
    "I": 50,
    "N": 20,
    "O": 48,
}
SIZE_MAX: Final = max(SIZES.values())
_SIZE_OF: Final = [SIZES.get(chr(code), 0) for code in range(256)]
_SIDES: Final = {b"B": "B", b"S": "S"}
_YES_NO: Final = {b"Y": True, b"N": False}

# After the type: stock locate, tracking number, and the time as its upper 2 and lower 4 bytes.
_HEAD: Final = ">xHxxHI"
_SYSTEM: Final = Struct(_HEAD + "c").unpack_from
_DIRECTORY: Final = Struct(_HEAD + "8s2sI14s").unpack_from
_ACTION: Final = Struct(_HEAD + "8scx4s").unpack_from
_ADD: Final = Struct(_HEAD + "QcI8sI").unpack_from
_EXECUTED: Final = Struct(_HEAD + "QIQ").unpack_from
_EXECUTED_PRICE: Final = Struct(_HEAD + "QIQcI").unpack_from
_REDUCED: Final = Struct(_HEAD + "QI").unpack_from
_DELETED: Final = Struct(_HEAD + "Q").unpack_from
_REPLACED: Final = Struct(_HEAD + "QQII").unpack_from
_TRADE: Final = Struct(_HEAD + "QcI8sIQ").unpack_from
_CROSS: Final = Struct(_HEAD + "Q8sIQc").unpack_from
_OTHER: Final = Struct(_HEAD).unpack_from


class UndecodableError(Exception):
    """Bytes that the standard does not allow, and why."""


_symbols: dict[bytes, str] = {}


def _symbol(raw: bytes) -> str:
    """The symbol of 8 padded bytes."""
    known = _symbols.get(raw)
    if known is not None:
        return known
    text = raw.rstrip(b" ")
    if not text or any(not 0x21 <= code <= 0x7E for code in text):
        raise UndecodableError(f"no symbol: {raw!r}")
    if len(_symbols) >= SYMBOLS_REMEMBERED_MAX:
        _symbols.clear()
    return _symbols.setdefault(raw, text.decode("ascii"))


def _text(raw: bytes) -> str:
    if any(not 0x20 <= code <= 0x7E for code in raw):
        raise UndecodableError(f"no text: {raw!r}")
    return raw.decode("ascii").rstrip(" ")


def _time(high: int, low: int) -> int:
    time_ns = high << 32 | low
    if time_ns >= DAY_NS:
        raise UndecodableError(f"time {time_ns} is past midnight")
    return time_ns


def _one_of(allowed: bytes, code: bytes) -> str:
    if code not in allowed:
        raise UndecodableError(f"code {code!r} is none of {allowed!r}")
    return code.decode("ascii")


def _above_zero(*values: int) -> None:
    if 0 in values:
        raise UndecodableError("a quantity, price or locate of 0")


def _system_event(body: bytes, at: int) -> Message:
    locate, high, low, event = _SYSTEM(body, at)
    return SystemEvent(locate, _time(high, low), _one_of(b"OSQMEC", event))


def _stock_directory(body: bytes, at: int) -> Message:
    locate, high, low, symbol, categories, round_lot, codes = _DIRECTORY(body, at)
    _above_zero(locate, round_lot)
    _text(categories)
    _text(codes[:9])
    _text(codes[13:])  # between them is the leverage factor, an integer
    return StockDirectory(locate, _time(high, low), _symbol(symbol), round_lot)


def _trading_action(body: bytes, at: int) -> Message:
    locate, high, low, symbol, state, reason = _ACTION(body, at)
    _above_zero(locate)
    state_text = _one_of(b"THPQ", state)
    return TradingAction(locate, _time(high, low), _symbol(symbol), state_text, _text(reason))


def _add_order(body: bytes, at: int) -> Message:
    locate, high, low, reference, side, quantity, symbol, price = _ADD(body, at)
    side_text = _SIDES.get(side)
    time_ns = high << 32 | low
    if not locate or not quantity or not price or side_text is None or time_ns >= DAY_NS:
        raise UndecodableError("an added order without instrument, side, quantity or price")
    return AddOrder(locate, time_ns, reference, side_text, quantity, _symbol(symbol), price)


def _order_executed(body: bytes, at: int) -> Message:
    locate, high, low, reference, quantity, match_number = _EXECUTED(body, at)
    time_ns = high << 32 | low
    if not locate or not quantity or time_ns >= DAY_NS:
        raise UndecodableError("an execution without instrument or quantity")
    return OrderExecuted(locate, time_ns, reference, quantity, match_number)


def _order_executed_with_price(body: bytes, at: int) -> Message:
    locate, high, low, reference, quantity, match, printable, price = _EXECUTED_PRICE(body, at)
    _above_zero(locate, quantity, price)
    counts = _YES_NO.get(printable)
    if counts is None:
        raise UndecodableError(f"printable is Y or N, not {printable!r}")
    return OrderExecutedWithPrice(
        locate, _time(high, low), reference, quantity, match, counts, price
    )


def _order_reduced(body: bytes, at: int) -> Message:
    locate, high, low, reference, quantity = _REDUCED(body, at)
    time_ns = high << 32 | low
    if not locate or not quantity or time_ns >= DAY_NS:
        raise UndecodableError("a partial cancel without instrument or quantity")
    return OrderReduced(locate, time_ns, reference, quantity)


def _order_deleted(body: bytes, at: int) -> Message:
    locate, high, low, reference = _DELETED(body, at)
    time_ns = high << 32 | low
    if not locate or time_ns >= DAY_NS:
        raise UndecodableError("a deletion without instrument")
    return OrderDeleted(locate, time_ns, reference)


def _order_replaced(body: bytes, at: int) -> Message:
    locate, high, low, reference, new_reference, quantity, price = _REPLACED(body, at)
    _above_zero(locate, quantity, price)
    return OrderReplaced(locate, _time(high, low), reference, new_reference, quantity, price)


def _hidden_trade(body: bytes, at: int) -> Message:
    locate, high, low, _, side, quantity, symbol, price, match_number = _TRADE(body, at)
    _above_zero(locate, quantity, price)
    side_text = _one_of(b"BS", side)
    return HiddenTrade(
        locate, _time(high, low), side_text, quantity, _symbol(symbol), price, match_number
    )


def _cross_trade(body: bytes, at: int) -> Message:
    locate, high, low, quantity, symbol, price, match_number, cross = _CROSS(body, at)
    _above_zero(locate)
    kind = _one_of(b"OCHI", cross)
    if quantity >= 1 << 32:
        raise UndecodableError(f"a cross of {quantity} shares")
    return CrossTrade(
        locate, _time(high, low), quantity, _symbol(symbol), price, match_number, kind
    )


def _other(body: bytes, at: int) -> Message:
    locate, high, low = _OTHER(body, at)
    kind = chr(body[at])
    return OtherMessage(locate, _time(high, low), kind, bytes(body[at : at + SIZES[kind]]))


_DECODERS: Final[dict[str, Callable[[bytes, int], Message]]] = {
    "S": _system_event,
    "R": _stock_directory,
    "H": _trading_action,
    "A": _add_order,
    "F": _add_order,
    "E": _order_executed,
    "C": _order_executed_with_price,
    "X": _order_reduced,
    "D": _order_deleted,
    "U": _order_replaced,
    "P": _hidden_trade,
    "Q": _cross_trade,
}
_DECODER_OF: Final[list[Any]] = [_DECODERS.get(chr(code), _other) for code in range(256)]


def decode(body: bytes, at: int = 0, length: int | None = None) -> Message:
    """The message that fills `length` bytes of `body` from `at`, by default all of the rest.

    Raises UndecodableError where they are not one message as the standard has it.
    """
    if length is None:
        length = len(body) - at
    if length <= 0 or at + length > len(body):
        raise UndecodableError("a message of no bytes, or cut off")
    code = body[at]
    if _SIZE_OF[code] != length:
        raise UndecodableError(f"type {code:#04x} of {length} bytes")
    message: Message = _DECODER_OF[code](body, at)
    return message


def decode_block(body: bytes, at: int, count: int) -> list[Message]:
    """Decode `count` messages, each after its length in 2 bytes, that end with `body`.

    Raises UndecodableError for the whole of it where one is unsound or bytes are left over.
    """
    messages: list[Message] = []
    append = messages.append
    end = len(body)
    for _ in range(count):
        start = at + 2
        if start >= end:
            raise UndecodableError("fewer messages than were announced")
        code = body[start]
        length = body[at] << 8 | body[at + 1]
        at = start + length
        if not length or _SIZE_OF[code] != length or at > end:
            raise UndecodableError(f"type {code:#04x} of {length} bytes")
        append(_DECODER_OF[code](body, start))
    if at != end:
        raise UndecodableError("bytes after the last message")
    return messages
