"""Who asks too often is refused: by address before anything else, by key once the key is known.

Guarantees: a request that is refused was not carried out, not even in part; its answer says when to
come again, and each answer tells what is left. A refusal is held back for 50 ms, so that one who
heeds none sends no more than twenty a second over each connection. What is counted by key is
counted after the key was checked: nobody uses up another's limit with a key id.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Problem, edge_response
from api.rates.limiter import RateLimiter
from api.rates.policies import Policy, Verdict, rate_headers

NEVER_REFUSED: Final = frozenset({"/livez", "/readyz", "/metrics"})
REFUSED_PAUSE_S: Final = 0.05
IPV6_PREFIX: Final = 64  # what one customer of a network is given
VERDICTS: Final = "crossbook.rates"


@dataclass(frozen=True)
class RateSettings:
    """The rates of docs/settings.md; 0 is no limit."""

    address_requests_per_s: int = 2_000
    key_requests_per_s: int = 1_000
    key_commands_per_s: int = 20_000


@dataclass
class Rates:
    """The limiter and its policies."""

    settings: RateSettings = field(default_factory=RateSettings)
    limiter: RateLimiter = field(default_factory=RateLimiter)

    def __post_init__(self) -> None:
        settings = self.settings
        self.address = Policy(
            "address", settings.address_requests_per_s, "requests a second from one address"
        )
        self.key = Policy("key", settings.key_requests_per_s, "requests a second with one key")
        self.commands = Policy(
            "commands", settings.key_commands_per_s, "order commands a second with one key"
        )

    async def count(self, scope: Any, policy: Policy, name: str, cost: int = 1) -> None:
        """Count `cost` against a policy, and have the answer tell so. Raises Problem (429)."""
        if policy.per_s == 0 or cost == 0:
            return
        verdict = await self.limiter.take(policy, name, cost)
        scope.setdefault(VERDICTS, []).append(verdict)
        if verdict.wait_s:
            await asyncio.sleep(REFUSED_PAUSE_S)
            raise refusal(verdict)


def refusal(verdict: Verdict) -> Problem:
    """429, with whole seconds to wait."""
    detail = f"at most {verdict.policy.per_s:,} {verdict.policy.what}: come again later"
    headers = {"Retry-After": str(max(1, math.ceil(verdict.wait_s)))}
    return Problem(429, "rate_limited", detail, headers=headers)


def address_of(scope: Scope) -> str:
    """Whom to count a request against: the client's IPv4 address, or the /64 of its IPv6 one."""
    client = scope.get("client")
    host = client[0] if client else ""
    if ":" not in host:
        return host or "unknown"
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, IPV6_PREFIX), strict=False))


class RateMiddleware:
    """Counts each HTTP request against its address, and puts the rates into each answer."""

    def __init__(self, app: ASGIApp, rates: Rates) -> None:
        self.app = app
        self.rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in NEVER_REFUSED:
            await self.app(scope, receive, send)
            return

        async def send_with_rates(message: Message) -> None:
            if message["type"] == "http.response.start" and scope.get(VERDICTS):
                message.setdefault("headers", [])
                message["headers"] = [*message["headers"], *rate_headers(scope[VERDICTS])]
            await send(message)

        try:
            await self.rates.count(scope, self.rates.address, address_of(scope))
        except Problem as problem:
            response = edge_response(problem, scope)
            await response(scope, receive, send_with_rates)
            return
        await self.app(scope, receive, send_with_rates)
