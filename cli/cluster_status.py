"""`crossbook cluster status`: every process with its pid and port, and how far each shard is."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import httpx

from cli.cluster import ClusterFolder, ClusterState
from cli.run_state import NotRunningError
from cli.servers import EmbeddedPostgres, EmbeddedRedis, KafkaServer
from cli.servers.own import OwnServer
from cli.settings import Settings
from cli.status import ShardStatus, duration, feed_lag, feed_positions, lag

ANSWER_WAIT_S = 5.0
# What a kind of process is behind with, by shard.
BEHIND = {
    "matching": lambda shard: shard.written - shard.matched,
    "redis": lambda shard: shard.matched - (shard.redis or 0),
    "postgres": lambda shard: shard.matched - (shard.postgres or 0),
    "multicast": lambda shard: shard.matched - (shard.multicast or 0),
}


@dataclass(frozen=True)
class PartStatus:
    """One process or server of ours. `lag_batches` is its kind's, over all shards; None where the
    kind has none or nobody could say."""

    name: str
    pid: int | None
    address: str
    lag_batches: int | None
    restarts: int


@dataclass(frozen=True)
class ClusterStatus:
    """The whole answer."""

    ready: bool
    trouble: str
    uptime_s: float
    parts: list[PartStatus]
    shards: list[ShardStatus]

    @property
    def healthy(self) -> bool:
        """Whether every part runs and an API says that the exchange is caught up."""
        return self.ready and all(part.pid is not None for part in self.parts)

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps({**asdict(self), "healthy": self.healthy})


def own_servers(settings: Settings, folder: ClusterFolder) -> list[OwnServer]:
    """The servers of our own that this folder may have, running or not."""
    data, run_dir = folder.data_dir, settings.model_copy(update={"data_dir": folder.data_dir})
    servers: list[OwnServer] = []
    if (data / "kafka").exists() and settings.kafka_bootstrap_servers is None:
        servers.append(KafkaServer(data / "kafka"))
    if (data / "redis").exists() and settings.redis_url is None:
        servers.append(EmbeddedRedis(data / "redis", run_dir.run_dir))
    if (data / "postgres").exists() and settings.postgres_dsn is None:
        servers.append(EmbeddedPostgres(data / "postgres", run_dir.run_dir, rebuildable=False))
    return servers


def collect(settings: Settings, folder: ClusterFolder) -> ClusterStatus:
    """Look at the running cluster. Raises NotRunningError."""
    state, exchange = folder.read_cluster(), folder.read_state()
    if folder.supervisor() is None or state is None or exchange is None:
        raise NotRunningError(
            f"no cluster runs on {folder.data_dir}; start one with `crossbook cluster up`"
        )
    ready, trouble, shards = readiness(state)
    parts = [
        PartStatus(server.name, server.pid, _address(server, state), None, 0)
        for server in own_servers(settings, folder)
    ]
    for part in state.topology.parts():
        mark = exchange.roles.get(part.name)
        pid = mark.pid if mark is not None and mark.process() is not None else None
        metrics = state.metrics_ports.get(part.name)
        address = state.apis.get(part.name) or (f"127.0.0.1:{metrics}" if metrics else "")
        behind = _behind(part.kind, shards)
        parts.append(PartStatus(part.name, pid, address, behind, state.restarts.get(part.name, 0)))
    uptime = time.time() - exchange.started_at
    return ClusterStatus(ready and state.ready, trouble, uptime, parts, shards)


def _address(server: OwnServer, state: ClusterState) -> str:
    return {"kafka": state.kafka, "redis": state.redis, "postgres": state.postgres}[server.name]


def _behind(kind: str, shards: list[ShardStatus]) -> int | None:
    if kind not in BEHIND or not shards:
        return None
    return sum(max(0, BEHIND[kind](shard)) for shard in shards)


def readiness(state: ClusterState) -> tuple[bool, str, list[ShardStatus]]:
    """Whether every API is ready, what one of them said otherwise, and the shards as the first
    that answers sees them."""
    trouble = ""
    found: list[ShardStatus] = []
    for name, url in state.apis.items():
        try:
            answer = httpx.get(f"{url}/readyz", timeout=ANSWER_WAIT_S, trust_env=False)
            body: dict[str, Any] = answer.json()
        except (httpx.TransportError, ValueError) as error:
            trouble = trouble or f"{name} does not answer: {error}"
            continue
        found = found or [ShardStatus(**shard) for shard in body.get("shards", [])]
        if answer.status_code != 200:
            trouble = trouble or f"{name}: {body.get('detail', answer.status_code)}"
    published = feed_positions(next(iter(state.apis.values()), ""))
    if published:
        found = [replace(each, multicast=published.get(each.shard)) for each in found]
    return not trouble, trouble, found


def lines_of(status: ClusterStatus) -> list[str]:
    """The status as it is printed."""
    down = [part.name for part in status.parts if part.pid is None]
    trouble = status.trouble or (f"{', '.join(down)} down" if down else "just starting")
    verdict = "ready" if status.healthy else f"NOT READY: {trouble}"
    lines = [f"cluster  up {duration(status.uptime_s)}  {verdict}"]
    for part in status.parts:
        behind = "" if part.lag_batches is None else f"{part.lag_batches:,} behind"
        again = f"  started again {part.restarts} times" if part.restarts else ""
        pid = "DOWN" if part.pid is None else str(part.pid)
        lines.append(f"{part.name:<12} {pid:>8}  {behind:<12} {part.address}{again}".rstrip())
    for shard in status.shards:
        lines.append(
            f"shard {shard.shard:<3} log {shard.written:,}  "
            f"matched {lag(shard.matched, shard.written)}  "
            f"redis {lag(shard.redis or 0, shard.matched)}  "
            f"postgres {lag(shard.postgres or 0, shard.matched)}"
            f"{feed_lag([part.name for part in status.parts], shard)}"
        )
    return lines
