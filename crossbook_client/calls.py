"""Every request of the API, built without sending it: both clients share them.

Guarantees: symbols and ids are quoted, so `BRK/A` and `client:a/b` reach the right path.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec

from crossbook_client.models import (
    BatchResult,
    Book,
    BookSnapshot,
    Deltas,
    Instrument,
    InstrumentList,
    MassCancelResult,
    Order,
    OrderPage,
    OrderResult,
    TradePage,
)

T = TypeVar("T")
Price: TypeAlias = Decimal | str | int
BATCH_COMMANDS_MAX = 1_000
PAGE_MAX = 1_000


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and the type of its answer. `repeatable`: twice has the effect of once."""

    method: str
    path: str
    answer: Any
    query: Mapping[str, str]
    body: bytes | None = None
    repeatable: bool = True

    def decode(self, content: bytes) -> T:
        """The answer's body as its type. Raises msgspec.ValidationError where it is another."""
        if self.answer is None:
            return None  # type: ignore[return-value]
        # Sequences and match numbers come as strings, which may become integers here.
        answer: T = msgspec.json.decode(content, type=self.answer, strict=False)
        return answer


@dataclass(frozen=True, slots=True)
class SubmitCommand:
    """An order of a batch. Give a `client_order_id`, or the batch cannot be sent again."""

    symbol: str
    side: str
    quantity: int
    price: Price | None = None
    type: str = "limit"
    time_in_force: str | None = None
    client_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """A cancel of a batch, by `order_id`, or by `client_order_id` and `symbol`."""

    symbol: str | None = None
    order_id: str | None = None
    client_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReplaceCommand:
    """A replace of a batch: new price, new total quantity, or both."""

    symbol: str | None = None
    order_id: str | None = None
    client_order_id: str | None = None
    price: Price | None = None
    quantity: int | None = None
    requeue: bool = False


Command: TypeAlias = SubmitCommand | CancelCommand | ReplaceCommand
OPS = {SubmitCommand: "submit", CancelCommand: "cancel", ReplaceCommand: "replace"}


def new_client_order_id() -> str:
    """An id that no other order has: it is what makes a retry safe."""
    return uuid.uuid4().hex


def order_path(order_id: str | None, client_order_id: str | None) -> str:
    """The path of an order. Raises ValueError unless exactly one of the ids is given."""
    if (order_id is None) == (client_order_id is None):
        raise ValueError("name the order by order_id or by client_order_id")
    name = order_id if order_id is not None else f"client:{client_order_id}"
    return f"/v1/orders/{quote(str(name), safe=':')}"


def symbol_path(place: str, symbol: str, rest: str = "") -> str:
    """The path of something that belongs to a symbol."""
    return f"/v1/{place}/{quote(symbol, safe='')}{rest}"


def query_of(**values: object) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def json_body(**values: object) -> bytes:
    """JSON without the fields that were not given; a Decimal becomes a string."""
    return msgspec.json.encode({k: _price(v) for k, v in values.items() if v is not None})


def _price(value: object) -> object:
    return f"{value:f}" if isinstance(value, Decimal) else value


def submit(command: SubmitCommand) -> Call[OrderResult]:
    """`POST /v1/orders`."""
    repeatable = command.client_order_id is not None
    body = json_body(**_fields(command))
    return Call("POST", "/v1/orders", OrderResult, {}, body, repeatable)


def _fields(command: Command) -> dict[str, object]:
    fields = {name: getattr(command, name) for name in command.__dataclass_fields__}
    if not fields.get("requeue", True):
        del fields["requeue"]
    return {name: _price(value) for name, value in fields.items() if value is not None}


def batch(commands: Sequence[Command]) -> Call[BatchResult]:
    """`POST /v1/orders/batch`. Raises ValueError for no commands or more than 1,000."""
    return batch_items([{"op": OPS[type(command)], **_fields(command)} for command in commands])


def batch_items(items: Sequence[Mapping[str, object]]) -> Call[BatchResult]:
    """The same for items as JSON has them, `op` included."""
    if not 0 < len(items) <= BATCH_COMMANDS_MAX:
        raise ValueError(f"a batch has 1 to {BATCH_COMMANDS_MAX:,} commands")
    repeatable = all("client_order_id" in item for item in items if item.get("op") == "submit")
    body = msgspec.json.encode({"commands": items})
    return Call("POST", "/v1/orders/batch", BatchResult, {}, body, repeatable)


def cancel(
    order_id: str | None, client_order_id: str | None, symbol: str | None
) -> Call[OrderResult]:
    """`DELETE /v1/orders/{order}`."""
    path = order_path(order_id, client_order_id)
    return Call("DELETE", path, OrderResult, query_of(symbol=symbol))


def replace(command: ReplaceCommand) -> Call[OrderResult]:
    """`PATCH /v1/orders/{order}`."""
    path = order_path(command.order_id, command.client_order_id)
    requeue = True if command.requeue else None
    body = json_body(price=command.price, quantity=command.quantity, requeue=requeue)
    return Call("PATCH", path, OrderResult, query_of(symbol=command.symbol), body)


def mass_cancel(symbol: str | None, side: str | None) -> Call[MassCancelResult]:
    """`DELETE /v1/orders`."""
    return Call("DELETE", "/v1/orders", MassCancelResult, query_of(symbol=symbol, side=side))


def order(
    order_id: str | None,
    client_order_id: str | None,
    symbol: str | None,
    min_position: str | None,
) -> Call[Order]:
    """`GET /v1/orders/{order}`."""
    query = query_of(symbol=symbol, min_position=min_position)
    return Call("GET", order_path(order_id, client_order_id), Order, query)


def orders(
    symbol: str | None,
    state: str | None,
    limit: int | None,
    cursor: str | None,
    min_position: str | None,
) -> Call[OrderPage]:
    """`GET /v1/orders`."""
    query = query_of(
        symbol=symbol, state=state, limit=limit, cursor=cursor, min_position=min_position
    )
    return Call("GET", "/v1/orders", OrderPage, query)


def book(symbol: str, depth: int | None, min_position: str | None) -> Call[Book]:
    """`GET /v1/books/{symbol}`."""
    query = query_of(depth=depth, min_position=min_position)
    return Call("GET", symbol_path("books", symbol), Book, query)


def deltas(
    symbol: str, since: int, limit: int | None, min_position: str | None
) -> Call[Deltas | BookSnapshot]:
    """`GET /v1/books/{symbol}/deltas`."""
    query = query_of(since=since, limit=limit, min_position=min_position)
    path = symbol_path("books", symbol, "/deltas")
    return Call("GET", path, Deltas | BookSnapshot, query)


def trades(
    symbol: str, limit: int | None, before: int | None, min_position: str | None
) -> Call[TradePage]:
    """`GET /v1/trades/{symbol}`."""
    query = query_of(limit=limit, before=before, min_position=min_position)
    return Call("GET", symbol_path("trades", symbol), TradePage, query)


def instruments(cursor: str | None = None) -> Call[InstrumentList]:
    """`GET /v1/instruments`: one page."""
    return Call("GET", "/v1/instruments", InstrumentList, query_of(cursor=cursor))


def instrument(symbol: str) -> Call[Instrument]:
    """`GET /v1/instruments/{symbol}`."""
    return Call("GET", symbol_path("instruments", symbol), Instrument, {})
