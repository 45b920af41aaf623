"""Every error as one shape: `application/problem+json` (RFC 9457), with a stable reason and the
request's id.

Guarantees: no path of the API answers an error in another shape but `/graphql`, whose clients read
an answer's `errors`; an unexpected exception is logged with the request id that the client was
told, and nothing of it is shown to the client.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from eventsourcing.persistence import PersistenceError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from api.metrics import rejected
from commands.directory.terms import DirectoryError
from commands.protocols import BehindError, NotWrittenError, OutcomeUnknownError
from commands.validation import Refusal
from projections.read_books import BooksUnavailableError
from projections.read_history import HistoryBehindError, HistoryUnavailableError

PROBLEM_TYPE: Final = "urn:crossbook:problem:"
GRAPHQL_PATH: Final = "/graphql"
RETRY_AFTER_S: Final = 1.0
PLACE: Final = re.compile(r"\{[^}]*\}")

TITLES: Final = {
    400: "Malformed",
    401: "No valid key",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    414: "Too long",
    416: "Out of range",
    422: "Refused",
    426: "Not over HTTP",
    429: "Over a limit",
    431: "Too large",
    500: "Internal error",
    503: "Not available now",
}

DIRECTORY_STATUS: Final = {
    "invalid_terms": 422,
    "instrument_exists": 409,
    "account_exists": 409,
    "unknown_account": 404,
    "unknown_instrument": 404,
    "unknown_key": 404,
    "directory_full": 422,
    "keys_exhausted": 422,
    "contended": 503,
}


class Problem(Exception):
    """An error answer. `extra` holds further members; `headers` further headers."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra or {}


def retry_after(seconds: float = RETRY_AFTER_S) -> dict[str, str]:
    """The header that says when to come again: whole seconds, at least 1."""
    return {"Retry-After": str(max(1, round(seconds)))}


def behind(what: str) -> Problem:
    """503: a read model or the matcher has not come so far yet."""
    return Problem(503, "behind", f"{what}; try again", headers=retry_after())


def request_id_of(scope: Any) -> str:
    """The id that the request was given on its way in (`api.middleware`)."""
    request_id: str = scope.get("request_id", "")
    return request_id


def problem_body(problem: Problem, request_id: str) -> bytes:
    """The JSON of a problem."""
    title = TITLES.get(problem.status)
    members = {
        "type": PROBLEM_TYPE + problem.reason,
        "title": HTTPStatus(problem.status).phrase if title is None else title,
        "status": problem.status,
        "detail": problem.detail,
        "reason": problem.reason,
        **problem.extra,
        "request_id": request_id,
    }
    return msgspec.json.encode(members)


def problem_response(problem: Problem, request_id: str) -> Response:
    """The whole answer."""
    return Response(
        problem_body(problem, request_id),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )


def problem_extensions(problem: Problem) -> dict[str, Any]:
    """What a problem is to a program that reads the errors of a GraphQL answer."""
    found: dict[str, Any] = {"code": problem.reason, "status": problem.status}
    after = problem.headers.get("Retry-After")
    if after is not None:
        found["retryAfterS"] = int(after)
    return found


def graphql_response(problem: Problem, request_id: str) -> Response:
    """The refusal of a whole GraphQL request, in the shape of an answer."""
    extensions = problem_extensions(problem)
    if problem.status == 500:
        extensions["requestId"] = request_id
    error = {"message": problem.detail, "extensions": extensions}
    return Response(
        msgspec.json.encode({"data": None, "errors": [error]}),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/json",
    )


def edge_response(problem: Problem, scope: Any) -> Response:
    """The answer of what stands before the routes, as the clients of the path read it."""
    shape = graphql_response if scope["path"] == GRAPHQL_PATH else problem_response
    return shape(problem, request_id_of(scope))


def problem_of(error: Exception) -> Problem:
    """What to answer for each exception that an endpoint may let through."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refusal):
        rejected("gateway", error.reason)
        extra = {"refused_by": "gateway"}
        return Problem(error.status, error.reason, error.detail, extra=extra)
    if isinstance(error, NotWrittenError):
        headers = retry_after(error.retry_after_s)
        return Problem(503, "not_written", f"nothing was written: {error}", headers=headers)
    if isinstance(error, OutcomeUnknownError):
        detail = "the log did not say whether it took this; send it again with the same ids"
        return Problem(503, "outcome_unknown", detail, headers=retry_after())
    if isinstance(error, BehindError):
        return behind("the matcher is too far behind to take new commands")
    if isinstance(error, DirectoryError):
        status = DIRECTORY_STATUS.get(error.reason, 422)
        return Problem(status, error.reason, str(error), extra={"refused_by": "gateway"})
    if isinstance(error, PersistenceError):
        detail = "the directory's store cannot be used now; look before you try again"
        return Problem(503, "directory_unavailable", detail, headers=retry_after())
    if isinstance(error, BooksUnavailableError):
        detail = "the books cannot be read now; try again"
        return Problem(503, "books_unavailable", detail, headers=retry_after())
    if isinstance(error, HistoryBehindError):
        return behind(str(error))
    if isinstance(error, HistoryUnavailableError):
        detail = "the history cannot be read now; try again"
        return Problem(503, "history_unavailable", detail, headers=retry_after())
    if isinstance(error, RequestValidationError):
        return _parameter_problem(error)
    if isinstance(error, HTTPException):
        reason = {404: "no_such_path", 405: "method_not_allowed"}.get(error.status_code, "refused")
        headers = dict(error.headers or {})
        return Problem(error.status_code, reason, str(error.detail), headers=headers)
    raise TypeError(f"no answer is known for {type(error).__name__}")


def _parameter_problem(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    name = str(first["loc"][-1]) if first.get("loc") else "parameter"
    return Problem(400, "invalid_parameter", f"{name}: {first.get('msg', 'invalid')}")


EXPECTED: Final[tuple[type[Exception], ...]] = (
    Problem,
    Refusal,
    NotWrittenError,
    OutcomeUnknownError,
    BehindError,
    DirectoryError,
    PersistenceError,
    BooksUnavailableError,
    HistoryUnavailableError,
    RequestValidationError,
    HTTPException,
)


def _handler() -> Callable[[Request, Exception], Response]:
    def handle(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status == 405:
            allowed = documented_methods(request)
            problem.headers.update({"Allow": ", ".join(allowed)} if allowed else {})
        return problem_response(problem, request_id_of(request.scope))

    return handle


def documented_methods(request: Request) -> list[str]:
    """The methods of the endpoint at a request's path. (Starlette names those of the first route
    that matches, and each of ours is a route by itself.)"""
    found: dict[str, set[str]] = {}
    for route in request.app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            match, _ = route.matches(request.scope)
            if match != Match.NONE:
                found.setdefault(route.path_format, set()).update(route.methods)
    # `/a/{symbol}/state` is meant where `/a/{symbol}` matches too.
    return sorted(found[max(found, key=lambda path: len(PLACE.sub("", path)))]) if found else []


def install_error_handlers(app: FastAPI) -> None:
    """Have every expected exception answered. The unexpected are `api.middleware`'s."""
    for kind in EXPECTED:
        app.add_exception_handler(kind, _handler())
