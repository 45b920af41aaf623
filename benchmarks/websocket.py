"""`python -m benchmarks.websocket --clients N --seconds S`: how much market data reaches N sockets.

A server process (`benchmarks.websocket_server`) publishes level2 deltas of eight books that the
engine made, to N real sockets that all subscribe to all of them, in a process of their own. A
message is one delta; it counts as delivered when a client has read it and found its chain sound.
The exchange's own `/v1/stream` and a plain hub (a queue a subscriber, `json.dumps` a send) serve
the same clients and are offered the same load. What is offered is halved, at most twice, where the
stream loses any of it. The plain hub is measured at that load and at two lighter ones, because too
many messages slow it further: its best counts. Latency is from when a delta was due, not from when
a busy server came to it; what has not come 2 s after the last was due is lost.

Prints one JSON line: `clients, delivered_per_second, lost, p50_ms, p99_ms,
plain_hub_delivered_per_second`, both hubs' runs, and `publishing`
(`benchmarks.websocket_publishing`): what publishing and delivering cost with 1 to 10,000
subscribers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import polars as pl
import psutil

from benchmarks.websocket_clients import Clients
from benchmarks.websocket_flow import SYMBOLS

OFFERED: Final = 1_000_000  # deltas a second, to all clients together
TRIES: Final = 3
PLAIN_LIGHTER: Final = (1, 10, 20)
WAIT_S: Final = 60.0


def run(
    kind: str, clients: int, offered: float, seconds: float, stalled: int = 0
) -> dict[str, Any]:
    """One server, one load: what came of it, beside `stalled` clients that read nothing."""
    rate = offered / clients
    batches = max(1, round(rate * seconds / len(SYMBOLS)))
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder) / "times"
        command = [sys.executable, "-m", "benchmarks.websocket_server", kind]
        server = subprocess.Popen(
            [*command, str(batches), str(rate), str(times)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdin is not None and server.stdout is not None
        try:
            port = int(server.stdout.readline())
            reading = Clients(port, clients, stalled)
            before = [cpu_s(server.pid), cpu_s()]
            server.stdin.write("go\n")
            server.stdin.flush()
            expected = reading.run(server.stdout, seconds + WAIT_S)
            used = [cpu_s(server.pid) - before[0], cpu_s() - before[1]]
            reading.close()
            figures = figures_of(reading, times, expected)
        finally:
            server.stdin.close()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    per_delta_us = used[0] * 1e6 / max(1, figures["delivered"])
    return {
        "offered_per_second": round(offered),
        **figures,
        "server_cpu_us_per_delivered": round(per_delta_us, 3),
        "server_cpu_s": round(used[0], 2),
        "clients_cpu_s": round(used[1], 2),
    }


def cpu_s(pid: int | None = None) -> float:
    """CPU time of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def figures_of(reading: Clients, times: Path, expected: int) -> dict[str, Any]:
    """Rates and latencies. `expected` is what all clients should have read."""
    numbers = reading.deltas
    due = [0] * len(numbers)
    first = 2**63
    for line in times.read_text().splitlines():
        symbol, sequence, due_ns = line.split()
        first = min(first, int(due_ns))
        number = numbers.get((symbol.encode(), sequence.encode()))
        if number is not None:
            due[number] = int(due_ns)
    assert all(due), "a delta was read that was not published"
    ranges = pl.DataFrame(reading.ranges, ["read", "begin", "end"], orient="row")
    singles = pl.DataFrame(reading.singles, ["read", "delta"], orient="row")
    frames = pl.Series(reading.range_frames())
    ranged = ranges.select("read", pl.int_ranges("begin", "end").alias("frame")).explode("frame")
    read = pl.concat([ranged["read"], singles["read"]])
    delta = pl.concat([frames.gather(ranged["frame"]), singles["delta"]])
    late_ms = (read - pl.Series(due).gather(delta)) / 1e6
    delivered = len(late_ms)
    assert delivered == reading.delivered
    took_s = (int(read.max()) - first) / 1e9  # type: ignore[arg-type]
    return {
        "delivered_per_second": round(delivered / took_s),
        "delivered": delivered,
        "lost": expected - delivered,
        "conflated": reading.conflated,
        "broken": reading.broken,
        "closed": reading.closed,
        "p50_ms": round(float(late_ms.quantile(0.5) or 0), 2),
        "p99_ms": round(float(late_ms.quantile(0.99) or 0), 2),
    }


def publishing() -> dict[str, Any]:
    """What publishing costs, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.websocket_publishing"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {f"to_{line['subscribers']}": line for line in lines}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--offered", type=float, default=OFFERED, help="deltas/s to all clients")
    parser.add_argument("--only", choices=("crossbook", "plain"), help="one hub, at one load")
    parser.add_argument("--quick", action="store_true", help="leave out what publishing costs")
    parser.add_argument("--stalled", type=int, default=0, help="with --only: more, reading nothing")
    given = parser.parse_args()
    if given.only:
        load = (given.clients, given.offered, given.seconds, given.stalled)
        print(json.dumps(run(given.only, *load)))
        return
    offered = given.offered
    for attempt in range(TRIES):
        stream = run("crossbook", given.clients, offered, given.seconds)
        if not stream["lost"] or attempt == TRIES - 1:
            break
        offered /= 2
    plain = [run("plain", given.clients, offered / by, given.seconds) for by in PLAIN_LIGHTER]
    best = max(each["delivered_per_second"] for each in plain)
    line = {
        "clients": given.clients,
        **{name: stream[name] for name in ("delivered_per_second", "lost", "p50_ms", "p99_ms")},
        "plain_hub_delivered_per_second": best,
        "times_plain": round(stream["delivered_per_second"] / best, 1),
        "stream": stream,
        **{f"plain_{number}": each for number, each in enumerate(plain, start=1)},
        "publishing": {} if given.quick else publishing(),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
