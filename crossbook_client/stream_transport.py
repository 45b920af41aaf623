"""The part of a streaming connection that does not depend on whether one waits or awaits."""

from __future__ import annotations

import random
import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from crossbook_client.errors import ApiError, ConnectionLostError, error_of
from crossbook_client.transport import is_loopback

PATH = "/v1/stream"
SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
FIRST_PAUSE_S = 0.05
PAUSE_S_MAX = 5.0
LOST = (WebSocketException, OSError, TimeoutError)


def stream_url(url: str, path: str = PATH) -> str:
    """Where the stream, or another WebSocket, of the exchange at this URL is. Raises ValueError
    where it is no URL of one."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise ValueError(f"{url!r} is no URL such as http://127.0.0.1:8000")
    whole = parts.path.rstrip("/") + path
    return urlunsplit((SCHEMES[parts.scheme], parts.netloc, whole, "", ""))


def options(url: str, api_key: str | None, silence_s: float) -> dict[str, Any]:
    """What both connections are made with."""
    headers = {"X-API-Key": api_key} if api_key is not None else {}
    proxy: dict[str, Any] = {"proxy": None} if is_loopback(url) else {}
    return {
        "additional_headers": headers,
        "user_agent_header": "crossbook-client",
        "compression": None,
        "max_size": None,
        "open_timeout": silence_s,
        "close_timeout": 1.0,
        **proxy,
    }


def refusal_of(error: Exception) -> ApiError | None:
    """The answer that a handshake got instead of a stream, None where it got none."""
    if not isinstance(error, InvalidStatus):
        return None
    response = error.response
    headers = response.headers
    return error_of(
        response.status_code,
        bytes(response.body or b""),
        headers.get("x-request-id", ""),
        headers.get("retry-after", ""),
    )


class Reconnecting:
    """How long to wait before the next attempt, and when to give up."""

    def __init__(self, total_s: float) -> None:
        self._total_s = total_s
        self._attempts = 0
        self._deadline = time.monotonic() + total_s

    @property
    def is_first(self) -> bool:
        """Whether nothing failed since the last message."""
        return self._attempts == 0

    def begun(self) -> None:
        """A connection is there, which may yet end before it said anything."""
        if self._attempts == 0:
            self._attempts = 1
            self._deadline = time.monotonic() + self._total_s

    def succeeded(self) -> None:
        """A message came: the next loss begins anew."""
        self._attempts = 0

    def next_pause_s(self, error: Exception) -> float:
        """Seconds until the next attempt. Raises ApiError or ConnectionLostError where there must
        be none."""
        now = time.monotonic()
        if self._attempts == 0:
            self._deadline = now + self._total_s
        self._attempts += 1
        refusal = refusal_of(error)
        if refusal is not None and refusal.status not in (429, 500, 502, 503, 504):
            raise refusal from error
        pause = min(PAUSE_S_MAX, FIRST_PAUSE_S * 2**self._attempts) * random.uniform(0.5, 1.0)
        if refusal is not None:
            pause = max(pause, refusal.retry_after_s)
        if now + pause > self._deadline:
            said = str(error) or type(error).__name__
            sent = not isinstance(error, InvalidHandshake | OSError)
            raise refusal or ConnectionLostError(said, sent=sent) from error
        return pause
