"""The scalars of the schema. In this process each is an integer; on the wire it is text that no
JSON reader rounds.

Guarantees: what is written here can be read back here; what a client sends is either of the form
that the description names or refused with a `GraphQLError` that says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from api.positions import TEXT_LENGTH_MAX
from commands.validation import price_text
from domain.codes import PRICE_TICKS_MAX

Price = NewType("Price", int)  # price ticks, 1/10,000 dollar
Money = NewType("Money", int)  # 1/10,000 dollar, signed
Mean = NewType("Mean", Decimal)  # 1/10,000 dollar, signed, and parts of it
Quantity = NewType("Quantity", int)
Sequence = NewType("Sequence", int)
OrderId = NewType("OrderId", int)
MatchNumber = NewType("MatchNumber", int)
Time = NewType("Time", int)  # ns since 1970
LogPosition = NewType("LogPosition", str)
Checksum = NewType("Checksum", int)

NS: Final = 1_000_000_000
NUMBER_MAX: Final = 2**63 - 1
TIME_MAX_NS: Final = NUMBER_MAX - 86_400 * NS
DIGITS: Final = re.compile(r"0|[1-9]\d{0,18}", re.ASCII)
PRICE: Final = re.compile(r"(0|[1-9]\d{0,5})(?:\.(\d{1,4}))?", re.ASCII)
TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_text(time_ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC: to the microsecond, or whole where it has more."""
    seconds, rest_ns = divmod(time_ns, NS)
    whole = (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest_ns // 1_000:06d}Z" if rest_ns % 1_000 == 0 else f"{whole}.{rest_ns:09d}Z"


def time_ns_of(value: Any) -> int:
    """The nanoseconds since 1970 that an RFC 3339 text names."""
    found = TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise GraphQLError('a Time is RFC 3339 with an offset, such as "2026-11-27T14:30:00Z"')
    whole, fraction, offset = found.groups()
    try:
        moment = datetime.fromisoformat(whole.upper() + offset.upper().replace("Z", "+00:00"))
    except ValueError:
        raise GraphQLError(f"{whole}: there is no such time") from None
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * NS + int((fraction or "").ljust(9, "0"))


def money_text(ticks: int) -> str:
    """Signed 1/10,000 dollars as a decimal string with 4 decimals."""
    return f"-{price_text(-ticks)}" if ticks < 0 else price_text(ticks)


def mean_text(ticks: Decimal) -> str:
    """Signed 1/10,000 dollars, with parts, as a decimal string with 8 decimals, half to even."""
    return f"{ticks.scaleb(-4):.8f}"


def _number(name: str) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if not isinstance(value, str) or DIGITS.fullmatch(value) is None or int(value) > NUMBER_MAX:
            raise GraphQLError(f'a {name} is a string of digits, such as "512"')
        return int(value)

    return parse


def price_ticks(value: Any) -> int:
    """The price ticks that a decimal string names."""
    found = PRICE.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        ticks = int(found[1]) * 10_000 + int((found[2] or "").ljust(4, "0"))
        if ticks <= PRICE_TICKS_MAX:
            return ticks
    raise GraphQLError('a Price is a string of dollars, such as "187.2500"')


def _quantity(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= NUMBER_MAX:
        raise GraphQLError("a Quantity is a whole number of shares, 0 or more")
    return value


def _position(value: Any) -> str:
    if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX:
        raise GraphQLError('a LogPosition is a string such as "0-123", as a write answered it')
    return value


def _only_written(value: Any) -> Any:
    raise GraphQLError("this is only answered, never sent")


def _scalar(
    name: str, says: str, serialize: Callable[[Any], Any], parse: Callable[[Any], Any]
) -> ScalarDefinition:
    return strawberry.scalar(name=name, description=says, serialize=serialize, parse_value=parse)


SCALARS: Final[dict[object, ScalarDefinition]] = {
    Price: _scalar("Price", 'Dollars a share, 4 decimals: "187.2500".', price_text, price_ticks),
    Money: _scalar("Money", 'Dollars, signed, 4 decimals: "-12.5000".', money_text, _only_written),
    Mean: _scalar(
        "Mean",
        'A mean of prices or spreads in dollars, signed, 8 decimals: "187.25004167".',
        mean_text,
        _only_written,
    ),
    Quantity: _scalar(
        "Quantity",
        "Shares, a JSON integer, which may pass 32 bits where it is a sum.",
        int,
        _quantity,
    ),
    Sequence: _scalar(
        "Sequence",
        "Counts every event of one book, from 1, without gaps: a string of digits.",
        str,
        _number("Sequence"),
    ),
    OrderId: _scalar("OrderId", "Names an order for ever: digits.", str, _number("OrderId")),
    MatchNumber: _scalar(
        "MatchNumber", "Counts the matches of one shard: digits.", str, _number("MatchNumber")
    ),
    Time: _scalar("Time", 'RFC 3339 in UTC: "2026-11-27T14:30:00.125000Z".', time_text, time_ns_of),
    LogPosition: _scalar(
        "LogPosition",
        'Shard and place in its command log: "0-123". Where several are sent, joined by commas.',
        str,
        _position,
    ),
    Checksum: _scalar(
        "Checksum",
        "CRC-32 of a book's top ten levels, a JSON integer; docs/stream.md defines it to the byte.",
        int,
        _only_written,
    ),
}
