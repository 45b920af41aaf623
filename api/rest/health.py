"""Whether the process lives, and whether the exchange behind it is caught up."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from msgspec import Struct
from starlette.responses import Response

from api.errors import Problem, retry_after
from api.rest.answers import json_response
from api.rest.orders import services_of

router: Final = APIRouter()
SINKS: Final = ("redis", "postgres")


class Live(Struct):
    """The process answers."""

    status: str


class ShardHealth(Struct):
    """How far one shard's log, matcher and read models are, as positions."""

    shard: int
    written: int
    matched: int
    redis: int
    postgres: int


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
    shards: list[ShardHealth] = []
    if services.directory_view.stale:
        behind.append("directory")
    for shard in range(services.settings.shards):
        matched = services.gateway.matched(shard)
        written = services.gateway.written(shard)
        at = {sink: services.progress.at(sink, shard) for sink in SINKS}
        if written - matched > lag_max:
            behind.append(f"matcher of shard {shard}")
        behind += [f"{sink} of shard {shard}" for sink in SINKS if matched - at[sink] > lag_max]
        shards.append(ShardHealth(shard, written, matched, at["redis"], at["postgres"]))
    if behind:
        extra = {"behind": behind, "shards": shards}
        detail = "not caught up: " + ", ".join(behind)
        raise Problem(503, "behind", detail, headers=retry_after(), extra=extra)
    return json_response(Ready("ready", services.directory_view.notification_id, shards))
