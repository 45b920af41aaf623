"""`python -m benchmarks.profiles > benchmarks/results/profile-embedded.md`: where the time goes;
with `--mode kafka` in the distributed mode.

Runs the load of `benchmarks.pipeline`'s first run against an exchange of its own, and once it is
under way samples every role with py-spy (`pip install py-spy`) and counts the CPU time of all its
processes. Prints Markdown: each process's share of the CPU time, and for each role the share of its
samples by the innermost function of ours, threads that only wait for work left out.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil
import uvloop

from benchmarks.growth import loads_of, symbols_of
from benchmarks.pipeline import throughput
from benchmarks.pipeline_modes import Running, Topology, part_of, running_exchange
from benchmarks.record import commit, machine
from cli.listings import FIRST_LISTINGS
from cli.main import quiet_servers

OURS: Final = ("api/", "commands/", "streams/", "projections/", "domain/", "cli/")
# Where a thread stands that has nothing to do: not a cost.
IDLE: Final = ("Condition.wait", "_worker ", "socket.accept", "WakeReceiver.wait", "Runner.run")
WARM_S: Final = 3.0  # under load, before samples are taken
SAMPLES_A_SECOND: Final = 200
SHOWN: Final = 14


def is_idle(stack: list[str]) -> bool:
    """Whether a thread waits for work."""
    return stack[-1].startswith(IDLE)


def stage_of(stack: list[str]) -> str:
    """The innermost function of ours, and what it was waiting for or calling, if not itself."""
    for frame in reversed(stack):
        name, _, place = frame.partition(" (")
        if place.startswith(OURS):
            return f"`{name}` ({place.split(':')[0]})"
    return "libraries alone"


def read_samples(lines: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """Samples by stage and by innermost function of all, from py-spy's raw form."""
    stages: Counter[str] = Counter()
    leaves: Counter[str] = Counter()
    for line in lines:
        text, _, count = line.rpartition(" ")
        stack = text.split(";")
        if not is_idle(stack):
            stages[stage_of(stack)] += int(count)
            leaves[f"`{stack[-1].split(':')[0]})`"] += int(count)
    return stages, leaves


class Sampler(threading.Thread):
    """Waits until the load is under way, then samples for `seconds`."""

    def __init__(self, folder: Path, running: Running, seconds: float) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.seconds = seconds
        self.roles = dict(running.pids)
        self.supervisor = running.supervisor
        self.cpu: Counter[str] = Counter()

    def run(self) -> None:
        """Sample all roles at once."""
        time.sleep(WARM_S)
        before = self._cpu_by_process()
        spies = [self._spy(name, pid) for name, pid in self.roles.items()]
        for spy in spies:
            spy.wait()
        self.cpu = self._cpu_by_process()
        self.cpu.subtract(before)

    def _spy(self, name: str, pid: int) -> subprocess.Popen[bytes]:
        options = ["-d", str(round(self.seconds)), "-r", str(SAMPLES_A_SECOND), "-f", "raw"]
        command = ["py-spy", "record", "-p", str(pid), *options, "-o", self.folder / f"{name}.raw"]
        executable = shutil.which("py-spy") or Path(sys.executable).with_name("py-spy")
        return subprocess.Popen([executable, *command[1:]], stdout=subprocess.DEVNULL)

    def _cpu_by_process(self) -> Counter[str]:
        """CPU milliseconds by role and server."""
        names = {pid: name for name, pid in self.roles.items()}
        found: Counter[str] = Counter()
        for process in self.supervisor.children(recursive=True):
            try:
                times = process.cpu_times()
                name = names.get(process.pid) or part_of(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            found[name] += round(1_000 * (times.user + times.system))
        return found


def table(head: str, counts: Counter[str], shown: int = SHOWN) -> str:
    """A Markdown table of shares."""
    whole = sum(counts.values()) or 1
    lines = [f"| {head} | share |", "|---|---:|"]
    lines += [f"| {name} | {count / whole:.1%} |" for name, count in counts.most_common(shown)]
    return "\n".join(lines)


def report(sampler: Sampler, mode: str, rate: int) -> str:
    """The page."""
    on = machine()
    parts = [
        f"# Profile of the pipeline, mode {mode}",
        f"Made by `python -m benchmarks.profiles`, commit {commit()}, on {on['cores']} cores of "
        f"{on['cpu']}, Python {on['python']}, at {rate:,} commands/s while py-spy looked on.",
        "Shares of the CPU time of all processes:",
        table("process", sampler.cpu),
        "Below, each role's samples by the innermost function of ours, then by the innermost "
        "function of all, without threads that wait for work; time in which a thread waits for a "
        "server or a disk counts. Compiled code counts for the Python function that calls it.",
    ]
    for name in sampler.roles:
        stages, leaves = read_samples((sampler.folder / f"{name}.raw").read_text().splitlines())
        parts += [f"## {name}", table("function of ours", stages), table("function", leaves, 8)]
    return "\n\n".join(parts)


def main() -> int:
    """Load, sample, print."""
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="benchmarks.profiles", description=about)
    parser.add_argument("--seconds", type=float, default=10.0, help="of sampling (10)")
    parser.add_argument("--mode", choices=["embedded", "kafka"], default="embedded")
    options = parser.parse_args()
    quiet_servers()
    with tempfile.TemporaryDirectory(prefix="crossbook-profile-") as name:
        folder = Path(name)
        with running_exchange(folder, Topology(options.mode)) as running:
            sampler = Sampler(folder, running, options.seconds)
            sampler.start()
            loads = list(loads_of(symbols_of(len(FIRST_LISTINGS)), "p"))

            async def load() -> tuple[int, float]:
                connections = running.connections(len(loads))
                journal, began = await throughput(connections, loads, options.seconds + 8)
                return journal.commands, time.monotonic() - began

            commands, elapsed = uvloop.run(load())
            sampler.join()
        print(report(sampler, options.mode, round(commands / elapsed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
