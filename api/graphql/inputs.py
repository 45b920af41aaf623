"""The inputs of the schema, and how pages are cut.

Guarantees: a page has at most `PAGE_MAX` rows, a book `DEPTH_MAX` levels of each side; beyond it a
request is refused with `page_too_large` rather than cut. A cursor is read only where it was made.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final

import strawberry
from strawberry import relay

from api.graphql.enums import OrderState, Side
from api.graphql.errors import refused
from api.graphql.scalars import LogPosition, Quantity, Sequence, Time

PAGE_MAX: Final = 500
DEPTH_MAX: Final = 1_000
CURSOR_LENGTH_MAX: Final = 120
NUMBER_MAX: Final = 2**63 - 1


@strawberry.input(
    one_of=True,
    description="An instant of the past, by one of three. A time is the exchange's own clock: the "
    "book is as it stood when that clock showed it last, as in `crossbook replay --time`.",
)
class AsOf:
    """Which past."""

    sequence: Sequence | None = strawberry.field(
        default=strawberry.UNSET,
        description="After this event of the book; 0 is the empty book before its listing.",
    )
    time: Time | None = strawberry.field(
        default=strawberry.UNSET, description="At this time of the exchange's own clock."
    )
    position: LogPosition | None = strawberry.field(
        default=strawberry.UNSET, description="After this batch of the shard's log."
    )


@strawberry.input(description="Which orders; what is left out allows all.")
class OrderFilter:
    """A filter."""

    symbol: str | None = strawberry.field(default=None, description="Of this instrument.")
    side: Side | None = strawberry.field(default=None, description="Of this side.")
    states: list[OrderState] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    client_order_id: str | None = strawberry.field(
        default=None, description="Sent under this name."
    )
    created_from: Time | None = strawberry.field(
        default=None, description="Not before this time, by the gateway's clock."
    )
    created_until: Time | None = strawberry.field(
        default=None, description="Before this time, by the gateway's clock."
    )


@strawberry.input(description="Which executions; what is left out allows all.")
class ExecutionFilter:
    """A filter."""

    symbol: str | None = strawberry.field(default=None, description="Of this instrument.")
    side: Side | None = strawberry.field(default=None, description="Of this side.")
    since: Time | None = strawberry.field(
        default=None, description="Not before this time, by the gateway's clock."
    )
    until: Time | None = strawberry.field(
        default=None, description="Before this time, by the gateway's clock."
    )


@strawberry.input(description="Which trades; what is left out allows all.")
class TradeFilter:
    """A filter."""

    aggressor_side: Side | None = strawberry.field(default=None, description="Of this side.")
    quantity_min: Quantity | None = strawberry.field(
        default=None, description="Of at least so many shares."
    )
    since: Time | None = strawberry.field(
        default=None, description="Not before this time, by the gateway's clock."
    )
    until: Time | None = strawberry.field(
        default=None, description="Before this time, by the gateway's clock."
    )


def bounded(name: str, value: int, most: int, *, least: int = 1) -> int:
    """A count that a client asks for. Raises GraphQLError."""
    if value < least:
        raise refused("invalid_value", f"{name} is {least} or more", status=400)
    if value > most:
        raise refused("page_too_large", f"{name} is at most {most}: ask for pages", status=400)
    return value


def cursor_of(kind: str, *parts: int) -> str:
    """Where a page ends: opaque, and only good for the connection that made it."""
    text = f"{kind}:" + ":".join(map(str, parts))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(kind: str, cursor: str | None, count: int) -> tuple[int, ...] | None:
    """The parts of a cursor; None where none was sent. Raises GraphQLError."""
    if cursor is None:
        return None
    try:
        if len(cursor) > CURSOR_LENGTH_MAX:
            raise ValueError
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        found, *parts = text.split(":")
        numbers = tuple(map(int, parts))
    except (ValueError, binascii.Error):
        found, numbers = "", ()
    if found != kind or len(numbers) != count or not all(0 <= n <= NUMBER_MAX for n in numbers):
        detail = "`after` is the `cursor` or `endCursor` of a page of this very connection"
        raise refused("invalid_cursor", detail, status=400)
    return numbers


@dataclass(frozen=True)
class Page:
    """Nodes with their cursors, and whether there are more."""

    nodes: list[tuple[str, Any]]
    has_next: bool
    has_previous: bool

    def into(self, connection: type[Any]) -> Any:
        """As a Relay connection."""
        edges = [relay.Edge(cursor=cursor, node=node) for cursor, node in self.nodes]
        return connection(
            edges=edges,
            page_info=relay.PageInfo(
                has_next_page=self.has_next,
                has_previous_page=self.has_previous,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )
