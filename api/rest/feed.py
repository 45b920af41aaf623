"""The multicast feed as the API knows it: where it is published, and what was published before.

Guarantees: messages are the publisher's own bytes; of a shard that nobody publishes now, or a
publisher that does not answer, the client is told so within `ANSWER_S`."""

from __future__ import annotations

from typing import Annotated, Final

import httpx
from fastapi import APIRouter, Path, Query, Request
from msgspec import Struct
from starlette.responses import Response

from api.errors import Problem, retry_after
from api.rest.answers import json_response
from api.rest.parameters import SEQUENCE_MAX, integer
from api.services import FeedPlaces, Services, services_of
from projections.multicast.register import FeedUnavailableError, LineEntry, PlaceEntry, ShardEntry

router: Final = APIRouter()
ANSWER_S: Final = 10.0
SHARD_MAX: Final = 63
COUNT_MAX: Final = 65_534
REFUSALS: Final = {
    404: (404, "unknown_shard", "this shard is not published now"),
    410: (410, "too_old", "this sequence is no longer kept: begin with a snapshot"),
    416: (416, "beyond_the_end", "this sequence is beyond the next one"),
}


class ShardFeed(Struct, kw_only=True):
    """One shard's feed. Everything before `next_sequence` can be asked for, from `first_sequence`
    on; `position` is the last batch of the shard's log that is in it."""

    shard: int
    session: str
    position: str
    first_sequence: str
    next_sequence: str
    lines: list[LineEntry]
    rerequest: PlaceEntry
    snapshot: PlaceEntry
    messages_url: str


class FeedAnswer(Struct):
    """The shards that are published now."""

    shards: list[ShardFeed]


@router.get("/v1/feed")
async def get_feed(request: Request) -> Response:
    """Where the multicast feed of each shard is published."""
    found = await _entries(services_of(request))
    return json_response(FeedAnswer([_shard_feed(entry) for entry in found]))


@router.get("/v1/feed/{shard}/messages")
async def get_feed_messages(
    request: Request,
    shard: Annotated[integer(0, SHARD_MAX), Path(description="A shard's number.")],
    first: Annotated[
        integer(1, SEQUENCE_MAX), Query(alias="from", description="The first message's sequence.")
    ],
    count: Annotated[integer(1, COUNT_MAX), Query(description="Messages at most.")] = 10_000,
) -> Response:
    """Messages that were published before, as one MoldUDP64 block: session 10 bytes, sequence u64,
    count u16, then each message with its length (u16) before it. Fewer than asked for where there
    are no more, or they are over 4 MB; none where `from` is the next sequence."""
    services = services_of(request)
    entry = next((each for each in await _entries(services) if each.shard == shard), None)
    if entry is None:
        raise Problem(*REFUSALS[404])
    answer = await _ask(_places(services), entry, first, count)
    headers = {
        "X-First-Sequence": answer.headers.get("x-first-sequence", str(entry.first_sequence)),
        "X-Next-Sequence": answer.headers.get("x-next-sequence", str(entry.next_sequence)),
    }
    if answer.status_code in REFUSALS:
        raise Problem(*REFUSALS[answer.status_code], headers=headers)
    if answer.status_code != 200:
        raise _unavailable()
    return Response(answer.content, headers=headers, media_type="application/octet-stream")


async def _ask(places: FeedPlaces, entry: ShardEntry, first: int, count: int) -> httpx.Response:
    query = {"shard": entry.shard, "from": first, "count": count}
    try:
        return await places.client.get(entry.catch_up, params=query, timeout=ANSWER_S)
    except httpx.TransportError as error:
        raise _unavailable() from error


async def _entries(services: Services) -> list[ShardEntry]:
    try:
        return await _places(services).register.entries()
    except FeedUnavailableError as error:
        raise _unavailable() from error


def _places(services: Services) -> FeedPlaces:
    if services.feed is None:
        detail = "this exchange publishes no multicast feed"
        raise Problem(503, "no_feed", detail, headers=retry_after())
    return services.feed


def _unavailable() -> Problem:
    detail = "the feed's publisher cannot be asked now; try again"
    return Problem(503, "feed_unavailable", detail, headers=retry_after())


def _shard_feed(entry: ShardEntry) -> ShardFeed:
    return ShardFeed(
        shard=entry.shard,
        session=entry.session,
        position=str(entry.position),
        first_sequence=str(entry.first_sequence),
        next_sequence=str(entry.next_sequence),
        lines=entry.lines,
        rerequest=entry.rerequest,
        snapshot=entry.snapshot,
        messages_url=f"/v1/feed/{entry.shard}/messages",
    )
