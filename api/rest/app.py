"""The REST application: routes, middleware and error answers around the services it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, WebSocketRoute

from api.errors import GRAPHQL_PATH, install_error_handlers
from api.graphql.later import GraphQLLater
from api.heads import HeadLimitMiddleware, SecurityHeadersMiddleware
from api.metrics import metrics_route, own_page
from api.middleware import BodyLimitMiddleware, RequestIdMiddleware
from api.pages import page_routes
from api.rates.enforce import RateMiddleware
from api.readiness import Readiness
from api.rest import admin, analytics, audit, batch, feed, health, market, orders
from api.rest.openapi import install_openapi
from api.services import Services
from api.stream.asyncapi import ASYNCAPI_PATH, asyncapi
from api.stream.endpoint import PATH as STREAM_PATH
from api.stream.endpoint import Stream, upgrade_required

# What pages of other origins, where they are let in at all, may send and read.
CORS_ALLOWED: Final = (
    "Authorization",
    "Content-Type",
    "If-None-Match",
    "Prefer",
    "X-API-Key",
    "X-Request-ID",
)
CORS_EXPOSED: Final = (
    "ETag",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
)
CORS_AGE_S: Final = 600

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
        docs_url=None,  # `api.pages` has it
        redoc_url=None,
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
    for module in (batch, orders, market, analytics, feed, admin, audit, health):
        # Flat, not included: a request then walks one table of routes, in this order.
        app.router.routes.extend(module.router.routes)
    stream = Stream(services.directory_view, services.hub, services.stream_settings)
    app.state.stream = stream
    app.router.routes.append(WebSocketRoute(STREAM_PATH, stream))
    app.router.routes.append(Route(STREAM_PATH, upgrade_required, include_in_schema=False))
    app.router.routes.append(Route(ASYNCAPI_PATH, asyncapi, include_in_schema=False))
    graphql = GraphQLLater(services, app.state.readiness, stream)
    app.state.graphql = graphql
    app.router.routes.append(Route(GRAPHQL_PATH, graphql, include_in_schema=False))
    app.router.routes.append(WebSocketRoute(GRAPHQL_PATH, graphql))
    app.router.routes.extend(page_routes(app.title))
    app.router.routes.append(metrics_route(metrics_page))
    install_error_handlers(app)
    add_middleware(app, services)
    install_openapi(app)
    return app


def add_middleware(app: FastAPI, services: Services) -> None:
    """What stands before the routes. The last one added is the outermost: every answer has its
    request id and guards, also one of 413 or 429."""
    app.add_middleware(BodyLimitMiddleware, bytes_max=services.settings.body_bytes_max)
    app.add_middleware(RateMiddleware, rates=services.rates)
    app.add_middleware(HeadLimitMiddleware)
    if services.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=services.settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=CORS_ALLOWED,
            expose_headers=CORS_EXPOSED,
            max_age=CORS_AGE_S,
        )
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(RequestIdMiddleware)
