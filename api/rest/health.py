"""Whether the process lives, and whether the exchange behind it is caught up."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from msgspec import Struct
from starlette.responses import Response

from api.errors import Problem, retry_after
from api.readiness import Readiness, ShardHealth
from api.rest.answers import json_response

router: Final = APIRouter()


class Live(Struct):
    """The process answers."""

    status: str


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
    readiness: Readiness = request.app.state.readiness
    found = await readiness.look()
    if found.behind:
        extra = {"behind": found.behind, "shards": found.shards}
        detail = "not caught up: " + "; ".join(found.behind)
        raise Problem(503, "behind", detail, headers=retry_after(), extra=extra)
    return json_response(Ready("ready", found.directory, found.shards))
