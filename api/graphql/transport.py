"""`graphql-transport-ws` (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md), as the
library speaks it, with what an open server needs beside it.

Guarantees: a message that is none of the protocol's ends the connection with 4400 and harms nobody
else; messages are counted; a key may come with `connection_init`, is checked before the connection
is acknowledged, and a bad one ends it with 4401; a refused operation is told so and ends alone.
"""

from __future__ import annotations

from typing import Any, Final, cast

from graphql import GraphQLError
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    SubscribeMessage,
)

from api.errors import Problem, problem_extensions
from api.graphql.context import Context
from api.graphql.live import TOO_MANY, UNAUTHORIZED
from api.stream.protocol import StreamError

MALFORMED: Final = 4400
ID_LENGTH_MAX: Final = 64
KEY_NAMES: Final = ("authorization", "x-api-key", "apikey", "api_key")


class TransportHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One connection."""

    async def handle_message(self, message: Any) -> None:
        """One message of the client."""
        connection = self.context.connection
        assert connection is not None
        try:
            connection.rate.take()
        except StreamError as error:
            if error.closes:
                await self.websocket.close(TOO_MANY, error.code)
            elif isinstance(message, dict) and message.get("type") == "subscribe":
                problem = Problem(429, error.code, error.detail)
                await self._refuse(str(message.get("id"))[:ID_LENGTH_MAX], problem)
            return
        fault = _fault(message)
        if fault:
            await self.websocket.close(MALFORMED, fault)
            return
        await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Take the key that may come with it."""
        payload = message.get("payload")
        text = _key_in(payload if isinstance(payload, dict) else {})
        connection = self.context.connection
        assert connection is not None
        if text and connection.key is None and not self.connection_init_received:
            try:
                self.context.live.authenticate(connection, text)
            except (Problem, StreamError) as error:
                reason = error.reason if isinstance(error, Problem) else error.code
                await self.websocket.close(UNAUTHORIZED, reason)
                return
            self.context.key_text = text
        await super().handle_connection_init(message)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Begin an operation, where its rate allows."""
        if self.connection_acknowledged and message["id"] not in self.operations:
            view, connection = cast(Any, self.view), self.context.connection
            if len(self.operations) >= self.context.live.settings.subscriptions_max:
                most = self.context.live.settings.subscriptions_max
                detail = f"at most {most} operations at once on a connection: end others"
                await self._refuse(message["id"], Problem(429, "too_many_subscriptions", detail))
                return
            try:
                await view.count(cast(Any, self.websocket).ws.scope, connection)
            except Problem as problem:
                await self._refuse(message["id"], problem)
                return
        await super().handle_subscribe(message)

    async def _refuse(self, operation_id: str, problem: Problem) -> None:
        error = GraphQLError(problem.detail, extensions=problem_extensions(problem))
        await self.send_message({"id": operation_id, "type": "error", "payload": [error.formatted]})


def _fault(message: Any) -> str:
    """What is wrong with a message's form; empty where nothing is. A close reason: short."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return "a message is an object with a type"
    if message["type"] not in ("subscribe", "complete"):
        return ""
    name = message.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= ID_LENGTH_MAX:
        return f"id is a string of 1 to {ID_LENGTH_MAX} characters"
    if message["type"] == "complete":
        return ""
    payload = message.get("payload")
    if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
        return "payload is an object with a query"
    if not isinstance(payload.get("variables") or {}, dict):
        return "variables are an object"
    if not isinstance(payload.get("operationName") or "", str):
        return "operationName is a string"
    return ""


def _key_in(payload: dict[str, Any]) -> str:
    """The key that `connection_init` brings, as a header would."""
    headers = payload.get("headers")
    for sent in (payload, headers if isinstance(headers, dict) else {}):
        for name, value in sent.items():
            if name.lower() in KEY_NAMES and isinstance(value, str):
                scheme, _, rest = value.partition(" ")
                return rest.strip() if scheme.lower() == "bearer" and rest else value.strip()
    return ""
