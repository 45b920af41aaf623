"""What a flood with one key does to the others.

    .venv/bin/python -m benchmarks.flood

Starts an exchange of its own. Four quiet traders send 40 orders a second each with one key, alone
and beside eight connections of another process that send batches of 500 with another key as fast as
they are answered, heeding no refusal; alone and beside in turns. `alone_p99_ms` and `beside_p99_ms`
are of the quiet traders' answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.pipeline_load import Connection
from benchmarks.pipeline_modes import Topology, running_exchange

QUIET = 4
EVERY_S = 0.025
FLOODERS = 8
BATCH = 500
KEY_COMMANDS_PER_S = 5_000
WARM_UP_S = 0.5
ORDER = {"symbol": "MSFT", "side": "buy", "quantity": 1, "price": "1.00"}
ITEM = {"op": "submit", "time_in_force": "ioc", **ORDER, "symbol": "AAPL"}


@dataclass(frozen=True)
class Turns:
    """How often alone and beside, and for how long each."""

    count: int = 8
    seconds: float = 4.0


@dataclass
class Found:
    """How long the quiet traders' answers took, in ms, and how the flood was answered."""

    alone_ms: list[float] = field(default_factory=list)
    beside_ms: list[float] = field(default_factory=list)
    flood_statuses: Counter[int] = field(default_factory=Counter)

    @property
    def alone_p99_ms(self) -> float:
        """The 99th percentile without the flood."""
        return statistics.quantiles(self.alone_ms, n=100)[98]

    @property
    def beside_p99_ms(self) -> float:
        """The 99th percentile beside it."""
        return statistics.quantiles(self.beside_ms, n=100)[98]

    def line(self) -> str:
        """All of it in one JSON object."""
        figures = {
            "alone_p50_ms": round(statistics.median(self.alone_ms), 2),
            "beside_p50_ms": round(statistics.median(self.beside_ms), 2),
            "alone_p99_ms": round(self.alone_p99_ms, 2),
            "beside_p99_ms": round(self.beside_p99_ms, 2),
            "quiet_orders": len(self.alone_ms) + len(self.beside_ms),
            "flood_batches": {str(status): n for status, n in sorted(self.flood_statuses.items())},
        }
        return json.dumps(figures)


def measure(url: str, quiet_key: str, flood_key: str, turns: Turns) -> Found:
    """Measure an exchange that runs, whose keys have the limits that are to be tried."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    found = Found()
    quiet = (host, int(port), quiet_key)
    asyncio.run(_quiet_turn(quiet, turns.seconds))  # everything is imported and connected
    context = multiprocessing.get_context("spawn")
    for _ in range(turns.count):
        found.alone_ms += asyncio.run(_quiet_turn(quiet, turns.seconds))
        answers: Any = context.SimpleQueue()
        begun = context.Event()
        stop = context.Event()
        flood = context.Process(
            target=_flood, args=((host, int(port), flood_key), begun, stop, answers)
        )
        flood.start()
        begun.wait(60)
        time.sleep(WARM_UP_S)  # what was saved up is spent
        found.beside_ms += asyncio.run(_quiet_turn(quiet, turns.seconds))
        stop.set()
        found.flood_statuses += answers.get()
        flood.join(60)
    return found


async def _quiet_turn(place: tuple[str, int, str], seconds: float) -> list[float]:
    """Orders at their own pace; how long each answer took. Raises SystemExit where one is
    refused."""
    body = msgspec.json.encode(ORDER)
    taken: list[float] = []

    async def trade() -> None:
        connection = Connection(*place)
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            began = time.monotonic()
            answer = await connection.post("/v1/orders", body)
            if answer.status != 201:
                raise SystemExit(f"a quiet order was answered {answer.status}: {answer.body!r}")
            taken.append((time.monotonic() - began) * 1_000)
            await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
        connection.close()

    await asyncio.gather(*(trade() for _ in range(QUIET)))
    return taken


def _flood(place: tuple[str, int, str], begun: Any, stop: Any, answers: Any) -> None:
    statuses: Counter[int] = Counter()
    body = msgspec.json.encode({"commands": [ITEM] * BATCH})

    async def pour() -> None:
        connection = Connection(*place)
        while not stop.is_set():
            statuses[(await connection.post("/v1/orders/batch", body)).status] += 1
            begun.set()
        connection.close()

    async def pour_all() -> None:
        await asyncio.gather(*(pour() for _ in range(FLOODERS)))

    asyncio.run(pour_all())
    answers.put(statuses)


def main() -> None:
    """Start an exchange and measure it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=Turns.count)
    parser.add_argument("--seconds", type=float, default=Turns.seconds, help="of one turn")
    parser.add_argument("--rate-limit", type=int, default=KEY_COMMANDS_PER_S)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        topology = Topology(rate_limit=asked.rate_limit)
        with running_exchange(Path(folder), topology) as running:
            keys = running.credentials
            turns = Turns(asked.turns, asked.seconds)
            found = measure(running.urls[0], keys["demo"].key, keys["player"].key, turns)
    print(found.line())


if __name__ == "__main__":
    main()
