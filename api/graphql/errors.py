"""Every error of GraphQL in one shape: a message that says what to do, and `extensions.code`.

Guarantees: the code of an expected error is the reason that REST has for it, with its HTTP status
and, where there is one, `retryAfterS`; an unexpected exception is logged with the request's id and
shown as `internal_error` with that id and nothing else.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from graphql import GraphQLError, GraphQLSyntaxError, ValueNode

from api.errors import EXPECTED, Problem, problem_extensions, problem_of
from api.stream.protocol import StreamError

INVALID: Final = "invalid_query"
SYNTAX: Final = "syntax_error"
BAD_VALUE: Final = "invalid_value"
INTERNAL: Final = "internal_error"
STREAM_STATUS: Final = {"no_key": 401, "missing_scope": 403, "unknown_symbol": 404, "behind": 503}

log = logging.getLogger("crossbook.graphql")


def refused(code: str, detail: str, **more: Any) -> GraphQLError:
    """A refusal with this code."""
    return GraphQLError(detail, extensions={"code": code, **more})


def shown(error: GraphQLError, request_id: str) -> GraphQLError:
    """The error as the client sees it."""
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(cause, StreamError):
        cause = Problem(STREAM_STATUS.get(cause.code, 400), cause.code, cause.detail)
    if cause is not None and isinstance(cause, EXPECTED):
        problem = problem_of(cause)
        return _like(error, problem.detail, problem_extensions(problem))
    if isinstance(cause, GraphQLError):
        return _like(error, cause.message, {"code": BAD_VALUE, **(cause.extensions or {})})
    if isinstance(cause, ValueError) and error.path is None and _of_value(error):
        return _like(error, "a value of the query is too long to be one", {"code": INVALID})
    if cause is not None:
        log.error("GraphQL request %s failed", request_id, exc_info=cause)
        detail = "something unexpected went wrong; it is logged under this request id"
        return _like(error, detail, {"code": INTERNAL, "status": 500, "requestId": request_id})
    if error.extensions and "code" in error.extensions:
        return error
    code = SYNTAX if isinstance(error, GraphQLSyntaxError) else INVALID
    return _like(error, error.message, {"code": code})


def _of_value(error: GraphQLError) -> bool:
    """Whether the document itself holds what could not be read, such as a number of 5,000 digits
    (Python reads no more than 4,300)."""
    return bool(error.nodes) and isinstance(error.nodes[0], ValueNode)


def _like(error: GraphQLError, message: str, extensions: dict[str, Any]) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )
