"""The REST application: routes, middleware and error answers around the services it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from starlette.routing import Route, WebSocketRoute

from api.errors import install_error_handlers
from api.graphql.endpoint import PATH as GRAPHQL_PATH
from api.graphql.endpoint import GraphQLEndpoint
from api.graphql.schema import build_schema
from api.metrics import metrics_route, own_page
from api.middleware import BodyLimitMiddleware, RequestIdMiddleware
from api.readiness import Readiness
from api.rest import admin, batch, health, market, orders
from api.rest.openapi import install_openapi
from api.services import Services
from api.stream.asyncapi import ASYNCAPI_PATH, asyncapi
from api.stream.endpoint import PATH as STREAM_PATH
from api.stream.endpoint import Stream, upgrade_required

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

DESCRIPTION = """Order entry, market data and administration of a Crossbook exchange.

Prices are decimal strings with 4 decimals, ids and sequences strings. Every write answers its
`position`; every read takes `min_position`, so that a client reads its own writes. Every error is
`application/problem+json` with a `reason`.
"""


def create_app(
    services: Services,
    *,
    lifespan: Lifespan | None = None,
    metrics_page: Callable[[], Awaitable[bytes]] = own_page,
) -> FastAPI:
    """The app of one API process. `lifespan` starts and stops what runs beside it; whoever serves
    the app runs `app.state.readiness.run()` and `app.state.stream.run()`. `metrics_page` makes what
    `/metrics` shows.
    """
    app = FastAPI(
        title="Crossbook",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.readiness = Readiness(
        services.gateway,
        {"redis": services.books, "postgres": services.history},
        services.directory_view,
        services.directory_writes,
        shards=services.settings.shards,
        lag_batches_max=services.settings.lag_batches_max,
    )
    for module in (batch, orders, market, admin, health):
        # Flat, not included: a request then walks one table of routes, in this order.
        app.router.routes.extend(module.router.routes)
    stream = Stream(services.directory_view, services.hub, services.stream_settings)
    app.state.stream = stream
    app.router.routes.append(WebSocketRoute(STREAM_PATH, stream))
    app.router.routes.append(Route(STREAM_PATH, upgrade_required, include_in_schema=False))
    app.router.routes.append(Route(ASYNCAPI_PATH, asyncapi, include_in_schema=False))
    graphql = GraphQLEndpoint(build_schema(), services)
    app.router.routes.append(Route(GRAPHQL_PATH, graphql, include_in_schema=False))
    app.router.routes.append(WebSocketRoute(GRAPHQL_PATH, graphql))
    app.router.routes.append(metrics_route(metrics_page))
    install_error_handlers(app)
    # The last one added is the outermost: every answer has its request id, also one of 413.
    app.add_middleware(BodyLimitMiddleware, bytes_max=services.settings.body_bytes_max)
    app.add_middleware(RequestIdMiddleware)
    install_openapi(app)
    return app
