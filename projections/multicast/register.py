"""Where each shard's feed is published: an entry in Redis, which its publisher renews each second
and every API reads.

Guarantees: an entry is gone some seconds after its publisher is; of two publishers of one shard the
one that wrote last is found, and either will do. Writing never raises: without Redis the feed goes
on, and only cannot be found."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from projections.redis.connections import shared_redis
from projections.redis.keys import shard_prefix

log = logging.getLogger(__name__)

LIVES_MS: Final = 5_000
TIMEOUT_S: Final = 2.0


class LineEntry(msgspec.Struct):
    """One line: packets of the shard go to this group and port."""

    name: str
    group: str
    port: int


class PlaceEntry(msgspec.Struct):
    """Where a service answers."""

    host: str
    port: int


class ShardEntry(msgspec.Struct, kw_only=True):
    """One shard's feed. `catch_up` is the publisher's own URL for messages, for APIs."""

    shard: int
    session: str
    position: int
    first_sequence: int
    next_sequence: int
    lines: list[LineEntry]
    rerequest: PlaceEntry
    snapshot: PlaceEntry
    catch_up: str


class FeedUnavailableError(Exception):
    """The register does not answer, or what it holds is not of this release."""


def key_of(shard: int) -> str:
    """The key of a shard's entry."""
    return f"{shard_prefix(shard)}feed"


class FeedEnrolment:
    """The publisher's side. For one thread."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._is_away = False

    def renew(self, entries: Sequence[ShardEntry]) -> None:
        """Write the entries, for some seconds."""
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for entry in entries:
                    pipe.set(key_of(entry.shard), msgspec.json.encode(entry), px=LIVES_MS)
                pipe.execute()
        except redis.RedisError as error:
            if not self._is_away:
                log.warning("the feed cannot be found meanwhile: Redis: %s", error)
            self._is_away = True
            return
        self._is_away = False

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()


class FeedRegister:
    """The API's side."""

    def __init__(self, url: str, shards: int) -> None:
        self._keys = [key_of(shard) for shard in range(shards)]
        self._redis = shared_redis(url, answer_s=TIMEOUT_S, free_s=TIMEOUT_S)

    async def entries(self) -> list[ShardEntry]:
        """The feeds that are published now, by shard. Raises FeedUnavailableError."""
        try:
            found = await self._redis.mget(self._keys)
            return [msgspec.json.decode(each, type=ShardEntry) for each in found if each]
        except (redis.RedisError, msgspec.MsgspecError) as error:
            raise FeedUnavailableError(str(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
