"""Who asks, and what the key allows.

Guarantees: an endpoint says which scope it needs by a dependency, so that the whole table of routes
and scopes can be read off the app; a key that was revoked anywhere is refused within 5 seconds,
since a view of the directory that is older than that answers 503 instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.datastructures import Headers

from api.errors import Problem, retry_after
from api.rates.enforce import Rates
from commands.directory.entries import AccountEntry, KeyEntry
from commands.directory.view import DirectoryView

# What else a scope lets do: who may trade may also see the account's orders.
IMPLIED_BY: Final = {"read": ("read", "trade"), "trade": ("trade",), "admin": ("admin",)}
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="crossbook"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """The account that asks, and the key it used."""

    account: AccountEntry
    key_id: str

    @property
    def by(self) -> str:
        """How the directory's audit trail names the caller."""
        return f"key:{self.key_id}"


def key_text_in(headers: Headers) -> str:
    """The key as it was sent, empty where there is none."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() == "bearer" and text:
            return text.strip()
    return headers.get("x-api-key", "")


def key_text_of(request: Request) -> str:
    """The key as it was sent. Raises Problem (401) where there is none."""
    text = key_text_in(request.headers)
    if not text:
        detail = "send a key: Authorization: Bearer cbk_…, or X-API-Key"
        raise Problem(401, "no_key", detail, headers=CHALLENGE)
    return text


def key_of(view: DirectoryView, text: str) -> tuple[KeyEntry, AccountEntry]:
    """The key that this text is, and its account. Raises Problem: 401, or 503 where keys cannot be
    checked."""
    if view.stale:
        detail = "keys cannot be checked now: the directory has not been read for some seconds"
        raise Problem(503, "directory_stale", detail, headers=retry_after())
    key = view.authenticate(text)
    account = None if key is None else view.account(key.account)
    if key is None or account is None:
        raise Problem(401, "invalid_key", "this key is not valid", headers=CHALLENGE)
    return key, account


def authenticate(view: DirectoryView, request: Request, scope: str) -> Caller:
    """The caller, whose key has this scope. Raises Problem: 401, 403, or 503 where keys cannot be
    checked."""
    key, account = key_of(view, key_text_of(request))
    if key.scopes.isdisjoint(IMPLIED_BY[scope]):
        raise Problem(403, "missing_scope", f"this key has not the scope {scope!r}")
    return Caller(account, key.key_id)


class Needs:
    """A dependency: the endpoint needs a key with this scope, and is given the Caller. The request
    is counted against its key, as `commands` order commands where it is so many."""

    def __init__(self, scope: str, *, commands: int = 0) -> None:
        self.scope = scope
        self.commands = commands

    async def __call__(self, request: Request) -> Caller:
        """Authenticate; a coroutine, because FastAPI runs plain functions in a thread each."""
        services = request.app.state.services
        caller = authenticate(services.directory_view, request, self.scope)
        rates: Rates = services.rates
        await rates.count(request.scope, rates.key, caller.key_id)
        if self.commands:
            await count_commands(request, caller, self.commands)
        return caller


async def count_commands(request: Request, caller: Caller, commands: int) -> None:
    """Count order commands against the caller's key. Raises Problem (429)."""
    rates: Rates = request.app.state.services.rates
    await rates.count(request.scope, rates.commands, caller.key_id, commands)


READ: Final = Needs("read")
TRADE: Final = Needs("trade", commands=1)
TRADE_MANY: Final = Needs("trade")  # and then `count_commands`
ADMIN: Final = Needs("admin")
