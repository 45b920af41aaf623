"""Redis connections of a process that serves many at once.

Guarantees: who finds no connection free waits for one. redis-py's own pool refuses there, and a
crowd would spend its time on opening connections. A few are enough: Redis answers one at a time.
"""

from __future__ import annotations

from typing import Final

import redis.asyncio
from redis.asyncio.retry import Retry

CONNECTIONS_MAX: Final = 16


def shared_redis(
    url: str, *, answer_s: float, free_s: float, retry: Retry | None = None
) -> redis.asyncio.Redis:
    """A client for the tasks of one event loop, with CONNECTIONS_MAX connections. `answer_s` bounds
    the wait for an answer, `free_s` for a connection that is free; past either a call raises
    redis.RedisError. Connects when it is first asked.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS_MAX,
        timeout=free_s,
        socket_timeout=answer_s,
        socket_connect_timeout=answer_s,
        retry=retry,
    )
    return redis.asyncio.Redis.from_pool(pool)
