"""The whole pipeline under load: from HTTP requests to committed rows in PostgreSQL.

    .venv/bin/python -m benchmarks.pipeline --mode embedded --seconds 20
    .venv/bin/python -m benchmarks.pipeline --mode kafka --seconds 30

Starts an exchange of its own in a temporary folder, with a broker of its own in the mode `kafka`.
First run: 50 symbols, 8 connections, batches of 500 (`benchmarks.pipeline_load` says of what), as
fast as answers come. `orders_per_second` is submits whose rows are committed over the time from the
first send to the last row; `cpu_cores` says where the time of the machine went meanwhile. Second
run: 100 orders a second, one a request; `p50_ms` and `p99_ms` are from sending the request to
seeing its row committed, `answer_p50_ms` and `answer_p99_ms` to its answer. Then orders one after
another, each sent once the one before is answered: `single_p50_ms` and `single_p99_ms`. `lost` and
`duplicated` compare the client's journal of acknowledgements with the rows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import uvloop

from benchmarks.pipeline_load import Answer, Batch, Connection, Load, LoadSymbol
from benchmarks.pipeline_modes import WIDE_RATE, Running, Topology, running_exchange
from benchmarks.pipeline_rows import Rows, Verdict, Watch, judge, positions_of
from cli.listings import FIRST_LISTINGS

SYMBOLS = 50
CONNECTIONS = 8
BATCHES_PER_SECOND_GUESS = 220  # made before the clock: 55,000 orders/s; more are made on the way
LATENCY_RATE = 100
LATENCY_CONNECTIONS = 16
SINGLES = 500
RETRIES_MAX = 600


class _Result(msgspec.Struct):
    status: int
    order_id: str = ""
    reason: str = ""


class _BatchAnswer(msgspec.Struct):
    position: str
    results: list[_Result]


class _SingleAnswer(msgspec.Struct):
    position: str
    order_id: str


BATCH_ANSWER = msgspec.json.Decoder(_BatchAnswer)
SINGLE_ANSWER = msgspec.json.Decoder(_SingleAnswer)


@dataclass
class Journal:
    """What the client was told: client order id to order id, and the last positions."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)
    commands: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    retried: int = 0

    def take(self, batch: Batch, answer: Answer) -> None:
        """Write down one answered batch. Its submits come in the order of `client_order_ids`."""
        decoded = BATCH_ANSWER.decode(answer.body)
        self.note_position(decoded.position)
        self.commands += len(decoded.results)
        for result in decoded.results:
            if result.status >= 400:
                self.refused[result.reason] += 1
        born = [decoded.results[at] for at in batch.submits_at]
        for name, result in zip(batch.client_order_ids, born, strict=True):
            if result.status < 400:
                self.acknowledged[name] = result.order_id

    def note_position(self, text: str) -> None:
        """Remember the furthest position of each shard."""
        for shard, position in positions_of(text).items():
            self.positions[shard] = max(position, self.positions.get(shard, 0))


async def send(connection: Connection, path: str, body: bytes, journal: Journal) -> Answer:
    """Send until it is answered; what is sent again carries the same client order ids."""
    for _ in range(RETRIES_MAX):
        try:
            answer = await connection.post(path, body)
        except (OSError, EOFError):
            await asyncio.sleep(0.05)
        else:
            if answer.status < 500 and answer.status != 429:
                return answer
            await asyncio.sleep(answer.retry_after_s or 0.05)
        journal.retried += 1
    raise SystemExit(f"no answer after {RETRIES_MAX} attempts")


async def send_batch(connection: Connection, batch: Batch, journal: Journal) -> None:
    """Send one batch and write down its answer."""
    answer = await send(connection, "/v1/orders/batch", batch.body, journal)
    if answer.status != 200:
        raise SystemExit(f"a batch was answered {answer.status}: {answer.body[:500]!r}")
    journal.take(batch, answer)


async def throughput(
    connections: list[Connection], loads: list[Load], seconds: float
) -> tuple[Journal, float]:
    """The first run: the journal, and when the first request was sent (monotonic)."""
    guess = int(seconds * BATCHES_PER_SECOND_GUESS / len(connections))
    opening = Journal()
    pairs = list(zip(connections, loads, strict=True))
    await asyncio.gather(*(send_batch(c, load.opening(), opening) for c, load in pairs))
    made = [load.batches(guess) for load in loads]
    journal = Journal()
    began = time.monotonic()

    async def worker(connection: Connection, load: Load, batches: list[Batch]) -> None:
        at = 0
        while time.monotonic() - began < seconds:
            batch = batches[at] if at < len(batches) else load.batches(1)[0]
            await send_batch(connection, batch, journal)
            at += 1

    await asyncio.gather(*(worker(*pair, mine) for pair, mine in zip(pairs, made, strict=True)))
    return journal, began


@dataclass(frozen=True, slots=True)
class Sent:
    """One order of the second run: when it was sent and answered (monotonic), and where it lies."""

    began: float
    answered: float
    position: dict[int, int]


async def send_single(connection: Connection, load: Load, journal: Journal) -> Sent:
    """Send one order and write down its answer."""
    body, name = load.single()
    began = time.monotonic()
    answer = await send(connection, "/v1/orders", body, journal)
    answered = time.monotonic()
    if answer.status not in (200, 201, 202):
        raise SystemExit(f"an order was answered {answer.status}: {answer.body[:500]!r}")
    decoded = SINGLE_ANSWER.decode(answer.body)
    journal.acknowledged[name] = decoded.order_id
    journal.note_position(decoded.position)
    return Sent(began, answered, positions_of(decoded.position))


async def latency(
    connections: list[Connection], load: Load, seconds: float
) -> tuple[Journal, list[Sent]]:
    """The second run, at LATENCY_RATE a second."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)
    journal = Journal()
    sent: list[Sent] = []

    async def one() -> None:
        connection = await free.get()
        sent.append(await send_single(connection, load, journal))
        free.put_nowait(connection)

    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(int(seconds * LATENCY_RATE)):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(one())
            due += 1 / LATENCY_RATE
    return journal, sent


def quantile(ordered: list[float], share: float) -> float:
    """The value below which that share of the (sorted) values lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(running: Running, topology: Topology, seconds: float) -> dict[str, object]:
    """Both runs against a running exchange."""
    symbols = [
        LoadSymbol(each.symbol, each.start_price_ticks // 100) for each in FIRST_LISTINGS[:SYMBOLS]
    ]
    loads = [Load(symbols[at::CONNECTIONS], f"{at}-", at) for at in range(CONNECTIONS)]
    rows = Rows(running.postgres_dsn)

    async def first() -> tuple[Journal, float]:
        return await throughput(running.connections(CONNECTIONS), loads, seconds)

    used_before = running.cpu_seconds()
    mine_before = time.process_time()
    journal, began = uvloop.run(first())
    print(f"{journal.commands:,} commands acknowledged", file=sys.stderr)
    ended = rows.wait_for(journal.positions)
    mine, used = time.process_time() - mine_before, running.cpu_seconds()
    elapsed = ended - began
    cores = {name: (at - used_before.get(name, 0.0)) / elapsed for name, at in used.items()}
    verdict = judge(journal.acknowledged, rows.orders(running.player.account))
    slow, late, sent = second_run(running, rows, loads[0], min(10.0, seconds))
    return {
        **vars(topology),
        "orders_per_second": round(verdict.with_rows / elapsed),
        "acknowledged": len(journal.acknowledged) + len(slow.acknowledged),
        "lost": verdict.lost + late.lost,
        "duplicated": late.duplicated,
        **sent,
        "commands_per_second": round(journal.commands / elapsed),
        "cpu_cores": {
            name: round(share, 2)
            for name, share in sorted({**cores, "this load": mine / elapsed}.items())
            if share >= 0.01
        },
        "refused": dict(journal.refused),
        "retried": journal.retried + slow.retried,
        "seconds": round(elapsed, 2),
    }


def second_run(
    running: Running, rows: Rows, load: Load, seconds: float
) -> tuple[Journal, Verdict, dict[str, float]]:
    """The journal, its judgement, and how long orders took."""

    async def second() -> tuple[Journal, list[Sent], list[Sent]]:
        connections = running.connections(LATENCY_CONNECTIONS)
        journal, sent = await latency(connections, load, seconds)
        alone = [await send_single(connections[0], load, journal) for _ in range(SINGLES)]
        return journal, sent, alone

    os.sync()  # what the first run left to write would else hold up the syncs of the second
    with Watch(Rows(running.postgres_dsn)) as watch:
        slow, sent, alone = uvloop.run(second())
        rows.wait_for(slow.positions)
        time.sleep(0.1)  # for the watch's own last look
    committed = sorted((watch.committed_at(each.position) - each.began) * 1e3 for each in sent)
    answered, single = (
        sorted((each.answered - each.began) * 1e3 for each in some) for some in (sent, alone)
    )
    late = judge(slow.acknowledged, rows.orders(running.player.account))
    times = {
        "p50_ms": quantile(committed, 0.50),
        "p99_ms": quantile(committed, 0.99),
        "answer_p50_ms": quantile(answered, 0.50),
        "answer_p99_ms": quantile(answered, 0.99),
        "single_p50_ms": quantile(single, 0.50),
        "single_p99_ms": quantile(single, 0.99),
    }
    return slow, late, {name: round(value, 2) for name, value in times.items()}


def main() -> None:
    """Run, and print one JSON object. Exit code 1 where an order was lost or duplicated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--mode", choices=["embedded", "kafka"], default="embedded")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument(
        "--rate-limit", type=int, default=WIDE_RATE, help="of each policy; 0: nothing is counted"
    )
    for name, text in (
        ("shards", "shards"),
        ("apis", "API processes"),
        ("matchers", "matching workers"),
    ):
        parser.add_argument(f"--{name}", type=int, default=1, help=f"{text} (mode kafka)")
    asked = parser.parse_args()
    topology = Topology(asked.mode, asked.shards, asked.apis, asked.matchers, asked.rate_limit)
    with (
        tempfile.TemporaryDirectory(prefix="crossbook-bench-") as folder,
        running_exchange(Path(folder), topology) as running,
    ):
        figures = measure(running, topology, asked.seconds)
    print(json.dumps(figures))
    if figures["lost"] or figures["duplicated"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
