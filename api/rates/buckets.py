"""Token buckets of this process alone: what limits where Redis is not asked, or does not answer.

Guarantees: a bucket never gives out more than `per_s` tokens and what flowed in since; the table is
bounded: of too many buckets, the one that was asked longest ago is forgotten, and is full again
when it is next asked.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from api.rates.policies import Policy, Verdict

BUCKETS_MAX: Final = 65_536
ROUNDING: Final = 1e-6  # of a token: what flowed in is a sum of fractions


class LocalBuckets:
    """Buckets by policy and name. Not for threads."""

    def __init__(
        self, buckets_max: int = BUCKETS_MAX, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._buckets_max = buckets_max
        self._now = now
        # (policy, name) to (tokens, when they were counted)
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, policy: Policy, name: str, cost: int) -> Verdict:
        """Take `cost` tokens, all or none of them. A cost above the whole bucket asks for all of
        it."""
        assert policy.per_s > 0 and cost > 0
        now = self._now()
        full = float(policy.per_s)
        asked = min(float(cost), full)
        key = (policy.name, name)
        found = self._buckets.get(key)
        tokens = full
        if found is None:
            if len(self._buckets) >= self._buckets_max:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
            tokens = min(full, found[0] + (now - found[1]) * policy.per_s)
        wait_s = 0.0
        if tokens >= asked - ROUNDING:
            tokens = max(0.0, tokens - asked)
        else:
            wait_s = (asked - tokens) / policy.per_s
        self._buckets[key] = (tokens, now)
        return Verdict(policy, int(tokens), wait_s)
