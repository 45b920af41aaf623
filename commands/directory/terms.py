"""What the directory accepts, and the errors with which it refuses.

Guarantees: whatever passes here fits the wire and passes the engine's own checks of listings and
accounts, so that no directory change is ever refused by a shard.
"""

from __future__ import annotations

import re
from typing import Final

from commands.directory.entries import InstrumentTerms, Limits
from commands.directory.keys import SCOPES
from domain.codes import PRICE_TICKS_MAX, QUANTITY_MAX, TradingState

# Capitals and digits, and what Nasdaq's suffixes, share classes ("BRK/A") and indices ("^GSPC")
# use. No symbol ends in "/" or ".", which clients drop from a URL's end.
SYMBOL: Final = re.compile(r"[A-Z0-9^](?:[A-Z0-9./^=+*#$@%!~-]{0,6}[A-Z0-9^=+*#$@%!~-])?")
NAME: Final = re.compile(r"[!-~](?:[ -~]{0,62}[!-~])?")
OPEN_ORDERS_MAX: Final = 2**32 - 1
NOTIONAL_MAX: Final = PRICE_TICKS_MAX * QUANTITY_MAX


class DirectoryError(Exception):
    """A change was refused and nothing was written. `reason` is a stable code."""

    reason = "directory_refused"


class InvalidTermsError(DirectoryError):
    """A value is out of its range."""

    reason = "invalid_terms"


class InstrumentExistsError(DirectoryError):
    """The symbol is listed already."""

    reason = "instrument_exists"


class AccountExistsError(DirectoryError):
    """Another account has this name."""

    reason = "account_exists"


class UnknownAccountError(DirectoryError):
    """No account has this number."""

    reason = "unknown_account"


class UnknownInstrumentError(DirectoryError):
    """No instrument has this symbol."""

    reason = "unknown_instrument"


class UnknownKeyError(DirectoryError):
    """The account has no such key."""

    reason = "unknown_key"


class DirectoryFullError(DirectoryError):
    """All numbers of this kind are taken."""

    reason = "directory_full"


class KeysExhaustedError(DirectoryError):
    """The account has as many keys as it may."""

    reason = "keys_exhausted"


class ContendedError(DirectoryError):
    """Others changed the same thing again and again; try once more."""

    reason = "contended"


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidTermsError(f"{name} is from {low} to {high}")


def check_name(name: str) -> None:
    """1 to 64 printable ASCII characters, no space at either end. Raises InvalidTermsError."""
    if NAME.fullmatch(name) is None:
        raise InvalidTermsError(
            "a name has 1 to 64 printable ASCII characters, none at an end a space"
        )


def check_limits(limits: Limits) -> None:
    """Raises InvalidTermsError where a limit is out of range."""
    _check_range("order_quantity_max", limits.order_quantity_max, 0, QUANTITY_MAX)
    _check_range("order_notional_max", limits.order_notional_max, 0, NOTIONAL_MAX)
    _check_range("open_orders_max", limits.open_orders_max, 0, OPEN_ORDERS_MAX)


def check_scopes(scopes: list[str]) -> None:
    """At least one scope, each known, none twice. Raises InvalidTermsError."""
    if not scopes or len(set(scopes)) != len(scopes) or not set(scopes) <= set(SCOPES):
        raise InvalidTermsError(f"scopes are one or more of {', '.join(SCOPES)}")


def check_state(state: int) -> None:
    """Raises InvalidTermsError where no trading state has this number."""
    if state not in TradingState.__members__.values():
        raise InvalidTermsError("a trading state is open, halted, cancel_only or closed")


def check_reference_price(reference_price: int) -> None:
    """Raises InvalidTermsError where the price is out of range; 0 is none."""
    _check_range("reference_price", reference_price, 0, PRICE_TICKS_MAX)


def check_instrument(terms: InstrumentTerms) -> None:
    """Raises InvalidTermsError on the first value out of range."""
    if SYMBOL.fullmatch(terms.symbol) is None:
        raise InvalidTermsError(
            "a symbol has 1 to 8 capitals, digits or ./^=+*#$@%!~-, begins with a capital, digit "
            "or ^, and does not end in / or ."
        )
    _check_range("tick_size", terms.tick_size, 1, PRICE_TICKS_MAX)
    _check_range("lot_size", terms.lot_size, 1, QUANTITY_MAX)
    _check_range("price_collar", terms.price_collar, 0, PRICE_TICKS_MAX)
    check_reference_price(terms.reference_price)
    check_state(terms.state)
