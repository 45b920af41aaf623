"""What one client of `/v1/stream` may ask for, and how many may be there.

Guarantees: what is counted is given back when the connection ends, however it ends; no table here
grows beyond the connections that are open.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from api.stream.protocol import StreamError

REFUSALS_IN_A_ROW_MAX: Final = 100


@dataclass(frozen=True)
class StreamSettings:
    """The settings of the stream; the composition root takes them from its own (docs/settings.md
    says what each is)."""

    origins: tuple[str, ...] = ()
    subscriptions_max: int = 1_000
    message_bytes_max: int = 65_536
    messages_per_s_max: int = 50
    connections_max: int = 10_000
    connections_per_key_max: int = 100
    connections_per_address_max: int = 2_000
    heartbeat_ms: int = 5_000
    silent_ms_max: int = 4_500

    @property
    def heartbeat_s(self) -> float:
        """Time between two heartbeats."""
        return self.heartbeat_ms / 1_000

    @property
    def ping_interval_s(self) -> float:
        """Time between an answered ping and the next."""
        return self.silent_ms_max / 3_000

    @property
    def ping_timeout_s(self) -> float:
        """How long an answer to a ping may take; with the interval it is `silent_ms_max`."""
        return self.silent_ms_max / 1_500


class MessageRate:
    """A token bucket: `per_s` messages a second, as many at once."""

    def __init__(self, per_s: int, now: Callable[[], float] = time.monotonic) -> None:
        assert per_s > 0
        self._per_s = per_s
        self._now = now
        self._tokens = float(per_s)
        self._filled_at = now()
        self.refusals_in_a_row = 0

    def take(self) -> None:
        """Count one message. Raises StreamError where it is one too many; one that ends the
        connection where the client does not heed it."""
        now = self._now()
        gained = (now - self._filled_at) * self._per_s
        self._tokens = min(float(self._per_s), self._tokens + gained)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            self.refusals_in_a_row = 0
            return
        self.refusals_in_a_row += 1
        raise StreamError(
            "rate_limited",
            f"at most {self._per_s} messages a second: this one was not heeded, wait and send it "
            "again",
            closes=self.refusals_in_a_row > REFUSALS_IN_A_ROW_MAX,
        )


@dataclass
class Connections:
    """How many connections there are, by address and by key."""

    settings: StreamSettings
    open: int = 0
    by_address: Counter[str] = field(default_factory=Counter)
    by_key: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> None:
        """Count a connection in. Raises StreamError where it is one too many."""
        if self.open >= self.settings.connections_max:
            raise StreamError("too_many_connections", "no more connections are taken; try later")
        if self.by_address[address] >= self.settings.connections_per_address_max:
            most = self.settings.connections_per_address_max
            detail = f"at most {most} connections from one address: close others first"
            raise StreamError("too_many_connections", detail)
        self.open += 1
        self.by_address[address] += 1

    def leave(self, address: str) -> None:
        """Count a connection out."""
        assert self.open > 0
        self.open -= 1
        _less(self.by_address, address)

    def enter_key(self, key_id: str) -> None:
        """Count a connection in under its key. Raises StreamError where it is one too many."""
        if self.by_key[key_id] >= self.settings.connections_per_key_max:
            most = self.settings.connections_per_key_max
            detail = f"at most {most} connections with one key: close others first"
            raise StreamError("too_many_connections", detail)
        self.by_key[key_id] += 1

    def leave_key(self, key_id: str) -> None:
        """Count a connection out under its key."""
        _less(self.by_key, key_id)


def _less(counted: Counter[str], name: str) -> None:
    assert counted[name] > 0
    counted[name] -= 1
    if not counted[name]:
        del counted[name]
