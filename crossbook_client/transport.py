"""The part of sending a request that does not depend on whether one waits or awaits."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
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


class Memory:
    """The newest answers by request, with their entity tags. Safe to share between threads."""

    def __init__(self, answers_max: int = 0) -> None:
        self._answers_max = answers_max
        self._answers: OrderedDict[tuple[str, str], tuple[str, Any]] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = 0

    def tag_of(self, call: Call[Any]) -> str | None:
        """The tag of what is remembered of a request."""
        with self._lock:
            found = self._answers.get(_name_of(call))
        return None if found is None else found[0]

    def remember(self, call: Call[Any], tag: str, answer: Any) -> None:
        """Keep an answer, in place of the one that was asked for longest ago."""
        with self._lock:
            self._answers[_name_of(call)] = (tag, answer)
            self._answers.move_to_end(_name_of(call))
            while len(self._answers) > self._answers_max:
                self._answers.popitem(last=False)

    def recall(self, call: Call[Any], tag: str) -> Any:
        """The answer that still holds; None where others have taken its place meanwhile."""
        with self._lock:
            found = self._answers.get(_name_of(call))
            if found is None or found[0] != tag:
                return None
            self._answers.move_to_end(_name_of(call))
            self.hits += 1
            return found[1]

    @property
    def wanted(self) -> bool:
        """Whether anything is kept at all."""
        return self._answers_max > 0


def _name_of(call: Call[Any]) -> tuple[str, str]:
    # How new it must be at least does not make it another thing.
    query = sorted(item for item in call.query.items() if item[0] != "min_position")
    return call.path, repr(query)


def request_of(call: Call[T], memory: Memory) -> dict[str, Any]:
    """The arguments of httpx's `request`."""
    headers = {"Content-Type": "application/json"} if call.body is not None else {}
    tag = memory.tag_of(call) if memory.wanted and call.method == "GET" else None
    if tag is not None:
        headers["If-None-Match"] = tag
    return {
        "method": call.method,
        "url": call.path,
        "params": dict(call.query) or None,
        "content": call.body,
        "headers": headers,
    }


def result_of(call: Call[T], response: httpx.Response, memory: Memory) -> T:
    """The decoded answer. Raises ApiError where it is a refusal, or none of this release's."""
    if response.status_code >= 400:
        raise error_of(
            response.status_code,
            response.content,
            response.headers.get("x-request-id", ""),
            response.headers.get("retry-after", ""),
        )
    tag = response.headers.get("etag", "")
    if response.status_code == 304:
        recalled: T | None = memory.recall(call, tag)
        if recalled is None:
            raise ConnectionLostError("what was remembered has been forgotten", sent=True)
        return recalled
    try:
        answer = call.decode(response.content)
        if tag and memory.wanted:
            memory.remember(call, tag, answer)
        return answer
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
