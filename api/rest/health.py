"""Whether the process lives, and whether the exchange behind it is caught up."""

from __future__ import annotations

import contextlib
from typing import Final

from fastapi import APIRouter, Request
from msgspec import Struct
from starlette.responses import Response

from api.errors import Problem, retry_after
from api.rest.answers import json_response
from api.services import Services, services_of
from projections.read_books import BooksUnavailableError
from projections.read_history import HistoryUnavailableError

router: Final = APIRouter()
STALLED_S_MAX: Final = 3.0


class Live(Struct):
    """The process answers."""

    status: str


class ShardHealth(Struct):
    """How far one shard's log, matcher and read models are, as positions; null: no answer."""

    shard: int
    written: int
    matched: int
    redis: int | None
    postgres: int | None


class Ready(Struct):
    """Everything is caught up."""

    status: str
    directory: int
    shards: list[ShardHealth]


@router.get("/livez")
async def livez() -> Response:
    """200 while the process runs."""
    return json_response(Live("live"))


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 when everything is caught up, else 503 with what is behind."""
    services = services_of(request)
    lag_max = services.settings.lag_batches_max
    behind: list[str] = []
    if services.directory_view.stale:
        behind.append("directory")
    elif services.directory_writes.notification_id < services.directory_view.notification_id:
        # An order for an instrument that a shard has not heard of yet would be refused.
        behind.append("the shards' word of the directory")
    shards = [await _shard_health(services, shard) for shard in range(services.settings.shards)]
    for found in shards:
        stalled = services.gateway.stalled_s(found.shard) > STALLED_S_MAX
        if stalled or found.written - found.matched > lag_max:
            behind.append(f"matcher of shard {found.shard}")
        if found.redis is None or found.matched - found.redis > lag_max:
            behind.append(f"redis of shard {found.shard}")
        if found.postgres is None or found.matched - found.postgres > lag_max:
            behind.append(f"postgres of shard {found.shard}")
    if behind:
        extra = {"behind": behind, "shards": shards}
        detail = "not caught up: " + ", ".join(behind)
        raise Problem(503, "behind", detail, headers=retry_after(), extra=extra)
    return json_response(Ready("ready", services.directory_view.notification_id, shards))


async def _shard_health(services: Services, shard: int) -> ShardHealth:
    """Ask the read models themselves: what their sinks told may be lost, or older than their
    loss."""
    redis: int | None = None
    postgres: int | None = None
    with contextlib.suppress(BooksUnavailableError):
        redis = await services.books.position(shard) or 0
    with contextlib.suppress(HistoryUnavailableError):
        postgres = await services.history.position(shard)
    gateway = services.gateway
    return ShardHealth(shard, gateway.written(shard), gateway.matched(shard), redis, postgres)
