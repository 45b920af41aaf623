"""Prometheus metrics of the HTTP side, and `GET /metrics`, which shows those of the whole process.

Guarantees: what a label may hold is bounded (route templates, methods, statuses, reasons, shards:
never a path, an account or an id); a request costs a few microseconds, a command that is not
refused nothing. Metrics register with prometheus_client's default registry once, on import."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from commands.metrics import LATENCY_BUCKETS_S

METRICS_PATH: Final = "/metrics"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN_ROUTE: Final = "none"

HTTP_REQUESTS: Final = Counter(
    "crossbook_http_requests",
    "HTTP requests answered, by route template",
    ["method", "route", "status"],
)
HTTP_SECONDS: Final = Histogram(
    "crossbook_http_request_seconds",
    "Time from a request's head to its answer's end",
    ["method", "route"],
    buckets=LATENCY_BUCKETS_S,
)
HTTP_IN_FLIGHT: Final = Gauge(
    "crossbook_http_in_flight_requests", "HTTP requests that are being answered"
)
OUTCOME_SECONDS: Final = Histogram(
    "crossbook_outcome_seconds",
    "From handing a request's commands to the gateway to knowing what they came to",
    ["shard"],
    buckets=LATENCY_BUCKETS_S,
)
REJECTS: Final = Counter(
    "crossbook_rejects",
    "Commands refused, by whom (gateway, engine) and reason code, as answered to clients",
    ["by", "reason"],
)
RATE_LIMITED: Final = Counter(
    "crossbook_rate_limited", "Requests refused (429) for coming too often, by policy", ["policy"]
)
RATES_SHARED: Final = Gauge(
    "crossbook_rate_limit_redis_up",
    "1 while the API processes share their rate limits through Redis, 0 while each has its own",
)
STREAM_CONNECTIONS: Final = Gauge(
    "crossbook_stream_connections", "WebSockets of /v1/stream that are open"
)
STREAM_WAITING_BYTES: Final = Gauge(
    "crossbook_stream_waiting_bytes_max",
    "Most bytes that waited to be sent to one client of /v1/stream, in the last quarter second",
)
STREAM_CONFLATED: Final = Counter(
    "crossbook_stream_conflated", "Snapshots in place of what a client was too slow for"
)
STREAM_CUT_OFF: Final = Counter(
    "crossbook_stream_cut_off", "Connections of /v1/stream that were ended, by error code", ["code"]
)
READY: Final = Gauge("crossbook_ready", "1 while /readyz answers 200")
LAG: Final = Gauge(
    "crossbook_lag_batches",
    "Batches that a stage is behind the one before it; no sample while its store does not answer",
    ["stage", "shard"],
)

_requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
_rejects: dict[tuple[str, str], Counter] = {}
_outcomes: dict[int, Histogram] = {}


def answered(scope: Any, status: int, seconds: float) -> None:
    """One request was answered; `scope` is its ASGI scope, after routing."""
    method = scope["method"] if scope["method"] in METHODS else "other"
    route = getattr(scope.get("route"), "path", None) or UNKNOWN_ROUTE
    key = (method, route, status)
    found = _requests.get(key)
    if found is None:
        found = (
            HTTP_REQUESTS.labels(method, route, str(status)),
            HTTP_SECONDS.labels(method, route),
        )
        _requests[key] = found
    found[0].inc()
    found[1].observe(seconds)


def rejected(by: str, reason: str) -> None:
    """One command was refused; `by` is gateway or engine."""
    counter = _rejects.get((by, reason))
    if counter is None:
        counter = _rejects[by, reason] = REJECTS.labels(by, reason)
    counter.inc()


def outcome_known(shard: int, seconds: float) -> None:
    """A request's commands were written and matched within `seconds`."""
    histogram = _outcomes.get(shard)
    if histogram is None:
        histogram = _outcomes[shard] = OUTCOME_SECONDS.labels(str(shard))
    histogram.observe(seconds)


def lagging(stage: str, shard: int, batches: int | None) -> None:
    """How far a stage (matcher, redis, postgres) is behind; None where that is not known."""
    if batches is None:
        LAG.remove(stage, str(shard))
    else:
        LAG.labels(stage, str(shard)).set(batches)


async def own_page() -> bytes:
    """The metrics of this process, in Prometheus's text format 0.0.4."""
    return generate_latest(REGISTRY)


def metrics_route(page: Callable[[], Awaitable[bytes]]) -> Route:
    """`GET /metrics`. Not part of the API proper, so it is in no OpenAPI document."""

    async def metrics(_request: Request) -> Response:
        return Response(await page(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    return Route(METRICS_PATH, metrics, methods=["GET"], include_in_schema=False)
