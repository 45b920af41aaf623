"""The plain way to fan out, to compare with: a queue a subscriber, and `json.dumps` at each send.

Both hubs take the same event batches and tell of the same deltas. A subscriber's queue holds
`QUEUE_MAX` messages; what comes while it is full is dropped, as such hubs do."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from api.stream.changes import changes_of
from api.stream.messages import price
from benchmarks.websocket_flow import ENTRIES, SYMBOLS
from domain.batch import EventBatch
from projections.market_data.replica import ShardReplica

QUEUE_MAX: Final = 1_000
WATCHED: Final = frozenset(entry.number for entry in ENTRIES.values())


class PlainHub:
    """One queue a subscriber, every symbol for everyone."""

    def __init__(self, replica: ShardReplica) -> None:
        self._replica = replica
        self.queues: set[asyncio.Queue[dict[str, Any]]] = set()
        self._last = dict.fromkeys(WATCHED, 0)
        self.dropped = 0

    def apply(self, _shard: int, batch: EventBatch) -> None:
        """Put each delta of the next batch into every queue."""
        self._replica.apply(batch.record)
        changed = changes_of(batch.events(), WATCHED, batch.header.audit_timestamp_ns)
        for number, changes in changed.items():
            if not changes.levels:
                continue
            sides: tuple[list[Any], list[Any]] = ([], [])
            for (side, _), (ticks, quantity, count) in changes.levels.items():
                sides[side].append([price(ticks), quantity, count])
            sequence = self._replica.book_sequence(number)
            self._put(
                {
                    "type": "delta",
                    "channel": "level2",
                    "symbol": SYMBOLS[number - 1],
                    "sequence": str(sequence),
                    "previous_sequence": str(self._last[number]),
                    "bids": sides[0],
                    "asks": sides[1],
                }
            )
            self._last[number] = sequence

    def _put(self, message: dict[str, Any]) -> None:
        for queue in self.queues:
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                self.dropped += 1

    def _snapshot(self, symbol: str) -> dict[str, Any]:
        number = ENTRIES[symbol].number
        return {
            "type": "snapshot",
            "channel": "level2",
            "symbol": symbol,
            "sequence": str(self._last[number]),
            "levels": [list(map(list, self._replica.levels(number, side))) for side in (0, 1)],
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client, as an ASGI app."""
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        await receive()  # its subscription
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(QUEUE_MAX)
        for symbol in SYMBOLS:
            queue.put_nowait(self._snapshot(symbol))
        self.queues.add(queue)
        try:
            while True:
                message = await queue.get()
                await send({"type": "websocket.send", "text": json.dumps(message)})
        finally:
            self.queues.discard(queue)
