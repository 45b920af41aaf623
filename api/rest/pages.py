"""Pages of what is numbered in order of its making: instruments, accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Numbered(Protocol):
    """Something of the directory."""

    @property
    def number(self) -> int:
        """Its number, from 1."""
        ...


N = TypeVar("N", bound=Numbered)


def page_of(entries: Sequence[N], limit: int, cursor: int | None) -> tuple[Sequence[N], str | None]:
    """At most `limit` of the entries (in order of their numbers) behind the number `cursor`, and
    the next cursor; None where there are no more."""
    start = 0
    if cursor:
        # Numbers have no gaps, but in a view that is just being filled.
        start = next(
            (at for at, entry in enumerate(entries) if entry.number > cursor), len(entries)
        )
    page = entries[start : start + limit]
    more = start + limit < len(entries)
    return page, str(page[-1].number) if more else None
