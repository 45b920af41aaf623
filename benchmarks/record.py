"""Runs a benchmark several times and keeps its figures, with the machine and the commit.

    python -m benchmarks.record NAME RUNS -- COMMAND…

The benchmark prints JSON lines. Lines are matched by their place, every number becomes minimum,
median and maximum over the runs, and the result replaces benchmarks/results/NAME.json. `loop_ms` is
how long a loop of 5 million additions in plain Python took before, between and after the runs: a
shared machine's speed may double from one minute to the next, and figures with it.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit that was measured, marked where files but the results were changed since."""
    head = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    dirty = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no", "--", ":!benchmarks/results"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return f"{head} with changes" if dirty else head


def loop_ms() -> float:
    """CPU time of a loop of plain Python, in milliseconds."""
    before = time.process_time()
    total = 0
    for number in range(5_000_000):
        total += number
    return round((time.process_time() - before) * 1e3, 1)


def one_run(command: list[str]) -> list[dict[str, Any]]:
    """The JSON lines that one run prints. Raises CalledProcessError where it fails."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def summary(runs: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each line's text fields as they are, each number as minimum, median and maximum."""
    return [
        {name: spread([run[place].get(name) for run in runs]) for name in first}
        for place, first in enumerate(runs[0])
    ]


def spread(values: list[Any]) -> Any:
    """One field over the runs."""
    first = values[0]
    if isinstance(first, dict):
        # A part that some run did not tell of (it used nothing there) counts as nothing.
        names = dict.fromkeys(name for value in values for name in value)
        return {name: spread([value.get(name, 0) for value in values]) for name in names}
    if isinstance(first, int | float) and not isinstance(first, bool):
        return {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return first if all(value == first for value in values) else values


def main() -> None:
    """Run and record."""
    if len(sys.argv) < 5 or sys.argv[3] != "--" or not sys.argv[2].isdecimal():
        sys.exit("usage: python -m benchmarks.record NAME RUNS -- COMMAND…")
    name, count, command = sys.argv[1], int(sys.argv[2]), sys.argv[4:]
    load = os.getloadavg()[0]
    runs, loops = [], [loop_ms()]
    for _ in range(count):
        runs.append(one_run(command))
        loops.append(loop_ms())
    shown = ["python" if part == sys.executable else part for part in command]
    record = {
        "command": " ".join(Path(part).name if "/bin/" in part else part for part in shown),
        "runs": count,
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(),
        "load_before": round(load, 2),
        "loop_ms": spread(loops),
        "figures": summary(runs),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record["figures"], indent=2))


if __name__ == "__main__":
    main()
