"""`python -m benchmarks.replay`: `crossbook replay` over a log with many resting orders.

Makes a log of 3,000,000 commands as `benchmarks.prefill` does (some 200,000 resting orders, a
client order id on every submit; `--keep FOLDER` keeps or uses one) and replays it, rebuilding alone
and with `--verify`. One JSON line each: `commands_per_second` by the command's own clock, which
begins once the logs are open, and `cpu_seconds` of the whole command.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.prefill import fill, settings_of
from cli.main import quiet_servers

ROOT: Final = Path(__file__).resolve().parents[1]
COMMANDS: Final = 3_000_000


def replayed(folder: Path, *options: str) -> dict[str, object]:
    """Run the command once. Exits where it finds a difference."""
    before = _children_cpu()
    logs = ["--log-dir", str(settings_of(folder).logs)]
    command = [sys.executable, "-m", "cli.main", "replay", *logs, "--json", *options]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"replay ended with exit code {done.returncode}: {done.stdout}")
    found = json.loads(done.stdout)
    return {
        "case": "verify" if options else "rebuild",
        "commands": found["commands"],
        "resting": found["open_orders"],
        "commands_per_second": round(found["commands"] / found["elapsed_s"]),
        "cpu_seconds": round(_children_cpu() - before, 2),
    }


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Fill, replay twice."""
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="benchmarks.replay", description=about)
    parser.add_argument("--commands", type=int, default=COMMANDS, help="in the log (3,000,000)")
    parser.add_argument("--keep", type=Path, help="make the folder here and leave it; or use it")
    options = parser.parse_args()
    quiet_servers()
    with tempfile.TemporaryDirectory(prefix="crossbook-replay-") as name:
        folder = options.keep.absolute() if options.keep is not None else Path(name)
        if not settings_of(folder).logs.exists():
            folder.mkdir(parents=True, exist_ok=True)
            fill(folder, options.commands)
        for extra in ((), ("--verify",)):
            print(json.dumps(replayed(folder, *extra)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
