"""What publishing costs with 1 to 10,000 subscribers, without sockets: of the stream's hub, and of
the plain one.

    python -m benchmarks.websocket_publishing

Prints one JSON line a number of subscribers, of CPU time: `publish_us` a delta (decoding the batch,
keeping the book and making the message once; the median of several turns), and `deliver_us` for
each delta that one subscriber takes; `plain_publish_us` a delta, and `plain_deliver_us`, with its
`json.dumps`. Sending is not in it: see `server_cpu_us_per_delivered` of `benchmarks.websocket`, on
real sockets. The garbage collector is off: its passes come with whatever allocates, and would be
charged to either by chance.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
from typing import Final

from api.stream.hub import MarketHub, MarketSubscriber
from benchmarks.websocket_flow import ENTRIES, Flow
from benchmarks.websocket_plain import PlainHub
from domain.exchange import Exchange
from projections.market_data.replica import ShardReplica

SUBSCRIBERS: Final = (1, 10, 100, 1_000, 10_000)
BATCHES: Final = 160
PLAIN_MESSAGES: Final = 400_000  # so many are put into queues at most
TURN: Final = 32  # batches between two deliveries


def cpu_us() -> float:
    """CPU time of this thread so far."""
    return time.thread_time_ns() / 1e3


def take_all(readers: list[MarketSubscriber]) -> int:
    """Take what there is for everybody: how many messages."""
    taken = 0
    for reader in readers:
        while frames := reader.take():
            taken += len(frames)
    return taken


async def of_the_stream(subscribers: int) -> dict[str, float]:
    """The stream's hub."""
    flow, hub = Flow(), MarketHub(1)
    hub.open(ShardReplica(Exchange(0)))
    hub.apply(0, flow.first)
    readers = [hub.subscriber() for _ in range(subscribers)]
    for reader in readers:
        for entry in ENTRIES.values():
            hub.subscribe(reader, entry, "level2", None, None)
    take_all(readers)
    publishing: list[float] = []
    delivering = 0.0
    taken = 0
    batches = flow.batches(BATCHES)
    for begin in range(0, BATCHES, TURN):
        began, before = cpu_us(), taken
        for batch in batches[begin : begin + TURN]:
            hub.apply(0, batch)
        published = cpu_us()
        while taken == before:  # the hub tells those who had read all, in a while if they are many
            await asyncio.sleep(0.001)
            taken += take_all(readers)
        publishing.append((published - began) * subscribers / (taken - before))
        delivering += cpu_us() - published
    return {
        "publish_us": round(statistics.median(publishing), 2),
        "deliver_us": round(delivering / taken, 3),
    }


async def of_the_plain(subscribers: int) -> dict[str, float]:
    """The plain hub."""
    flow, hub = Flow(), PlainHub(ShardReplica(Exchange(0)))
    hub.apply(0, flow.first)
    hub.queues = {asyncio.Queue() for _ in range(subscribers)}
    publishing = delivering = 0.0
    taken = 0
    count = max(2, min(BATCHES, PLAIN_MESSAGES // subscribers // len(ENTRIES)))
    batches = flow.batches(count)
    for batch in batches:
        began = cpu_us()
        hub.apply(0, batch)
        published = cpu_us()
        for queue in hub.queues:
            while not queue.empty():
                json.dumps(await queue.get())
                taken += 1
        publishing += published - began
        delivering += cpu_us() - published
    return {
        "plain_publish_us": round(publishing / (taken / subscribers), 2),
        "plain_deliver_us": round(delivering / taken, 3),
    }


def measure(subscribers: int) -> dict[str, float]:
    """Both hubs with so many subscribers."""
    return {
        "subscribers": subscribers,
        **asyncio.run(of_the_stream(subscribers)),
        **asyncio.run(of_the_plain(subscribers)),
    }


def main() -> None:
    """Measure and print."""
    gc.disable()
    for subscribers in SUBSCRIBERS:
        print(json.dumps(measure(subscribers)), flush=True)


if __name__ == "__main__":
    main()
