"""The server of the WebSocket benchmark, a process of its own: `/v1/stream` as the exchange serves
it, or the plain hub.

    python -m benchmarks.websocket_server crossbook|plain BATCHES DELTAS_PER_S TIMES_FILE

Prints its port; publishes when a line comes on stdin, each batch when it is due, or as soon as a
busy server comes to it, until all were due; then prints how many deltas were. TIMES_FILE then has
each that was published as `symbol sequence due_ns`, of the monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvicorn

from api.stream.changes import changes_of
from api.stream.endpoint import Stream
from api.stream.hub import MarketHub
from api.stream.limits import StreamSettings
from api.stream.socket import StreamSocket
from benchmarks.websocket_flow import ENTRIES, SYMBOLS, Flow
from benchmarks.websocket_plain import WATCHED, PlainHub
from commands.directory.entries import InstrumentEntry
from domain.batch import EventBatch
from domain.exchange import Exchange
from projections.market_data.replica import ShardReplica

SLICE_S: Final = 0.008
GRACE_S: Final = 0.5  # to catch up with what was due
SETTINGS: Final = StreamSettings(connections_per_address_max=20_000, connections_max=20_000)


class Listings:
    """What the stream asks of a directory, of which it needs no more here."""

    stale = False

    def instrument(self, symbol: str) -> InstrumentEntry | None:
        """The instrument of a symbol."""
        return ENTRIES.get(symbol)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def deltas_of(batch: EventBatch) -> list[tuple[str, int]]:
    """Symbol and sequence of each level2 delta that a batch makes."""
    sequences: dict[int, int] = {}
    for event in batch.events():
        number = getattr(event, "instrument", 0)
        sequences[number] = max(sequences.get(number, 0), getattr(event, "book_sequence", 0))
    changed = changes_of(batch.events(), WATCHED, 0)
    return [(SYMBOLS[n - 1], sequences[n]) for n, changes in changed.items() if changes.levels]


def hub_of(kind: str) -> tuple[MarketHub | PlainHub, Any, Any]:
    """The hub, the ASGI app that serves it, and the protocol that it is served by."""
    replica = ShardReplica(Exchange(0))
    if kind == "plain":
        plain = PlainHub(replica)
        return plain, plain, "websockets-sansio"
    hub = MarketHub(1)
    hub.open(replica)
    hub.caught_up(0)
    return hub, Stream(Listings(), hub, SETTINGS), StreamSocket  # type: ignore[arg-type]


async def publish(
    hub: MarketHub | PlainHub, batches: list[EventBatch], counts: list[int], rate: float
) -> list[int]:
    """Give the hub each batch when it is due; when each was that it was given."""
    began = time.monotonic()
    ends = began + sum(counts) / rate + GRACE_S
    due_ns: list[int] = []
    before, slice_began = 0, began
    for batch, count in zip(batches, counts, strict=True):
        due = began + before / rate
        before += count
        now = time.monotonic()
        if now < due:
            await asyncio.sleep(due - now)
            slice_began = time.monotonic()
        elif now - slice_began > SLICE_S:
            await asyncio.sleep(0)
            slice_began = time.monotonic()
        if now > ends:
            break
        due_ns.append(int(due * 1e9))
        hub.apply(0, batch)
    return due_ns


async def serve(kind: str, batch_count: int, rate: float, times: Path) -> None:
    """Serve until stdin ends."""
    flow = Flow()
    hub, app, protocol = hub_of(kind)
    hub.apply(0, flow.first)
    batches = flow.batches(batch_count)
    made = [deltas_of(batch) for batch in batches]
    config = uvicorn.Config(
        app,
        port=0,
        loop="none",
        lifespan="off",
        log_config=None,
        ws=protocol,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    tasks = [asyncio.create_task(server.serve())]
    if isinstance(app, Stream):
        tasks.append(asyncio.create_task(app.run()))
    while not server.started:  # noqa: ASYNC110 - uvicorn tells no other way
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    due_ns = await publish(hub, batches, [len(each) for each in made], rate)
    rows = [
        f"{symbol} {sequence} {due}\n"
        for deltas, due in zip(made, due_ns, strict=False)
        for symbol, sequence in deltas
    ]
    await asyncio.to_thread(times.write_text, "".join(rows))
    print(sum(map(len, made)), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # nobody is there any more to be told


def main() -> None:
    """Run one server."""
    kind, batch_count, rate, times = sys.argv[1:]
    import uvloop

    uvloop.run(serve(kind, int(batch_count), float(rate), Path(times)))


if __name__ == "__main__":
    main()
