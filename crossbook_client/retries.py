"""When a request may be sent again, and when to give up.

Guarantees: a write is sent again only if it cannot have been written (`not_written`, `behind`, a
limit, a refused connection), or if sending it twice has the effect of sending it once: reads, and
writes whose orders have client order ids.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from crossbook_client.errors import ApiError, ConnectionLostError, CrossbookError

NEVER_WRITTEN = frozenset({"not_written", "behind", "directory_stale"})


@dataclass(frozen=True)
class Retries:
    """Send again for at most `total_s` seconds (0: never), pausing between `first_s` and `most_s`.

    An answer's Retry-After, where it is longer, is obeyed.
    """

    total_s: float = 15.0
    first_s: float = 0.05
    most_s: float = 2.0

    def pause_s(self, attempt: int, error: CrossbookError) -> float:
        """How long to wait before attempt number `attempt` (from 1)."""
        pause: float = min(self.most_s, self.first_s * 2 ** min(attempt - 1, 16))
        pause *= 0.5 + random.random() / 2  # so that clients cut off together come back apart
        asked = error.retry_after_s if isinstance(error, ApiError) else 0.0
        return max(pause, asked)


def may_repeat(error: CrossbookError, *, repeatable: bool) -> bool:
    """Whether a request that ended so may be sent again.

    `repeatable`: doing it twice is doing it once.
    """
    if isinstance(error, ConnectionLostError):
        return repeatable or not error.sent
    if not isinstance(error, ApiError):
        return False
    if error.status == 429 or (error.status == 503 and error.reason in NEVER_WRITTEN):
        return True
    return repeatable and error.status in (502, 503, 504)
