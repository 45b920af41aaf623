"""Which web pages may open a stream. A browser sends the page's origin with every WebSocket
handshake and lets any page open one, so the server must look (RFC 6455, section 10.2).

Guarantees: a program, which sends no Origin, is let in; a page is let in where it comes from the
host that it talks to, or from an origin of the settings.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

ANY: Final = "*"
PORTS: Final = {"http": 80, "https": 443}


def origin_allowed(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """Whether a handshake with these headers may go on. `allowed` are origins as browsers send
    them (`https://desk.example`), or `*` for all."""
    if origin is None or ANY in allowed:
        return True
    given = _place(origin)
    if given is None:
        return False  # "null": a sandboxed frame, a file
    if any(given == _place(each) for each in allowed):
        return True
    # What ends TLS before us changes the scheme, never the host that the browser names.
    return host is not None and given == _place(f"{given[0]}://{host}")


def _place(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for what is no origin of a web page."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname or parts.path not in ("", "/"):
        return None
    if parts.username is not None or parts.query or parts.fragment:
        return None
    return parts.scheme, parts.hostname, port if port is not None else PORTS[parts.scheme]
