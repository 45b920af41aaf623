"""What may be asked how often, and how an answer tells it.

A policy is a token bucket: `per_s` tokens flow in a second and as many fit in, so a quiet second is
saved up. The header fields are those of the IETF's draft "RateLimit header fields for HTTP"
(draft-ietf-httpapi-ratelimit-headers, 10): `RateLimit-Policy` says the quota `q` of a window of `w`
seconds, `RateLimit` what remains (`r`) and in how many seconds all of it is back (`t`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

WINDOW_S: Final = 1


@dataclass(frozen=True)
class Policy:
    """`per_s` tokens a second; 0 is no limit. `what` completes "at most 5 …" for who is refused."""

    name: str
    per_s: int
    what: str

    @cached_property
    def header(self) -> str:
        """Its item of `RateLimit-Policy`."""
        return f'"{self.name}";q={self.per_s};w={WINDOW_S}'


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of asking for tokens: granted where `wait_s` is 0, else to be asked again then.

    `remaining` is what is left, as far as this process knows.
    """

    policy: Policy
    remaining: int
    wait_s: float = 0.0

    @property
    def header(self) -> str:
        """Its item of `RateLimit`."""
        lacking = max(0, self.policy.per_s - self.remaining)
        return f'"{self.policy.name}";r={self.remaining};t={math.ceil(lacking / self.policy.per_s)}'


def rate_headers(verdicts: Iterable[Verdict]) -> list[tuple[bytes, bytes]]:
    """The two header fields of an answer that these verdicts were asked for."""
    found = list(verdicts)
    policies = ", ".join(verdict.policy.header for verdict in found)
    left = ", ".join(verdict.header for verdict in found)
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", left.encode())]
