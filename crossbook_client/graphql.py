"""GraphQL without waiting or awaiting: requests, answers, and the messages of a subscription
(graphql-transport-ws). docs/graphql.md describes the schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from crossbook_client.calls import Call
from crossbook_client.errors import ApiError, ConnectionLostError, CrossbookError
from crossbook_client.stream_transport import refusal_of, stream_url

T = TypeVar("T")
PATH = "/graphql"
SUBPROTOCOL = "graphql-transport-ws"
OPERATION = "1"
INIT = '{"type":"connection_init"}'
PONG = '{"type":"pong"}'


class _Extensions(msgspec.Struct):
    code: str = "graphql_error"
    status: int = 400
    retryAfterS: float = 0.0
    requestId: str = ""


class _Error(msgspec.Struct):
    message: str = ""
    extensions: _Extensions = msgspec.field(default_factory=_Extensions)


class _Answer(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[_Error] = []


class _Message(msgspec.Struct):
    type: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class GraphQLError(ApiError):
    """An operation was refused, or a part of it. `reason` is the first error's code, `errors` has
    (code, message) of each, `data` what was answered all the same."""

    def __init__(self, errors: list[_Error], data: Any) -> None:
        first = errors[0]
        super().__init__(
            first.extensions.code,
            status=first.extensions.status,
            detail=first.message,
            request_id=first.extensions.requestId,
            retry_after_s=first.extensions.retryAfterS,
        )
        self.errors = [(each.extensions.code, each.message) for each in errors]
        self.data = data


def answer_of(content: bytes, kind: Any) -> Any:
    """The data of an answer as `kind`. Raises GraphQLError."""
    answer = msgspec.json.decode(content, type=_Answer)
    if answer.errors:
        raise GraphQLError(answer.errors, msgspec.json.decode(answer.data))
    return msgspec.json.decode(answer.data, type=kind, strict=False)


@dataclass(frozen=True)
class GraphQLCall(Call[T]):
    """One query."""

    def decode(self, content: bytes) -> T:
        """See Call. Raises GraphQLError."""
        found: T = answer_of(content, self.answer)
        return found


def query(text: str, variables: Mapping[str, Any] | None, kind: type[T]) -> GraphQLCall[T]:
    """`POST /graphql`. It only reads, so it may be sent again."""
    body = msgspec.json.encode({"query": text, "variables": dict(variables or {})})
    return GraphQLCall("POST", PATH, kind, {}, body)


# --- subscriptions --------------------------------------------------------------------------------


def subscription_url(url: str) -> str:
    """Where the exchange at this URL takes subscriptions. Raises ValueError."""
    return stream_url(url, PATH)


def subscribe_message(text: str, variables: Mapping[str, Any] | None) -> str:
    """What begins a subscription."""
    payload = {"query": text, "variables": dict(variables or {})}
    message = {"id": OPERATION, "type": "subscribe", "payload": payload}
    return msgspec.json.encode(message).decode()


@dataclass(frozen=True)
class Step:
    """What to do about a message: say something, give `result` to the user, or end."""

    says: str = ""
    has_result: bool = False
    result: Any = None
    ends: bool = False


def step_of(text: str | bytes, kind: Any) -> Step:
    """What a message of the server asks for; `acknowledged` says "" and gives nothing. Raises
    GraphQLError."""
    message = msgspec.json.decode(text, type=_Message)
    if message.type == "ping":
        return Step(says=PONG)
    if message.type == "next":
        return Step(has_result=True, result=answer_of(bytes(message.payload), kind))
    if message.type == "error":
        raise GraphQLError(msgspec.json.decode(message.payload, type=list[_Error]), None)
    return Step(ends=message.type == "complete")


def lost_of(error: Exception) -> CrossbookError:
    """What the end of a connection means."""
    refusal = refusal_of(error)
    if refusal is not None:
        return refusal
    return ConnectionLostError(str(error) or type(error).__name__, sent=False)
