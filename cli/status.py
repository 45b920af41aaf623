"""`crossbook status`: what runs, how far each part is, and how fast it goes.

Rates are rows that PostgreSQL committed between two looks, so they are of the whole exchange.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

import httpx
import psycopg

from cli.run_state import ExchangeState, RunFolder

ROLES = ("api", "matching", "projections")
MULTICAST = "multicast"
SIMULATOR = "simulator"
LOOK_S = 2.0
ROWS = """
SELECT relname, n_tup_ins FROM pg_stat_user_tables
WHERE schemaname = 'history' AND relname IN ('orders', 'trades')
"""


@dataclass(frozen=True)
class ShardStatus:
    """Positions of one shard: what is written, matched, applied by each read model, and published
    by the multicast feed (None: by nobody now).
    """

    shard: int
    written: int
    matched: int
    redis: int | None
    postgres: int | None
    multicast: int | None = None


@dataclass(frozen=True)
class Status:
    """The whole answer. `pids` has None for a role that does not run."""

    url: str
    uptime_s: float
    ready: bool
    trouble: str
    pids: dict[str, int | None]
    shards: list[ShardStatus]
    rows_per_second: dict[str, float]

    @property
    def healthy(self) -> bool:
        """Whether every role runs and the exchange is caught up."""
        needed = [pid for role, pid in self.pids.items() if role != SIMULATOR]
        return self.ready and all(pid is not None for pid in needed)

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps({**asdict(self), "healthy": self.healthy})


def collect(folder: RunFolder) -> Status:
    """Look at the running exchange for two seconds. Raises NotRunningError."""
    state = folder.running()
    before, began = _rows(state), time.monotonic()
    ready, trouble, shards = _readiness(state)
    # A cluster of `crossbook cluster up` is of other processes, each of which is in its state.
    roles = ROLES if set(ROLES) & set(state.roles) else ()
    pids: dict[str, int | None] = dict.fromkeys(roles)
    published = feed_positions(state.url)
    if published is not None:
        if roles:
            pids[MULTICAST] = None
        shards = [replace(each, multicast=published.get(each.shard)) for each in shards]
    for name, mark in state.roles.items():
        pids[name] = mark.pid if mark.process() is not None else None
    rates: dict[str, float] = {}
    if before:
        time.sleep(max(0.0, LOOK_S - (time.monotonic() - began)))
        after, elapsed = _rows(state), time.monotonic() - began
        rates = {name: max(0, after.get(name, 0) - before[name]) / elapsed for name in before}
    uptime = time.time() - state.started_at
    return Status(state.url, uptime, ready, trouble, pids, shards, rates)


def _readiness(state: ExchangeState) -> tuple[bool, str, list[ShardStatus]]:
    try:
        answer = httpx.get(f"{state.url}/readyz", timeout=5.0, trust_env=False)
        body: dict[str, Any] = answer.json()
    except (httpx.TransportError, ValueError) as error:
        return False, f"the API does not answer: {error}", []
    shards = [ShardStatus(**shard) for shard in body.get("shards", [])]
    ready = answer.status_code == 200
    return ready, "" if ready else str(body.get("detail", answer.status_code)), shards


def feed_positions(url: str) -> dict[int, int] | None:
    """How far the multicast feed of each shard is, as an API says; None where there is no feed, or
    nobody says.
    """
    try:
        answer = httpx.get(f"{url}/v1/feed", timeout=5.0, trust_env=False)
        body: dict[str, Any] = answer.json()
    except (httpx.TransportError, ValueError):
        return None
    if answer.status_code != 200:
        return None if body.get("reason") == "no_feed" else {}
    return {int(each["shard"]): int(each["position"]) for each in body["shards"]}


def _rows(state: ExchangeState) -> dict[str, int]:
    """Rows inserted so far by table; none where PostgreSQL does not answer."""
    try:
        with psycopg.connect(state.postgres_dsn, connect_timeout=2) as connection:
            return {str(name): int(count) for name, count in connection.execute(ROWS)}
    except psycopg.Error:
        return {}


def lines_of(status: Status) -> list[str]:
    """The status as it is printed."""
    verdict = "ready" if status.healthy else f"NOT READY: {status.trouble or 'a role is down'}"
    lines = [
        f"exchange  {status.url}  up {duration(status.uptime_s)}  {verdict}",
        "roles     " + "  ".join(f"{name} {pid or 'DOWN'}" for name, pid in status.pids.items()),
    ]
    for shard in status.shards:
        lines.append(
            f"shard {shard.shard:<3} log {shard.written:,}  "
            f"matched {lag(shard.matched, shard.written)}  "
            f"redis {lag(shard.redis, shard.matched)}  "
            f"postgres {lag(shard.postgres, shard.matched)}"
            f"{feed_lag(status.pids, shard)}"
        )
    if status.rows_per_second:
        rates = status.rows_per_second
        orders, trades = rates.get("orders", 0.0), rates.get("trades", 0.0)
        lines.append(f"rates     {orders:,.1f} orders/s  {trades:,.1f} trades/s")
    return lines


def feed_lag(parts: Collection[str], shard: ShardStatus) -> str:
    """The feed's position, where something of this exchange publishes one."""
    if not any(name.startswith(MULTICAST) for name in parts):
        return ""
    return f"  multicast {lag(shard.multicast, shard.matched)}"


def lag(position: int | None, ahead: int) -> str:
    """A position and how many batches it is behind; None: its store does not answer."""
    if position is None:
        return "?"
    return f"{position:,}" + (f" ({ahead - position:,} behind)" if ahead > position else "")


def duration(seconds: float) -> str:
    """Seconds in words."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
