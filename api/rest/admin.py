"""Administration: instruments, accounts, limits, kill switches and keys.

Guarantees: a change is durable in the directory when it is answered, and where it matters to
matching, its commands lie in the shards' logs at the positions answered (202 without a position:
they will, as soon as the logs can be written). A key's secret is in one answer and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Request
from msgspec import UnsetType
from starlette.responses import Response

from api.keys import ADMIN, Caller
from api.positions import position_text
from api.rest.admin_shapes import (
    AccountAnswer,
    AccountBody,
    AccountPatch,
    AccountsAnswer,
    AccountStateBody,
    InstrumentAnswer,
    InstrumentPatch,
    InstrumentsAnswer,
    InstrumentStateBody,
    KeyBody,
    LimitsBody,
    ListingBody,
    NewKeyAnswer,
    account_answer,
    instrument_answer,
)
from api.rest.answers import json_response
from api.rest.pages import page_of
from api.rest.parameters import PAGE_MAX, AccountNumber, Cursor, KeyId, Limit
from api.services import Services, services_of
from commands.directory.application import Change
from commands.directory.entries import AccountEntry, InstrumentTerms, Limits
from commands.directory.keys import NewKey
from commands.directory.terms import DirectoryError, UnknownAccountError
from commands.validation import (
    TRADING_STATES,
    amount_ticks,
    decode_body,
    instrument_of,
    price_ticks_of,
)

router: Final = APIRouter(prefix="/v1/admin")
audit: Final = logging.getLogger("crossbook.audit")
T = TypeVar("T")

Admin = Annotated[Caller, Depends(ADMIN)]


LISTING: Final = msgspec.json.Decoder(ListingBody)
INSTRUMENT_PATCH: Final = msgspec.json.Decoder(InstrumentPatch)
INSTRUMENT_STATE: Final = msgspec.json.Decoder(InstrumentStateBody)
ACCOUNT: Final = msgspec.json.Decoder(AccountBody)
ACCOUNT_PATCH: Final = msgspec.json.Decoder(AccountPatch)
ACCOUNT_STATE: Final = msgspec.json.Decoder(AccountStateBody)
KEY: Final = msgspec.json.Decoder(KeyBody)


async def _change(request: Request, caller: Caller, call: Callable[[], Change[T]]) -> Change[T]:
    """Make a blocking directory change in a thread, and have this process see it at once. Who did
    what is in the change's event for ever, and in the log, where the refused are too.
    """

    def changed() -> Change[T]:
        change = call()
        services = services_of(request)
        services.directory_view.refresh()
        services.directory_writes.wake()
        return change

    what = f"{request.method} {request.scope['path']}"
    try:
        change = await asyncio.to_thread(changed)
    except DirectoryError as error:
        audit.warning("%s by %s: refused: %s", what, caller.by, error, extra={"by": caller.by})
        raise
    where = {"by": caller.by, "notification_id": change.notification_id}
    audit.info("%s by %s: change %d", what, caller.by, change.notification_id, extra=where)
    return change


async def _answer_written(
    services: Services, notification_id: int, answer: InstrumentAnswer | AccountAnswer, status: int
) -> Response:
    """Wait until the change's shard commands are in the logs, and answer where."""
    wait_s = services.settings.outcome_wait_s
    positions = await services.directory_writes.positions_of(notification_id, wait_s)
    if positions is None:
        return json_response(answer, 202)
    if not positions:
        # Written by another process's follower, some time ago: no later than here.
        shards = range(services.settings.shards)
        positions = {shard: services.gateway.written(shard) for shard in shards}
    answer.position = position_text(positions)
    return json_response(answer, status)


@router.post("/instruments", status_code=201)
async def create_instrument(request: Request, caller: Admin) -> Response:
    """List an instrument; its shard is chosen now."""
    services = services_of(request)
    body: ListingBody = decode_body(LISTING, await request.body())
    terms = InstrumentTerms(
        symbol=body.symbol,
        tick_size=price_ticks_of(body.tick_size),
        lot_size=body.lot_size,
        price_collar=price_ticks_of(body.price_collar),
        reference_price=price_ticks_of(body.reference_price),
        state=TRADING_STATES[body.state],
    )
    directory = services.directory
    change = await _change(request, caller, lambda: directory.list_instrument(terms, by=caller.by))
    answer = instrument_answer(change.entry)
    return await _answer_written(services, change.notification_id, answer, 201)


@router.get("/instruments")
async def list_instruments(
    request: Request, caller: Admin, limit: Limit = PAGE_MAX, cursor: Cursor = None
) -> Response:
    """Instruments as the directory has them, by number."""
    view = services_of(request).directory_view
    page, following = page_of(view.instruments(), limit, cursor)
    return json_response(InstrumentsAnswer([instrument_answer(x) for x in page], following))


@router.patch("/instruments/{symbol:path}")
async def change_instrument(request: Request, caller: Admin, symbol: str) -> Response:
    """Set the reference price, from which collars and the notional of market orders are
    measured."""
    services = services_of(request)
    instrument = instrument_of(symbol, services.directory_view.symbols)
    body: InstrumentPatch = decode_body(INSTRUMENT_PATCH, await request.body())
    ticks = price_ticks_of(body.reference_price)
    directory = services.directory
    change = await _change(
        request,
        caller,
        lambda: directory.set_reference_price(instrument.symbol, ticks, by=caller.by),
    )
    return json_response(instrument_answer(change.entry))


@router.put("/instruments/{symbol:path}/state")
async def set_instrument_state(request: Request, caller: Admin, symbol: str) -> Response:
    """Open, halt, restrict to cancels, or close an instrument."""
    services = services_of(request)
    instrument = instrument_of(symbol, services.directory_view.symbols)
    body: InstrumentStateBody = decode_body(INSTRUMENT_STATE, await request.body())
    state = TRADING_STATES[body.state]
    directory = services.directory
    change = await _change(
        request, caller, lambda: directory.set_trading_state(instrument.symbol, state, by=caller.by)
    )
    answer = instrument_answer(change.entry)
    return await _answer_written(services, change.notification_id, answer, 200)


@router.post("/accounts", status_code=201)
async def create_account(request: Request, caller: Admin) -> Response:
    """Open an account."""
    services = services_of(request)
    body: AccountBody = decode_body(ACCOUNT, await request.body())
    limits = Limits(*(limit or 0 for limit in _limits(body.limits)))
    directory = services.directory
    change = await _change(
        request, caller, lambda: directory.create_account(body.name, limits, by=caller.by)
    )
    answer = account_answer(change.entry)
    return await _answer_written(services, change.notification_id, answer, 201)


def _limits(asked: LimitsBody) -> tuple[int | None, int | None, int | None]:
    """What is asked of the three limits: None leaves one as it is, 0 is no limit."""
    quantity, notional = asked.order_quantity_max, asked.order_notional_max
    orders = asked.open_orders_max
    return (
        None if isinstance(quantity, UnsetType) else quantity or 0,
        None
        if isinstance(notional, UnsetType)
        else amount_ticks(bytes(notional), "order_notional_max"),
        None if isinstance(orders, UnsetType) else orders or 0,
    )


@router.get("/accounts")
async def list_accounts(
    request: Request, caller: Admin, limit: Limit = PAGE_MAX, cursor: Cursor = None
) -> Response:
    """Accounts, by number."""
    view = services_of(request).directory_view
    page, following = page_of(view.accounts(), limit, cursor)
    return json_response(AccountsAnswer([account_answer(entry) for entry in page], following))


def _account(services: Services, number: int) -> AccountEntry:
    entry = services.directory_view.account(number)
    if entry is None:
        raise UnknownAccountError(f"no account {number}")
    return entry


@router.get("/accounts/{account}")
async def get_account(request: Request, caller: Admin, account: AccountNumber) -> Response:
    """One account."""
    return json_response(account_answer(_account(services_of(request), account)))


@router.patch("/accounts/{account}")
async def change_account(request: Request, caller: Admin, account: AccountNumber) -> Response:
    """Change limits; those left out stay as they are."""
    services = services_of(request)
    body: AccountPatch = decode_body(ACCOUNT_PATCH, await request.body())
    quantity, notional, orders = _limits(body.limits)
    directory = services.directory
    change = await _change(
        request,
        caller,
        lambda: directory.set_limits(
            account,
            order_quantity_max=quantity,
            order_notional_max=notional,
            open_orders_max=orders,
            by=caller.by,
        ),
    )
    answer = account_answer(change.entry)
    return await _answer_written(services, change.notification_id, answer, 200)


@router.put("/accounts/{account}/state")
async def set_account_state(request: Request, caller: Admin, account: AccountNumber) -> Response:
    """Throw or release the kill switch: `killed` cancels every open order and refuses new ones."""
    services = services_of(request)
    body: AccountStateBody = decode_body(ACCOUNT_STATE, await request.body())
    killed = body.state == "killed"
    directory = services.directory
    change = await _change(
        request, caller, lambda: directory.set_killed(account, killed, by=caller.by)
    )
    answer = account_answer(change.entry)
    return await _answer_written(services, change.notification_id, answer, 200)


@router.post("/accounts/{account}/keys", status_code=201)
async def create_key(request: Request, caller: Admin, account: AccountNumber) -> Response:
    """Create an API key. Its text is answered this once, and kept nowhere."""
    services = services_of(request)
    body: KeyBody = decode_body(KEY, await request.body())
    scopes: list[str] = list(body.scopes)

    made: list[NewKey] = []

    def created() -> Change[AccountEntry]:
        change, key = services.directory.create_key(account, scopes, by=caller.by)
        made.append(key)
        return change

    await _change(request, caller, created)
    answer = NewKeyAnswer(made[0].key_id, made[0].text, sorted(scopes))
    return json_response(answer, 201, {"Cache-Control": "no-store"})


@router.delete("/accounts/{account}/keys/{key_id}", status_code=204)
async def revoke_key(
    request: Request,
    caller: Admin,
    account: AccountNumber,
    key_id: KeyId,
) -> Response:
    """Revoke a key: refused here at once, everywhere within 5 seconds."""
    services = services_of(request)
    directory = services.directory
    await _change(request, caller, lambda: directory.revoke_key(account, key_id, by=caller.by))
    return Response(status_code=204)
