"""The part of sending a request that does not depend on whether one waits or awaits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec

from crossbook_client.calls import Call
from crossbook_client.errors import ApiError, ConnectionLostError, CrossbookError, error_of
from crossbook_client.retries import Retries, may_repeat

T = TypeVar("T")
TIMEOUT_S = 15.0  # an answer may wait for its outcome for 2 s, a read for its position
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def options(url: str, api_key: str | None, timeout_s: float) -> dict[str, Any]:
    """What both httpx clients are made with. Proxies of the environment are for the internet."""
    headers = {"User-Agent": "crossbook-client"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    return {
        "base_url": url,
        "headers": headers,
        "timeout": timeout_s,
        "trust_env": not is_loopback(url),
    }


def is_loopback(url: str) -> bool:
    """Whether the exchange is on this machine."""
    return httpx.URL(url).host in ("localhost", "127.0.0.1", "::1")


def request_of(call: Call[T]) -> dict[str, Any]:
    """The arguments of httpx's `request`."""
    headers = {"Content-Type": "application/json"} if call.body is not None else {}
    return {
        "method": call.method,
        "url": call.path,
        "params": dict(call.query) or None,
        "content": call.body,
        "headers": headers,
    }


def result_of(call: Call[T], response: httpx.Response) -> T:
    """The decoded answer. Raises ApiError where it is a refusal, or none of this release's."""
    if response.status_code >= 400:
        raise error_of(
            response.status_code,
            response.content,
            response.headers.get("x-request-id", ""),
            response.headers.get("retry-after", ""),
        )
    try:
        return call.decode(response.content)
    except msgspec.DecodeError as error:
        raise ApiError(
            "unexpected_answer",
            status=response.status_code,
            detail=str(error),
            request_id=response.headers.get("x-request-id", ""),
        ) from error


def lost(error: httpx.TransportError) -> ConnectionLostError:
    """No answer came."""
    said = str(error) or type(error).__name__
    return ConnectionLostError(said, sent=not isinstance(error, NEVER_SENT))


@dataclass
class Attempts:
    """Counts the attempts of one request and tells how long to wait before the next."""

    call: Call[Any]
    retries: Retries

    def __post_init__(self) -> None:
        self._count = 0
        self._deadline = time.monotonic() + self.retries.total_s

    def next_pause_s(self, error: CrossbookError) -> float:
        """Seconds until the next attempt. Raises `error` itself where there must be none."""
        self._count += 1
        if isinstance(error, ApiError | ConnectionLostError) and may_repeat(
            error, repeatable=self.call.repeatable
        ):
            pause = self.retries.pause_s(self._count, error)
            if time.monotonic() + pause < self._deadline:
                return pause
        raise error
