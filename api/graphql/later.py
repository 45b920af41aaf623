"""`/graphql` before it is there: Strawberry and the schema are a quarter of what an API process
loads, and orders need none of it.

Guarantees: the first request or WebSocket waits until the endpoint is made, at most a second or
two on a slow machine, and is then answered as every other; `made` has it made beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from api.later import Once, in_daemon_thread
from api.readiness import Readiness
from api.services import Services
from api.stream.endpoint import Stream

if TYPE_CHECKING:
    import strawberry

    from api.graphql.endpoint import GraphQLEndpoint


class GraphQLLater:
    """The ASGI app of one API process, made when it is first wanted."""

    def __init__(self, services: Services, readiness: Readiness, stream: Stream) -> None:
        self._services = services
        self._readiness = readiness
        self._stream = stream
        self._endpoint = Once(self._make, "GraphQL")

    async def made(self) -> GraphQLEndpoint:
        """The endpoint. Raises what importing it raised."""
        return await self._endpoint.made()

    async def _make(self) -> GraphQLEndpoint:
        schema = await in_daemon_thread(self._load, "GraphQL")
        from api.graphql.endpoint import GraphQLEndpoint
        from api.graphql.live import Live

        settings = self._services.graphql_settings
        live = Live(self._services, self._readiness, self._stream, settings)
        return GraphQLEndpoint(schema, self._services, live)

    def _load(self) -> strawberry.Schema:
        import api.graphql.endpoint
        import api.graphql.live  # noqa: F401 - loaded here, so that the loop need not
        from api.graphql.schema import build_schema

        return build_schema(self._services.graphql_settings.limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        await (await self.made())(scope, receive, send)
