"""The path and query parameters that several endpoints take, each defined once.

Guarantees: an integer is digits alone (no sign, space, underscore or fraction), and its bounds are
those of the document; what the document says is legal is never refused as malformed.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import BeforeValidator, Field

from domain.codes import ACCOUNT_MAX

SEQUENCE_MAX: Final = 2**63 - 1
PAGE_MAX: Final = 1_000
DIGITS: Final = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
ORDER_PATTERN: Final = "^([1-9][0-9]{0,18}|client:[!-~]{1,36})$"
CURSOR_PATTERN: Final = "^[1-9][0-9]{0,18}$"


def _digits(value: Any) -> Any:
    if isinstance(value, str) and DIGITS.fullmatch(value) is None:
        raise ValueError("an integer in decimal digits")
    return value


def integer(low: int, high: int) -> Any:
    """An integer in decimal digits, with bounds."""
    return Annotated[int, Field(ge=low, le=high), BeforeValidator(_digits)]


PageSize = integer(1, PAGE_MAX)
Sequence = integer(0, SEQUENCE_MAX)

Depth = Annotated[PageSize, Query(description="Levels of each side.")]
Limit = Annotated[PageSize, Query(description="Of one page at most.")]
Since = Annotated[Sequence, Query(description="A book sequence.")]
BeforeMatch = Annotated[Sequence | None, Query(description="A match number.")]
Cursor = Annotated[Sequence | None, Query(description="`next_cursor` of the page before.")]
SymbolQuery = Annotated[str | None, Query(max_length=16, description="In capitals.")]
MinPosition = Annotated[
    str | None,
    Query(
        description="Answer what is at least as new as this position.",
        examples=["0-1"],
    ),
]
AccountNumber = Annotated[integer(1, ACCOUNT_MAX), Path(description="The account's number.")]
OrderReference = Annotated[
    str,
    Path(
        description="An `order_id`, or `client:` and a client order id.",
        json_schema_extra={"pattern": ORDER_PATTERN},
    ),
]
OrderCursor = Annotated[
    str | None,
    Query(
        max_length=32,
        description="`next_cursor` of the page before.",
        json_schema_extra={"pattern": CURSOR_PATTERN},
    ),
]
KeyId = Annotated[str, Path(max_length=64, description="The key's id.")]
