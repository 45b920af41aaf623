"""Brings one shard's event batches to the hub, beside the event loop that serves clients.

Guarantees: the hub sees every batch once and in order, and no slice of catching up takes the loop
for much longer than `SLICE_S`; a log that cannot be read is tried again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from eventsourcing.persistence import PersistenceError

from api.stream.hub import MarketHub
from domain.batch import EventBatch, ForkError
from domain.exchange import Exchange
from projections.market_data.replica import ShardReplica

SLICE_S: Final = 0.008
BATCHES_MAX: Final = 64
RETRY_S: Final = 1.0

log = logging.getLogger("crossbook.stream")


class EventSource(Protocol):
    """What is read: a shard's event log."""

    shard: int

    def read(self, after: int, limit: int) -> list[EventBatch]:
        """Whole batches after a position, in order."""
        ...


async def feed(
    hub: MarketHub,
    source: EventSource,
    exchange: Exchange,
    news: Callable[[int], Awaitable[object]],
) -> None:
    """Feed one shard until cancelled, from the position that `exchange` is at, which is the hub's
    from then on. `news(position)` returns when there may be batches after a position.

    Raises ForkError where the log has a gap, ReplicaError where it is not the books' own.
    """
    shard = source.shard
    replica = ShardReplica(exchange)
    hub.open(replica)
    has_caught_up = False
    while True:
        try:
            batches = await asyncio.to_thread(source.read, replica.position, BATCHES_MAX)
        except PersistenceError as error:
            log.warning("shard %d: the event log cannot be read: %r", shard, error)
            await asyncio.sleep(RETRY_S)
            continue
        if batches:
            await _apply(hub, shard, replica, batches)
            if len(batches) == BATCHES_MAX or not has_caught_up:
                continue  # there may be more
        elif not has_caught_up:
            hub.caught_up(shard)
            has_caught_up = True
        await news(replica.position)


async def _apply(
    hub: MarketHub, shard: int, replica: ShardReplica, batches: list[EventBatch]
) -> None:
    began = time.monotonic()
    for batch in batches:
        if batch.position != replica.position + 1:
            missing = replica.position + 1
            raise ForkError(f"shard {shard}: position {missing} is missing in the event log")
        hub.apply(shard, batch)
        if time.monotonic() - began > SLICE_S:
            await asyncio.sleep(0)
            began = time.monotonic()
