"""The exchanges that `benchmarks.pipeline` measures: of either mode, in a folder of its own and
without a simulator.

Guarantees: what was started is stopped, by pid, also where the measurement fails.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.pipeline_load import Connection
from cli.addresses import is_ready
from cli.cluster import ClusterFolder
from cli.listings import PLAYER
from cli.run_state import Credential, ExchangeState, RunFolder

ROOT: Final = Path(__file__).resolve().parents[1]
START_WAIT_S: Final = 180.0
STOP_WAIT_S: Final = 60.0


WIDE_RATE: Final = 1_000_000


@dataclass(frozen=True)
class Topology:
    """How many of what in the distributed mode; one of each in the embedded."""

    mode: str = "embedded"
    shards: int = 1
    apis: int = 1
    matchers: int = 1
    rate_limit: int = WIDE_RATE

    def rates(self) -> dict[str, str]:
        """The settings of its rate limits. One key of a benchmark is to send what a whole exchange
        can take, so the limits are wide: they count, and refuse nobody; 0 counts nothing."""
        limited = ("ADDRESS_REQUESTS", "KEY_REQUESTS", "KEY_COMMANDS")
        return {f"CROSSBOOK_{each}_PER_S_MAX": str(self.rate_limit) for each in limited}

    def arguments(self) -> list[str]:
        """What `crossbook` is asked."""
        if self.mode == "embedded":
            return ["up", "--no-simulate"]
        counts = {"--shards": self.shards, "--api": self.apis, "--matching": self.matchers}
        words = [word for name, count in counts.items() for word in (name, str(count))]
        return ["cluster", "up", "--foreground", "--port", "0", *words]

    def run_folder(self, data: Path) -> RunFolder:
        """Where the exchange tells what it is."""
        return RunFolder(data) if self.mode == "embedded" else ClusterFolder(data)


EMBEDDED: Final = Topology()


@dataclass(frozen=True)
class Running:
    """A running exchange: its APIs, its PostgreSQL, an account's key, its supervisor, the pids of
    its own processes by name, and the keys of its first accounts."""

    urls: Sequence[str]
    postgres_dsn: str
    player: Credential
    supervisor: psutil.Process
    pids: Mapping[str, int]
    credentials: Mapping[str, Credential]

    def connections(self, count: int) -> list[Connection]:
        """Connections with the account's key, spread evenly over the APIs."""
        places = [url.removeprefix("http://").rsplit(":", 1) for url in self.urls]
        chosen = [places[at % len(places)] for at in range(count)]
        return [Connection(host, int(port), self.player.key) for host, port in chosen]

    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds so far by what a process is: `api`, `matching`, `postgres`, `kafka`…"""
        used: dict[str, float] = {}
        for process in self.supervisor.children(recursive=True):
            try:
                times, words = process.cpu_times(), process.cmdline()
            except psutil.NoSuchProcess:
                continue
            name = part_of(words)
            used[name] = used.get(name, 0.0) + times.user + times.system
        return used


def part_of(words: Sequence[str]) -> str:
    """What a process of the exchange is, by its command line."""
    line = " ".join(words)
    if "kafka.Kafka" in line:
        return "kafka"
    if "redis-server" in line:
        return "redis server"
    if "postgres" in words[:1] or "bin/postgres" in line or line.startswith("postgres:"):
        return "postgresql"
    for known in ("role", "worker"):
        if known in words:
            return words[words.index(known) + 1]
    return "api" if "api" in words else "other"


@contextmanager
def running_exchange(folder: Path, topology: Topology = EMBEDDED) -> Iterator[Running]:
    """An exchange in `folder`. Raises SystemExit where it does not start."""
    data = folder / "data"
    environment = {name: v for name, v in os.environ.items() if not name.startswith("CROSSBOOK_")}
    environment |= {"CROSSBOOK_DATA_DIR": str(data), "CROSSBOOK_PORT": "0", **topology.rates()}
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *topology.arguments()],
            env=environment,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            run = topology.run_folder(data)
            state = _started(process, run, log)
            yield Running(
                urls_of(state, run),
                state.postgres_dsn,
                run.read_credentials()[PLAYER],
                psutil.Process(process.pid),
                {name: mark.pid for name, mark in state.roles.items()},
                run.read_credentials(),
            )
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _started(process: subprocess.Popen[bytes], run: RunFolder, log: Path) -> ExchangeState:
    deadline = time.monotonic() + START_WAIT_S
    while time.monotonic() < deadline and process.poll() is None:
        state = run.wait_for_state(0.5)
        if state is not None and all(is_ready(url)[0] for url in urls_of(state, run)):
            return state
    raise SystemExit(f"the exchange did not start:\n{log.read_text()[-2000:]}")


def urls_of(state: ExchangeState, run: RunFolder) -> list[str]:
    """Every API of it."""
    cluster = run.read_cluster() if isinstance(run, ClusterFolder) else None
    return [state.url] if cluster is None else list(cluster.apis.values())
