"""What `domain.ahead` found for the commands to come, kept until they come.

Guarantees: a hint is never more than that. Who takes a row checks that it still has the key, and
searches where it has not: an order or a page has one row or none.
"""

from __future__ import annotations

from typing import Final, final

from librt.vecs import vec
from mypy_extensions import i64

from domain.rows import NIL
from domain.tables import zeros

AHEAD: Final = 128  # commands that are looked at together
AHEAD_MASK: Final = 127
HINTED_ORDERS_MIN: Final = 16_384  # fewer lie in a processor's own caches


@final
class Hints:
    """Of each command looked at, its place its number below AHEAD."""

    def __init__(self) -> None:
        # An order's id, or minus a side's price: step | side << 35 | instrument << 36; or 0.
        self.wanted: vec[i64] = zeros(AHEAD)
        self.rows: vec[i64] = zeros(AHEAD)  # of the order or the page, or NIL
        self.orders_min: i64 = HINTED_ORDERS_MIN  # resting, from which on rows are looked for
        self.in_use: bool = False
        self.row: i64 = NIL  # of the command at work
        self.seen: i64 = 0  # what was read: no compiler may leave it out
