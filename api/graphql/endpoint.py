"""`/graphql`: queries by POST, GraphiQL by a browser's GET, subscriptions over a WebSocket that
speaks `graphql-transport-ws`.

Guarantees: an answer's errors have each a code (`errors`); a key is looked at for each request; a
query by GET is refused, so that nothing can be asked by a link; a page of another origin may not
open a WebSocket; each operation is counted against its key's rate or its address's.
"""

from __future__ import annotations

import json
import logging
import secrets
from datetime import timedelta
from typing import Any, Final

import msgspec
import strawberry
from cross_web import HTTPException
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult

from api.errors import Problem, behind, graphql_response, request_id_of, retry_after
from api.graphql.context import Context
from api.graphql.errors import shown
from api.graphql.live import Live, LiveConnection
from api.graphql.loaders import Loaders
from api.graphql.transport import TransportHandler
from api.keys import key_text_in
from api.rates.enforce import address_of
from api.services import Services
from api.stream.endpoint import HANDSHAKE_STATUS, refuse_handshake
from api.stream.origin import origin_allowed
from api.stream.protocol import StreamError
from api.stream.socket import EXTENSION

# Where GraphiQL's own files cannot be had it leaves for the console (`api.pages`).
GUARD: Final = '<script src="graphql/assets/guard.js"></script>'
INIT_WAIT: Final = timedelta(seconds=5)

# It would log each refused handshake; the answer says it.
logging.getLogger("strawberry.ws").setLevel(logging.ERROR)


class GraphQLEndpoint(GraphQL[Context, None]):
    """The ASGI app of one API process."""

    graphql_transport_ws_handler_class = TransportHandler

    def __init__(self, schema: strawberry.Schema, services: Services, live: Live) -> None:
        super().__init__(
            schema,
            graphql_ide="graphiql",
            allow_queries_via_get=False,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=INIT_WAIT,
            max_subscriptions_per_connection=None,  # `live` counts them
        )
        self._services = services
        self.live = live
        self._graphiql = self.graphql_ide_html.replace("<head>", f"<head>{GUARD}", 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket until it goes."""
        if scope["type"] == "websocket":
            await self._serve(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Problem as problem:
            response = graphql_response(problem, request_id_of(scope))
        except HTTPException as error:
            reason = "no_such_page" if error.status_code == 404 else "malformed_request"
            problem = Problem(error.status_code, reason, error.reason)
            response = graphql_response(problem, request_id_of(scope))
        await response(scope, receive, send)

    # --- HTTP -------------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            if "text/html" not in request.headers.get("accept", ""):
                detail = "queries are sent by POST; a browser that asks for HTML gets GraphiQL"
                raise Problem(405, "method_not_allowed", detail, headers={"Allow": "POST"})
            return HTMLResponse(self._graphiql)
        if "multipart" in request.headers.get("content-type", ""):
            raise Problem(415, "unsupported_media_type", "send application/json")
        context = self._context(request.scope)
        caller = context.caller()  # a key that is sent must be good, whatever is asked
        rates = self._services.rates
        if caller is not None:
            await rates.count(request.scope, rates.key, caller.key_id)
        return await self.run(request, context=context)

    def _context(self, scope: Scope) -> Context:
        return Context(
            services=self._services,
            live=self.live,
            loaders=Loaders(self._services),
            key_text=key_text_in(Headers(scope=scope)),
            request_id=request_id_of(scope),
        )

    async def process_result(
        self, request: Request, result: ExecutionResult
    ) -> GraphQLHTTPResponse:
        """An answer, its errors as `errors` shows them."""
        answer: GraphQLHTTPResponse = {"data": result.data}
        if result.errors:
            request_id = request_id_of(request.scope)
            answer["errors"] = [shown(error, request_id).formatted for error in result.errors]
        return answer

    def encode_json(self, data: object) -> str:
        """Quicker than the library's."""
        return msgspec.json.encode(data).decode()  # text: the protocol has no binary messages

    def decode_json(self, data: str | bytes) -> object:
        """As strict as the rest of the API. Raises JSONDecodeError."""
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise json.JSONDecodeError(str(error), "", 0) from error

    # --- WebSocket --------------------------------------------------------------------------------

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            connection, context = self._enter(scope)
        except Problem as problem:
            await receive()  # websocket.connect
            await refuse_handshake(problem, send)
            return
        with self.live.connected(connection):
            await self.run(WebSocket(scope, receive, send), context=context)

    def _enter(self, scope: Scope) -> tuple[LiveConnection, Context]:
        """Count a client in. Raises Problem where it may not come in."""
        headers = Headers(scope=scope)
        settings = self._services.stream_settings
        if not origin_allowed(headers.get("origin"), headers.get("host"), settings.origins):
            detail = "this origin's pages may not subscribe: see CROSSBOOK_STREAM_ORIGINS"
            raise Problem(403, "origin_not_allowed", detail)
        hub = self._services.hub
        if hub is None or EXTENSION not in scope.get("extensions", {}):
            raise Problem(503, "no_stream", "this server has no stream", headers=retry_after())
        if not hub.ready:
            raise behind("the stream has not caught up with the log yet")
        if GRAPHQL_TRANSPORT_WS_PROTOCOL not in scope["subprotocols"]:
            detail = f"the only subprotocol is {GRAPHQL_TRANSPORT_WS_PROTOCOL}"
            raise Problem(400, "unknown_subprotocol", detail)
        address = scope["client"][0] if scope.get("client") else "unknown"
        connections = self.live.connections
        try:
            connections.enter(address)
        except StreamError as error:
            status = HANDSHAKE_STATUS[error.code]
            raise Problem(status, error.code, error.detail, headers=retry_after()) from error
        connection = LiveConnection(scope["extensions"][EXTENSION]["socket"], connections, address)
        context = self._context(scope)
        context.connection = connection
        context.request_id = secrets.token_hex(16)
        if context.key_text:
            try:
                self.live.authenticate(connection, context.key_text)
            except (Problem, StreamError) as error:
                connection.leave()
                if isinstance(error, Problem):
                    raise
                raise Problem(429, error.code, error.detail, headers=retry_after()) from error
        connection.socket.keep_alive(settings.ping_interval_s, settings.ping_timeout_s, b"")
        return connection, context

    def is_websocket_origin_allowed(self, request: WebSocket, origin: str) -> bool:
        """`_enter` has looked at it."""
        return True

    async def count(self, scope: Any, connection: LiveConnection) -> None:
        """Count one operation of a WebSocket. Raises Problem (429)."""
        rates = self._services.rates
        if connection.key is not None:
            await rates.count(scope, rates.key, connection.key.key_id)
        else:
            await rates.count(scope, rates.address, address_of(scope))
