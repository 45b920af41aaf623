"""Orders one by one: submit, look up, replace, cancel, mass cancel.

Guarantees: docs/rest.md has the answers. A single order is refused with a problem; a batch item
with a result of the same reason and status.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Request
from msgspec import UNSET, Struct
from starlette.responses import Response

from api.errors import Problem, retry_after
from api.keys import READ, TRADE, Caller
from api.positions import parse_positions, position_text
from api.rest.answers import (
    CommandResult,
    MassCancelAnswer,
    answer_of_result,
    count_refusal,
    json_response,
    problem_of_result,
    result_of,
)
from api.rest.done_orders import UNKNOWN_ORDER, UnknownOrder, told_if_done
from api.rest.entity_tags import tagged_response
from api.rest.orders_read import (
    find_by_client_order_id,
    find_order,
    history_at,
    page_of_orders,
)
from api.rest.parameters import (
    Limit,
    MinPosition,
    OrderCursor,
    OrderReference,
    SymbolQuery,
)
from api.rest.writing import (
    Written,
    add_present_orders,
    gather_writes,
    order_id_at,
    pending_result,
    responds_async,
    write,
)
from api.services import Services, services_of
from commands.directory.entries import InstrumentEntry
from commands.validation import (
    Cancel,
    Price,
    Quantity,
    Replace,
    SubmitBody,
    cancel_record,
    decode_body,
    instrument_of,
    mass_cancel_record,
    no_price,
    replace_record,
    submit_record,
)
from domain.outcomes import REPEATED

router: Final = APIRouter()
CLIENT_PREFIX: Final = "client:"

Trader = Annotated[Caller, Depends(TRADE)]
Reader = Annotated[Caller, Depends(READ)]
OrderState = Literal[
    "active", "open", "partially_filled", "filled", "cancelled", "expired", "rejected"
]


class ReplaceBody(Struct, forbid_unknown_fields=True):
    """A new price, a new total quantity (executed part included), or both."""

    price: Price = msgspec.field(default_factory=no_price)
    quantity: Quantity | None = None
    requeue: bool = False


SUBMIT_DECODER: Final = msgspec.json.Decoder(SubmitBody)
REPLACE_DECODER: Final = msgspec.json.Decoder(ReplaceBody)


@router.post("/v1/orders", status_code=201)
async def submit_order(request: Request, caller: Trader) -> Response:
    """Submit one order.

    201 says what came of it, 202 that it is durable and not matched yet, 200 that the same
    `client_order_id` and body were sent before.
    """
    services = services_of(request)
    asked = decode_body(SUBMIT_DECODER, await request.body())
    shard, record = submit_record(asked, caller.account, services.directory_view.symbols)
    number = caller.account.number
    written = await write(services, number, shard, [record], wait=not responds_async(request))
    result = _result(written, submit=True, client_order_id=asked.client_order_id, order_id=None)
    positions = {shard: written.receipt.position}
    if written.outcomes is not None and written.outcomes[0].kind == REPEATED:
        await add_present_orders(services, number, [result], positions)
    return _answer(result, asked.symbol, position_text(positions))


def _result(
    written: Written, *, submit: bool, client_order_id: str | None, order_id: str | None
) -> CommandResult:
    if written.outcomes is None:
        return pending_result(
            written.receipt, 0, submit=submit, client_order_id=client_order_id, order_id=order_id
        )
    return result_of(written.outcomes[0], client_order_id)


def _answer(result: CommandResult, symbol: str | None, position: str) -> Response:
    """The answer of one command; a refusal by the engine is a problem."""
    if result.outcome == "rejected":
        count_refusal(result)
        raise problem_of_result(result, position)
    headers = {}
    if result.status_url is not None:
        headers["Location"] = result.status_url
    elif result.status == 201:
        headers["Location"] = f"/v1/orders/{result.order_id}?min_position={position}"
    return json_response(answer_of_result(result, symbol, position), result.status, headers)


@router.get("/v1/orders/{order:path}")
async def get_order(
    request: Request,
    caller: Reader,
    order: OrderReference,
    symbol: SymbolQuery = None,
    min_position: MinPosition = None,
) -> Response:
    """One order of the account as it is now, by `order_id` or `client:{client_order_id}`."""
    services = services_of(request)
    wanted = parse_positions(min_position, services.settings.shards)
    history = await history_at(services, wanted)
    number = caller.account.number
    if order.startswith(CLIENT_PREFIX):
        instrument = _instrument(services, symbol)
        client_order_id = order.removeprefix(CLIENT_PREFIX)
        found = await find_by_client_order_id(
            services, history, number, client_order_id, instrument
        )
    else:
        found = await find_order(services, history, number, order)
    return tagged_response(request, found, private=True)


def _instrument(services: Services, symbol: str | None) -> InstrumentEntry | None:
    return None if symbol is None else instrument_of(symbol, services.directory_view.symbols)


async def _named(
    services: Services, caller: Caller, order: str, symbol: str | None, *, needs_symbol: bool
) -> tuple[str | None, str | None, str | None]:
    """(order_id, client_order_id, symbol) of the order that a path names.

    What is missing is looked up among the account's orders, no earlier than its last write. Only
    the address of the command is found so: what becomes of it, the engine decides.
    """
    number = caller.account.number
    shards = range(services.settings.shards)
    # After a restart it is not known where the account last wrote: no later than the logs' ends.
    last = services.last_writes.of(number) or {
        shard: services.gateway.written(shard) for shard in shards
    }
    if not order.startswith(CLIENT_PREFIX):
        if symbol is None and needs_symbol:
            history = await history_at(services, last)
            symbol = (await find_order(services, history, number, order)).symbol
        return order, None, symbol
    client_order_id = order.removeprefix(CLIENT_PREFIX)
    if symbol is not None:
        return None, client_order_id, symbol
    history = await history_at(services, last)
    found = await find_by_client_order_id(services, history, number, client_order_id, None)
    return found.order_id, None, found.symbol


@router.patch("/v1/orders/{order:path}")
async def replace_order(
    request: Request, caller: Trader, order: OrderReference, symbol: SymbolQuery = None
) -> Response:
    """Replace an open order: a new price, a new total quantity, or both."""
    services = services_of(request)
    body: ReplaceBody = decode_body(REPLACE_DECODER, await request.body())
    order_id, client_order_id, symbol = await _named(
        services, caller, order, symbol, needs_symbol=bytes(body.price) != b"null"
    )
    asked = Replace(
        order_id=order_id,
        client_order_id=client_order_id,
        symbol=symbol,
        price=body.price,
        quantity=body.quantity,
        requeue=body.requeue,
    )
    view = services.directory_view
    shard, record = replace_record(asked, caller.account, view.symbols, services.settings.shards)
    return await _change(request, caller, asked, shard, record)


@router.delete("/v1/orders/{order:path}")
async def cancel_order(
    request: Request, caller: Trader, order: OrderReference, symbol: SymbolQuery = None
) -> Response:
    """Cancel an open order."""
    services = services_of(request)
    named = await _named(services, caller, order, symbol, needs_symbol=False)
    asked = Cancel(order_id=named[0], client_order_id=named[1], symbol=named[2])
    view = services.directory_view
    shard, record = cancel_record(asked, caller.account, view.symbols, services.settings.shards)
    return await _change(request, caller, asked, shard, record)


async def _change(
    request: Request, caller: Caller, asked: Cancel | Replace, shard: int, record: bytes
) -> Response:
    """Write a cancel or replace and answer it."""
    services = services_of(request)
    wait = not responds_async(request)
    written = await write(services, caller.account.number, shard, [record], wait=wait)
    result = _result(
        written,
        submit=False,
        client_order_id=asked.client_order_id,
        order_id=asked.order_id,
    )
    positions = {shard: written.receipt.position}
    if result.reason == UNKNOWN_ORDER:
        unknown = UnknownOrder(asked, result, order_id_at(written.receipt, 0))
        [result] = await told_if_done(services, caller.account.number, [unknown], positions)
    return _answer(result, asked.symbol, position_text(positions))


@router.delete("/v1/orders")
async def mass_cancel(
    request: Request,
    caller: Trader,
    symbol: SymbolQuery = None,
    side: Literal["buy", "sell"] | None = None,
) -> Response:
    """Cancel all the account's open orders, of one instrument or of all, of one side or both."""
    services = services_of(request)
    instrument = _instrument(services, symbol)
    record = mass_cancel_record(caller.account, instrument, side or "both")
    shards = range(services.settings.shards) if instrument is None else [instrument.shard]
    by_shard = {shard: [record] for shard in shards}
    wait = not responds_async(request)
    done = await gather_writes(services, caller.account.number, by_shard, wait=wait)
    positions = {
        shard: written.receipt.position
        for shard, written in done.items()
        if isinstance(written, Written)
    }
    cancelled = 0
    pending = False
    for written in done.values():
        if not isinstance(written, Written):
            raise _partly_written(positions) if positions else written
        if written.outcomes is None:
            pending = True
        else:
            cancelled += written.outcomes[0].count
    answer = MassCancelAnswer(
        status=202 if pending else 200,
        outcome="pending" if pending else "mass_cancelled",
        cancelled_count=UNSET if pending else cancelled,
        position=position_text(positions),
    )
    return json_response(answer, answer.status)


def _partly_written(positions: dict[int, int]) -> Problem:
    detail = "some shards took this and some did not: send it again, what is cancelled stays so"
    extra = {"position": position_text(positions)}
    return Problem(503, "partly_written", detail, headers=retry_after(), extra=extra)


@router.get("/v1/orders")
async def list_orders(
    request: Request,
    caller: Reader,
    symbol: SymbolQuery = None,
    state: OrderState | None = None,
    limit: Limit = 100,
    cursor: OrderCursor = None,
    min_position: MinPosition = None,
) -> Response:
    """The account's orders, newest first."""
    services = services_of(request)
    instrument = _instrument(services, symbol)
    history = await history_at(services, parse_positions(min_position, services.settings.shards))
    number = caller.account.number
    page = await page_of_orders(
        services, history, number, instrument, state=state, limit=limit, cursor=cursor
    )
    return json_response(page)
