"""What feeds the stream of one API process: a task a shard, which begins with the newest engine
snapshot and follows the event log."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import psycopg

from api.stream.feed import feed
from api.stream.hub import MarketHub
from domain.exchange import Exchange
from domain.snapshot import SnapshotError, restore
from projections.snapshots import SnapshotStore
from streams.follower import EventSource
from streams.gateway import LogGateway

LOOK_S: Final = 0.25
SWEEP_S: Final = 10.0
RETRY_S: Final = 1.0

log = logging.getLogger("crossbook.stream")


def stream_tasks(
    hub: MarketHub, store: SnapshotStore, gateway: LogGateway, shards: int
) -> set[asyncio.Task[None]]:
    """The tasks that keep the hub fed and swept; none may end."""
    tasks = {
        asyncio.create_task(_feed(hub, store, gateway, shard), name=f"stream of shard {shard}")
        for shard in range(shards)
    }
    tasks.add(asyncio.create_task(_sweep(hub), name="stream sweeper"))
    return tasks


async def _sweep(hub: MarketHub) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        hub.sweep()


async def _feed(hub: MarketHub, store: SnapshotStore, gateway: LogGateway, shard: int) -> None:
    source = gateway.events(shard)

    async def news(position: int) -> None:
        # The wake of the matcher is a hint: where none comes, the log is looked at all the same.
        await gateway.progress.reached("matcher", shard, position + 1, LOOK_S)

    await feed(hub, source, await _begin(store, source), news)


async def _begin(store: SnapshotStore, source: EventSource) -> Exchange:
    while True:
        try:
            return await asyncio.to_thread(newest_engine, store, source)
        except psycopg.Error as error:
            log.warning("shard %d: snapshots cannot be read: %s", source.shard, error)
        await asyncio.sleep(RETRY_S)


def newest_engine(store: SnapshotStore, source: EventSource) -> Exchange:
    """The engine of the newest snapshot that belongs to the log; a new one where there is none.
    Blocks. Raises psycopg.Error."""
    shard = source.shard
    found = store.newest_sound(shard, source.tail().position)
    if found is None:
        return Exchange(shard)
    at, chunks = found
    logged = source.at(at.position)
    if logged is None or logged.header.chain != at.chain:
        return Exchange(shard)
    try:
        return restore(chunks)
    except SnapshotError as error:
        log.warning("shard %d: snapshot of %d: %s", shard, at.position, error)
        return Exchange(shard)
