"""`/graphql`: queries by POST, GraphiQL by a browser's GET.

Guarantees: an answer's errors have each a code (`errors`); a key is looked at for each request; a
query by GET is refused, so that nothing can be asked by a link.
"""

from __future__ import annotations

from typing import Final

import msgspec
import strawberry
from cross_web import HTTPException
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult

from api.errors import Problem, request_id_of
from api.graphql.context import Context
from api.graphql.errors import problem_extensions, shown
from api.graphql.loaders import Loaders
from api.keys import key_text_in
from api.services import Services

PATH: Final = "/graphql"


def error_response(problem: Problem) -> Response:
    """A refusal of a whole request, in the shape of an answer."""
    error = {"message": problem.detail, "extensions": problem_extensions(problem)}
    return Response(
        msgspec.json.encode({"data": None, "errors": [error]}),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/json",
    )


class GraphQLEndpoint(GraphQL[Context, None]):
    """The ASGI app of one API process."""

    def __init__(self, schema: strawberry.Schema, services: Services) -> None:
        super().__init__(
            schema,
            graphql_ide="graphiql",
            allow_queries_via_get=False,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
        )
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket until it goes."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Problem as problem:
            response = error_response(problem)
        except HTTPException as error:
            reason = "no_such_page" if error.status_code == 404 else "malformed_request"
            response = error_response(Problem(error.status_code, reason, error.reason))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "GET":
            if "text/html" not in request.headers.get("accept", ""):
                detail = "queries are sent by POST; a browser that asks for HTML gets GraphiQL"
                raise Problem(405, "method_not_allowed", detail, headers={"Allow": "POST"})
            return await self.render_graphql_ide(request)
        context = await self.get_context(request, response=Response())
        context.caller()  # a key that is sent must be good, whatever is asked
        return await self.run(request, context=context)

    async def get_context(
        self, request: Request | WebSocket, response: Response | WebSocket
    ) -> Context:
        """Of one request."""
        return Context(
            services=self._services,
            loaders=Loaders(self._services),
            key_text=key_text_in(Headers(scope=request.scope)),
            request_id=request_id_of(request.scope),
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

    def encode_json(self, data: object) -> str | bytes:
        """Quicker than the library's."""
        return msgspec.json.encode(data)
