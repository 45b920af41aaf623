"""`python -m benchmarks.graphql_reads --readers N --orders R --seconds S`: reads beside orders.

An embedded exchange of its own, as `crossbook up` starts it. First one reader alone, one request at
a time: a book of ten levels of each side over GraphQL and over REST. Then R orders/s (batches of
500 commands, half of them submits) for S seconds without readers, and again beside N readers, each
of which asks for a book over GraphQL `--asks` times a second over a connection of its own. The
matcher's time in the engine is what it measures itself (`crossbook_matcher_apply_seconds` of
`/metrics`, one observation a step), its p99 read off the histogram by linear interpolation within a
bucket.

Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.pipeline_load import BATCH_COMMANDS, SUBMITS_PER_BATCH, Connection, Load, LoadSymbol
from benchmarks.pipeline_modes import Running, running_exchange

ALONE: Final = 500
WARM: Final = 50
METRIC: Final = "crossbook_matcher_apply_seconds"
QUERY: Final = (
    'query { book(symbol: "%s", depth: 10) { sequence bids { price quantity orderCount }'
    " asks { price quantity orderCount } } }"
)


def percentile(values: list[float], share: float) -> float:
    """In milliseconds."""
    ordered = sorted(values)
    return round(1_000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


async def alone(client: httpx.AsyncClient, symbol: str) -> dict[str, float]:
    """One reader, nothing beside it."""
    query = {"query": QUERY % symbol}
    figures: dict[str, float] = {}
    for name in ("graphql", "rest"):
        took: list[float] = []
        for number in range(WARM + ALONE):
            began = time.perf_counter()
            if name == "graphql":
                answer = await client.post("/graphql", json=query)
            else:
                answer = await client.get(f"/v1/books/{symbol}")
            assert answer.status_code == 200, answer.text
            if number >= WARM:
                took.append(time.perf_counter() - began)
        figures[f"{name}_p50_ms"] = percentile(took, 0.5)
        figures[f"{name}_p99_ms"] = percentile(took, 0.99)
    return figures


async def order(running: Running, load: Load, rate: float, seconds: float) -> int:
    """Send orders at a rate; how many. Whole batches, each due at its time."""
    [connection] = running.connections(1)
    every_s = SUBMITS_PER_BATCH / rate
    batches = load.batches(max(1, round(seconds / every_s)))
    began = time.perf_counter()
    for number, batch in enumerate(batches):
        await asyncio.sleep(max(0.0, began + number * every_s - time.perf_counter()))
        answer = await connection.post("/v1/orders/batch", batch.body)
        assert answer.status == 200, answer.body[:200]
    connection.close()
    return len(batches) * SUBMITS_PER_BATCH


async def read(
    connection: Connection, symbol: str, every_s: float, stop: asyncio.Event
) -> list[float]:
    """One reader's times."""
    body = json.dumps({"query": QUERY % symbol}).encode()
    took: list[float] = []
    while not stop.is_set():
        began = time.perf_counter()
        answer = await connection.post("/graphql", body)
        assert answer.status == 200 and b'"errors"' not in answer.body, answer.body[:200]
        took.append(time.perf_counter() - began)
        await asyncio.sleep(max(0.0, every_s - took[-1]))
    connection.close()
    return took


async def applied(client: httpx.AsyncClient) -> dict[float, float]:
    """The matcher's histogram: count by upper bound."""
    page = (await client.get("/metrics")).text
    found: dict[float, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples if family.name == METRIC else ():
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                found[bound] = found.get(bound, 0.0) + sample.value
    assert found, "the matcher shows no metrics"
    return found


def p99_ms(before: dict[float, float], after: dict[float, float]) -> float:
    """Of the observations between two pages."""
    counts = [(bound, after[bound] - before.get(bound, 0.0)) for bound in sorted(after)]
    wanted = 0.99 * counts[-1][1]
    low, seen = 0.0, 0.0
    for bound, count in counts:
        if count >= wanted:
            share = (wanted - seen) / (count - seen) if count > seen else 1.0
            return round(1_000 * (low + share * (bound - low)), 4)
        low, seen = bound, count
    raise AssertionError("the last bucket has all")


async def measure(running: Running, options: argparse.Namespace) -> dict[str, Any]:
    """All three parts."""
    url = running.urls[0]
    async with httpx.AsyncClient(base_url=url, timeout=60.0, trust_env=False) as client:
        listed = (await client.get("/v1/instruments")).json()["instruments"]
        symbols = [each["symbol"] for each in listed[:8]]
        load = Load([LoadSymbol(symbol, 10_000) for symbol in symbols], "g", 1)
        [opening] = running.connections(1)
        answer = await opening.post("/v1/orders/batch", load.opening().body)
        assert answer.status == 200, answer.body[:200]
        figures: dict[str, Any] = await alone(client, symbols[0])
        await order(running, load, options.orders, 2.0)  # warm
        at = await applied(client)
        sent = await order(running, load, options.orders, options.seconds)
        then = await applied(client)
        stop = asyncio.Event()
        readers = [
            asyncio.create_task(read(each, symbols[n % len(symbols)], 1 / options.asks, stop))
            for n, each in enumerate(running.connections(options.readers))
        ]
        began = await applied(client)
        sent_beside = await order(running, load, options.orders, options.seconds)
        ended = await applied(client)
        stop.set()
        took = [each for times in await asyncio.gather(*readers) for each in times]
    without, beside = p99_ms(at, then), p99_ms(began, ended)
    return figures | {
        "orders": sent,
        "orders_beside": sent_beside,
        "reads_beside": len(took),
        "reads_beside_p50_ms": percentile(took, 0.5),
        "reads_beside_p99_ms": percentile(took, 0.99),
        "apply_p99_ms": without,
        "apply_p99_beside_ms": beside,
        "apply_p99_rise_percent": round(100 * (beside / without - 1), 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--orders", type=float, default=3_000.0, help="submits a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--asks", type=float, default=1.0, help="reads a second of each reader")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_exchange(Path(folder)) as running:
        figures = asyncio.run(measure(running, options))
    asked = {"readers": options.readers, "orders_per_s": options.orders}
    print(json.dumps(asked | {"batch_commands": BATCH_COMMANDS} | figures), flush=True)


if __name__ == "__main__":
    main()
