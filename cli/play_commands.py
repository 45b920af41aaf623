"""What every file that can be played becomes: commands in order, and a count of what was left.

A command names its order by a key of the file's own; `client_order_id` makes the key unique to one
run, so that the same file can be played twice on one instrument and a repeated request is
recognised by the exchange.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

SUBMIT = "submit"
CANCEL = "cancel"
REPLACE = "replace"
BUY = "buy"
SELL = "sell"

# Best ask, its quantity, best bid, its quantity; prices in 1/10,000 dollar, (0, 0) for a side that
# is empty.
TopOfBook: TypeAlias = tuple[int, int, int, int]


class UnreadableFileError(Exception):
    """A file that is not what its name says; the message names the line or record."""


@dataclass(frozen=True, slots=True)
class PlayCommand:
    """One command of a file:

    `quantity` of a replace is the new total, executed part included (FIX tag 38).
    """

    op: str
    order_key: str
    time_ns: int
    side: str = ""
    price_ticks: int = 0
    quantity: int = 0
    immediate: bool = False


@dataclass
class Skipped:
    """Messages of the file that became no command, by reason, as shown at the end."""

    reasons: Counter[str] = field(default_factory=Counter)

    def count(self, reason: str) -> None:
        """One more message left out because of `reason`."""
        self.reasons[reason] += 1


class PlayFile(Protocol):
    """A file that can be played. Reading it again gives the same commands."""

    tick_size_ticks: int
    skipped: Skipped
    message_count: int

    def commands(self) -> Iterator[PlayCommand]:
        """The file's commands in order;

        `skipped` and `message_count` are whole once it is exhausted.
        """
        ...

    def reference_states(self) -> list[TopOfBook]:
        """Distinct states of a plain book to which the file was applied without the exchange.

        To be asked for when `commands` is exhausted.
        """
        ...


def client_order_id(run: str, order_key: str) -> str:
    """The order's public id: at most 36 printable characters."""
    name = f"{run}.{order_key}"
    assert len(name) <= 36, name
    return name


def price_string(price_ticks: int) -> str:
    """1/10,000 dollars as the decimal string that the API takes: 5853300 is "585.33"."""
    whole, rest = divmod(price_ticks, 10_000)
    if rest == 0:
        return str(whole)
    return f"{whole}.{rest:04d}".rstrip("0")


def price_ticks_of(price: str) -> int:
    """A decimal string of the API as 1/10,000 dollars.

    Raises ValueError where it is finer than that.
    """
    whole, _, rest = price.partition(".")
    if len(rest) > 4:
        raise ValueError(f"{price} has more than four decimals")
    return int(whole) * 10_000 + int(rest.ljust(4, "0"))
