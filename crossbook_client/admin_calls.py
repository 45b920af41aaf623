"""The requests of `/v1/admin/…`, built without sending them.

Creations are not sent again after a lost connection: the second would be refused as a duplicate, or
make a second key.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from crossbook_client.calls import Call, Price, json_body, query_of, symbol_path
from crossbook_client.models import (
    Account,
    AccountList,
    AdminInstrument,
    AdminInstrumentList,
    AuditPage,
    Limits,
    NewKey,
)

INSTRUMENTS = "/v1/admin/instruments"
ACCOUNTS = "/v1/admin/accounts"


def list_instrument(
    symbol: str,
    tick_size: Price,
    lot_size: int,
    price_collar: Price | None,
    reference_price: Price | None,
) -> Call[AdminInstrument]:
    """`POST /v1/admin/instruments`."""
    body = json_body(
        symbol=symbol,
        tick_size=tick_size,
        lot_size=lot_size,
        price_collar=price_collar,
        reference_price=reference_price,
    )
    return Call("POST", INSTRUMENTS, AdminInstrument, {}, body, repeatable=False)


def instruments(cursor: str | None = None) -> Call[AdminInstrumentList]:
    """`GET /v1/admin/instruments`: one page."""
    return Call("GET", INSTRUMENTS, AdminInstrumentList, query_of(cursor=cursor))


def set_state(symbol: str, state: str) -> Call[AdminInstrument]:
    """`PUT /v1/admin/instruments/{symbol}/state`."""
    path = symbol_path("admin/instruments", symbol, "/state")
    return Call("PUT", path, AdminInstrument, {}, json_body(state=state))


def set_reference_price(symbol: str, price: Price | None) -> Call[AdminInstrument]:
    """`PATCH /v1/admin/instruments/{symbol}`; None for no reference price."""
    body = b'{"reference_price":null}' if price is None else json_body(reference_price=price)
    path = symbol_path("admin/instruments", symbol)
    return Call("PATCH", path, AdminInstrument, {}, body)


def create_account(name: str, limits: Limits | None) -> Call[Account]:
    """`POST /v1/admin/accounts`."""
    fields: dict[str, object] = {"name": name}
    if limits is not None:
        fields["limits"] = msgspec.to_builtins(limits)
    body = msgspec.json.encode(fields)
    return Call("POST", ACCOUNTS, Account, {}, body, repeatable=False)


def accounts(cursor: str | None = None) -> Call[AccountList]:
    """`GET /v1/admin/accounts`: one page."""
    return Call("GET", ACCOUNTS, AccountList, query_of(cursor=cursor))


def audit(limit: int | None = None, cursor: str | None = None) -> Call[AuditPage]:
    """`GET /v1/admin/audit`: one page."""
    return Call("GET", "/v1/admin/audit", AuditPage, query_of(limit=limit, cursor=cursor))


def account(number: int) -> Call[Account]:
    """`GET /v1/admin/accounts/{account}`."""
    return Call("GET", f"{ACCOUNTS}/{number}", Account, {})


def set_limits(number: int, limits: Limits) -> Call[Account]:
    """`PATCH /v1/admin/accounts/{account}`: all three limits; None is no limit."""
    body = msgspec.json.encode({"limits": msgspec.to_builtins(limits)})
    return Call("PATCH", f"{ACCOUNTS}/{number}", Account, {}, body)


def set_account_state(number: int, state: str) -> Call[Account]:
    """`PUT /v1/admin/accounts/{account}/state`."""
    return Call("PUT", f"{ACCOUNTS}/{number}/state", Account, {}, json_body(state=state))


def create_key(number: int, scopes: Sequence[str]) -> Call[NewKey]:
    """`POST /v1/admin/accounts/{account}/keys`."""
    body = msgspec.json.encode({"scopes": list(scopes)})
    return Call("POST", f"{ACCOUNTS}/{number}/keys", NewKey, {}, body, repeatable=False)


def revoke_key(number: int, key_id: str) -> Call[None]:
    """`DELETE /v1/admin/accounts/{account}/keys/{key_id}`."""
    return Call("DELETE", f"{ACCOUNTS}/{number}/keys/{key_id}", None, {})
