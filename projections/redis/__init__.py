"""The books in Redis: their keys, what fills them, and how they are built anew."""

from projections.redis.rebuild import RedisRebuild
from projections.redis.sink import RedisSink

__all__ = ["RedisRebuild", "RedisSink"]
