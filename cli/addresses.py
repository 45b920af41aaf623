"""Where the API listens, and whether it is ready there."""

from __future__ import annotations

import functools
import socket
from typing import Final

import httpx

PORTS_TRIED: Final = 100
ANSWER_WAIT_S: Final = 5.0


class NoPortError(Exception):
    """No port to listen on; the message says what to do."""


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or the next port above it that nobody listens on. Raises NoPortError."""
    try:
        family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror as error:
        raise NoPortError(f"{host}: {error.strerror}; set CROSSBOOK_HOST") from error
    for port in range(wanted, min(wanted + PORTS_TRIED, 65_536)):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen(1)
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NoPortError(f"no free port from {wanted} on at {host}; set CROSSBOOK_PORT")


def url_of(host: str, port: int) -> str:
    """Where a client on this machine finds the API."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


@functools.cache
def _client() -> httpx.Client:
    """One for all looks, because making one takes tens of milliseconds of a processor. It keeps no
    connection: an API that was started again would answer on none of them.
    """
    return httpx.Client(
        timeout=ANSWER_WAIT_S,
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def is_ready(url: str) -> tuple[bool, str]:
    """Whether /readyz says so, and what it said otherwise."""
    try:
        answer = _client().get(f"{url}/readyz")
    except httpx.TransportError as error:
        return False, str(error) or type(error).__name__
    if answer.status_code == 200:
        return True, ""
    return False, answer.text[:500]
