"""What every answer and every request's head must be: header fields that keep a browser from
misusing what it got, and bounds of what is read.

Guarantees: every answer has `X-Content-Type-Options`, `Referrer-Policy`, `X-Frame-Options`, a
`Content-Security-Policy` and a `Cache-Control`; what is no page may load, run and be framed by
nothing. A page may load what its own part of the site needs (`PAGES`), and no page of ours can be
framed. A URL, a query or a head beyond its bound is refused before it is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Problem, edge_response

PATH_BYTES_MAX: Final = 2_048
QUERY_BYTES_MAX: Final = 4_096
HEADERS_BYTES_MAX: Final = 16_384
HEADERS_COUNT_MAX: Final = 100

NOTHING: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
OURSELVES: Final = "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
# Of pages that say none themselves, by what their paths begin with: GraphiQL comes from where
# Strawberry's page takes it, and begins with an inline script.
PAGES: Final = (
    (
        "/graphql",
        "default-src 'none'; connect-src 'self' ws: wss:; img-src 'self' data:;"
        " font-src 'self' data: https://unpkg.com; worker-src 'self' blob:;"
        " script-src 'self' 'unsafe-inline' https://unpkg.com;"
        f" style-src 'self' 'unsafe-inline' https://unpkg.com; {OURSELVES}",
    ),
)

ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
NO_PAGE: Final = (b"content-security-policy", NOTHING.encode())
NOT_STORED: Final = (b"cache-control", b"no-store")


def page_policy(path: str) -> bytes:
    """The content security policy of a page at this path."""
    for prefix, policy in PAGES:
        if path == prefix or path.startswith(prefix + "/"):
            return policy.encode()
    return NOTHING.encode()


class SecurityHeadersMiddleware:
    """Adds the header fields that an answer has not itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on with a `send` that adds them."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = guarded(message.get("headers", []), scope["path"])
            await send(message)

        await self.app(scope, receive, send_guarded)


def guarded(headers: list[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
    """An answer's headers with those that are lacking. What an endpoint said itself stands."""
    named = dict(headers)
    added = [header for header in ALWAYS if header[0] not in named]
    if b"content-security-policy" not in named:
        is_page = named.get(b"content-type", b"").startswith(b"text/html")
        added.append((b"content-security-policy", page_policy(path)) if is_page else NO_PAGE)
    if b"cache-control" not in named:
        added.append(NOT_STORED)
    return [*headers, *added]


@dataclass(frozen=True)
class HeadLimits:
    """Bytes of the parts of a request's head at most, and its header fields."""

    path_bytes_max: int = PATH_BYTES_MAX
    query_bytes_max: int = QUERY_BYTES_MAX
    headers_bytes_max: int = HEADERS_BYTES_MAX
    headers_count_max: int = HEADERS_COUNT_MAX

    def check(self, scope: Scope) -> None:
        """Raises Problem: 414 for the URL, 431 for the header fields."""
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if len(path) > self.path_bytes_max or len(scope["query_string"]) > self.query_bytes_max:
            detail = (
                f"a path has at most {self.path_bytes_max:,} bytes, "
                f"a query {self.query_bytes_max:,}"
            )
            raise Problem(414, "uri_too_long", detail)
        headers = scope["headers"]
        most = self.headers_bytes_max
        if (
            len(headers) > self.headers_count_max
            or sum(len(name) + len(value) for name, value in headers) > most
        ):
            detail = f"a head has at most {self.headers_count_max} fields of {most:,} bytes"
            raise Problem(431, "headers_too_large", detail)


class HeadLimitMiddleware:
    """Refuses heads beyond their bounds."""

    def __init__(self, app: ASGIApp, limits: HeadLimits | None = None) -> None:
        self.app = app
        self.limits = limits or HeadLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on, or refuse it."""
        if scope["type"] == "http":
            try:
                self.limits.check(scope)
            except Problem as problem:
                problem.headers = {**problem.headers, "Connection": "close"}
                response = edge_response(problem, scope)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)
