"""The limits that all API processes of an exchange share, at next to no cost a request.

A process takes tokens out of the shared bucket in Redis by the lease, a twentieth of a second's
worth at once, and then gives them out by itself: Redis is asked some twenty times a second for one
that asks without pause, and once a second for one that asks now and then. Guarantees: together the
processes never give out more than the bucket holds; tokens of a lease that nobody used within a
second are lost, not saved up. Where Redis does not answer within 50 ms, each process limits by
itself, at the full rate, and tries Redis again a second later: no request is refused or kept
waiting because Redis is away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis.asyncio

from api.metrics import RATE_LIMITED, RATES_SHARED
from api.rates.buckets import BUCKETS_MAX, LocalBuckets
from api.rates.policies import Policy, Verdict
from projections.redis.connections import shared_redis

LEASE: Final = (Path(__file__).parent / "scripts" / "lease.lua").read_text()
KEY_PREFIX: Final = "crossbook:rate:"
LEASES_PER_S: Final = 20
LEASE_S: Final = 1.0
REDIS_WAIT_S: Final = 0.05
REDIS_REST_S: Final = 1.0

log = logging.getLogger("crossbook.api")


@dataclass(slots=True)
class _Lease:
    """What this process may still give out of one shared bucket."""

    tokens: int = 0
    ends_at: float = 0.0
    remaining: int = 0
    # Asking for this many or more before then is in vain.
    refused_from: int = 0
    refused_until: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class RateLimiter:
    """Asks for tokens. Without a Redis the limits are this process's own."""

    def __init__(
        self,
        shared: redis.asyncio.Redis | None = None,
        *,
        redis_wait_s: float = REDIS_WAIT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis_wait_s = redis_wait_s
        self._now = now
        self._local = LocalBuckets(now=now)
        self._redis = shared
        self._script = None if shared is None else shared.register_script(LEASE)
        self._leases: OrderedDict[tuple[str, str], _Lease] = OrderedDict()
        self._redis_away_until = 0.0
        RATES_SHARED.set(0 if shared is None else 1)

    @classmethod
    def over(cls, url: str) -> RateLimiter:
        """With the buckets in this Redis. Connects when it is first asked."""
        return cls(shared_redis(url, answer_s=REDIS_WAIT_S, free_s=REDIS_WAIT_S))

    async def take(self, policy: Policy, name: str, cost: int = 1) -> Verdict:
        """Take `cost` tokens, all or none; `name` is whose bucket. No limit always grants."""
        if policy.per_s == 0 or cost == 0:
            return Verdict(policy, policy.per_s)
        if self._script is None or self._now() < self._redis_away_until:
            verdict = self._local.take(policy, name, cost)
        else:
            verdict = await self._take_leased(policy, name, min(cost, policy.per_s))
        if verdict.wait_s:
            RATE_LIMITED.labels(policy.name).inc()
        return verdict

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    def _lease_of(self, policy: Policy, name: str) -> _Lease:
        key = (policy.name, name)
        lease = self._leases.get(key)
        if lease is None:
            if len(self._leases) >= BUCKETS_MAX:
                self._leases.popitem(last=False)
            lease = self._leases[key] = _Lease()
        else:
            self._leases.move_to_end(key)
        return lease

    async def _take_leased(self, policy: Policy, name: str, cost: int) -> Verdict:
        lease = self._lease_of(policy, name)
        given = self._give(lease, policy, cost)
        if given is not None:
            return given
        async with lease.asking:  # one asks for all who wait
            given = self._give(lease, policy, cost)
            if given is not None:
                return given
            if self._now() < self._redis_away_until:
                return self._local.take(policy, name, cost)
            return await self._renew(lease, policy, name, cost)

    def _give(self, lease: _Lease, policy: Policy, cost: int) -> Verdict | None:
        """Out of the lease, or a refusal that is known; None where Redis must be asked."""
        now = self._now()
        if now >= lease.ends_at:
            lease.tokens = 0
        if lease.tokens >= cost:
            lease.tokens -= cost
            return Verdict(policy, lease.remaining + lease.tokens)
        if now < lease.refused_until and cost >= lease.refused_from:
            return Verdict(policy, lease.remaining + lease.tokens, lease.refused_until - now)
        return None

    async def _renew(self, lease: _Lease, policy: Policy, name: str, cost: int) -> Verdict:
        least = cost - lease.tokens
        wanted = max(least, policy.per_s // LEASES_PER_S)
        try:
            async with asyncio.timeout(self._redis_wait_s):
                assert self._script is not None
                found: list[Any] = await self._script(
                    keys=[f"{KEY_PREFIX}{policy.name}:{name}"], args=[policy.per_s, wanted, least]
                )
        except (redis.RedisError, OSError, TimeoutError) as error:
            self._redis_is_away(error)
            return self._local.take(policy, name, cost)
        RATES_SHARED.set(1)
        granted, lease.remaining, wait_us = (int(part) for part in found)
        now = self._now()
        if granted == 0:
            lease.refused_from, lease.refused_until = cost, now + wait_us / 1e6
            return Verdict(policy, lease.remaining + lease.tokens, wait_us / 1e6)
        lease.tokens += granted - cost
        lease.ends_at = now + LEASE_S
        return Verdict(policy, lease.remaining + lease.tokens)

    def _redis_is_away(self, error: Exception) -> None:
        if self._now() >= self._redis_away_until + REDIS_REST_S:
            log.warning("rate limits are this process's own while Redis is away: %r", error)
        self._redis_away_until = self._now() + REDIS_REST_S
        RATES_SHARED.set(0)
