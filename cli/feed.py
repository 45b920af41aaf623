"""What the multicast role and the multicast worker have in common: the plan that the settings make,
and how the publisher gets at event logs and engine snapshots."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

import psycopg

from cli.settings import Settings
from domain.batch import EventBatch
from domain.exchange import Exchange
from domain.snapshot import SnapshotError, restore
from projections.multicast.feed import FeedPlan
from projections.multicast.lines import Line, LinePlan
from projections.snapshots import SnapshotStore
from streams.follower import EventSource

log = logging.getLogger(__name__)


class ClosableLog(EventSource, Protocol):
    """An event log that was opened for one thread."""

    def close(self) -> None:
        """Let go of it."""
        ...


OpenLog = Callable[[int], ClosableLog]


def line_plan_of(settings: Settings) -> LinePlan:
    """The lines that the settings describe."""
    return LinePlan(
        lines=(
            Line("A", settings.feed_group_a, settings.feed_port_a),
            Line("B", settings.feed_group_b, settings.feed_port_b),
        ),
        interface=settings.feed_interface,
        ttl=settings.feed_ttl,
        heartbeat_s=settings.feed_heartbeat_ms / 1_000,
        packets_per_s_max=settings.feed_packets_per_s_max,
        waiting_packets_max=settings.feed_waiting_packets_max,
    )


def feed_plan_of(settings: Settings) -> FeedPlan:
    """The publisher that the settings describe. Redis is named in them."""
    assert settings.redis_url is not None, "the role asked for it"
    return FeedPlan(
        folder=settings.feeds,
        lines=line_plan_of(settings),
        host=settings.feed_host,
        advertised_host=settings.feed_advertised_host or settings.feed_host,
        redis_url=settings.redis_url,
        rerequest_port=settings.feed_rerequest_port,
        snapshot_port=settings.feed_snapshot_port,
        http_port=settings.feed_http_port,
        rerequest_bytes_per_s_max=settings.feed_rerequest_bytes_per_s_max,
        snapshot_connections_max=settings.feed_snapshot_connections_max,
        messages_kept=settings.feed_messages_kept,
    )


class Tails:
    """How far each shard's event log reaches, by connections of its own. Callable from any
    thread."""

    def __init__(self, open_log: OpenLog) -> None:
        self._open_log = open_log
        self._logs: dict[int, ClosableLog] = {}
        self._lock = threading.Lock()

    def __call__(self, shard: int) -> int:
        """The highest complete position."""
        with self._lock:
            found = self._logs.get(shard)
            if found is None:
                found = self._logs[shard] = self._open_log(shard)
            return found.tail().position


class SnapshotEngines:
    """Engines to begin a replica with. Callable from any thread."""

    def __init__(self, postgres_dsn: str, open_log: OpenLog) -> None:
        self._store = SnapshotStore(postgres_dsn)
        self._open_log = open_log

    def __call__(self, shard: int, at_most_position: int) -> Exchange:
        """The engine of the newest snapshot that belongs to the log and is not past a position; a
        new one where there is none, or PostgreSQL does not answer.
        """
        try:
            found = self._store.newest_sound(shard, at_most_position)
        except psycopg.Error as error:
            log.warning("shard %d: engine snapshots cannot be read: %s", shard, error)
            return Exchange(shard)
        if found is None:
            return Exchange(shard)
        at, chunks = found
        try:
            if self._is_of_the_log(shard, at.position, at.chain):
                return restore(chunks)
        except SnapshotError as error:
            log.warning("shard %d: snapshot of %d: %s", shard, at.position, error)
        return Exchange(shard)

    def close(self) -> None:
        """Close the connection."""
        self._store.close()

    def _is_of_the_log(self, shard: int, position: int, chain: bytes) -> bool:
        events = self._open_log(shard)
        try:
            logged: EventBatch | None = events.at(position)
        finally:
            events.close()
        return logged is not None and logged.header.chain == chain
