"""What can go wrong: the exchange refused or could not answer, or was not reached at all."""

from __future__ import annotations

import msgspec


class CrossbookError(Exception):
    """The base of every error that this package raises."""


class ApiError(CrossbookError):
    """An answer of 400 or above, as its problem+json (RFC 9457) told.

    `reason` is the stable code (docs/rest.md), `status` the HTTP status, `request_id` what the
    exchange's log knows the request by. `retry_after_s` is 0 where the answer named no time.
    `order_id` and `position` are there where the refusal is in the log, `state` (the order's) with
    `too_late`.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int,
        detail: str = "",
        request_id: str = "",
        retry_after_s: float = 0.0,
        refused_by: str = "",
        order_id: str | None = None,
        position: str | None = None,
        state: str | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {detail}" if detail else f"{status} {reason}")
        self.reason = reason
        self.status = status
        self.detail = detail
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.refused_by = refused_by
        self.order_id = order_id
        self.position = position
        self.state = state


class ConnectionLostError(CrossbookError):
    """No answer: the exchange was not reached, or the connection broke before it answered.

    `sent` tells whether the request may have arrived. If it may, a write's outcome is unknown: send
    it again with the same client order id.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class _Extensions(msgspec.Struct):
    code: str = ""


class _GraphQLError(msgspec.Struct):
    """A request that /graphql refuses as a whole is told in the shape of its answers."""

    message: str = ""
    extensions: _Extensions = msgspec.field(default_factory=_Extensions)


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""
    reason: str = ""
    refused_by: str = ""
    order_id: str | None = None
    position: str | None = None
    state: str | None = None
    request_id: str = ""
    errors: list[_GraphQLError] = []


def error_of(status: int, body: bytes, request_id: str, retry_after: str) -> ApiError:
    """The error that an answer of 400 or above means, whatever its body is."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = _Problem(title=f"HTTP {status}")
    first = problem.errors[0] if problem.errors else _GraphQLError()
    return ApiError(
        problem.reason or first.extensions.code or f"http_{status}",
        status=status,
        detail=problem.detail or first.message or problem.title,
        request_id=problem.request_id or request_id,
        retry_after_s=float(retry_after) if retry_after.isdigit() else 0.0,
        refused_by=problem.refused_by,
        order_id=problem.order_id,
        position=problem.position,
        state=problem.state,
    )
