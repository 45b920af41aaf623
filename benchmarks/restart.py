"""`python -m benchmarks.restart`: how long an exchange with 20,000,000 commands takes to come back.

Makes a data folder with that log (`benchmarks.prefill`; `--keep FOLDER` keeps or uses one), then
prints one JSON line each. `filled`: what is in it. `matching`: from the start of the matching role,
killed before with up to 1,000,000 commands behind its newest snapshot, to its events for a new
command (`seconds`, of several starts). `up_after_kill` and `up_after_stop`: from `crossbook up` to
an order answered 201, and to everything caught up; the former with an empty Redis. `cpu_seconds` is
what that took of the processors.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import httpx
import psutil

from benchmarks.prefill import Filled, fill, market_at, settings_of
from cli.addresses import is_ready
from cli.listings import FIRST_LISTINGS, PLAYER
from cli.main import quiet_servers
from cli.run_state import RunFolder
from cli.servers import EmbeddedPostgres
from cli.settings import Settings
from streams.logs import SQLiteCommandLog, SQLiteEventLog

ROOT: Final = Path(__file__).resolve().parents[1]
COMMANDS: Final = 20_000_000
WAIT_S: Final = 120.0
LOOK_S: Final = 0.002
READY_LOOK_S: Final = 0.01


def environment_of(folder: Path) -> dict[str, str]:
    """What `crossbook up` and its roles are told of the folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CROSSBOOK_")}
    return clean | {"CROSSBOOK_DATA_DIR": str(folder / "data"), "CROSSBOOK_PORT": "0"}


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process so far: on a machine that does other things too, it says more."""
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def postgres_of(settings: Settings) -> Iterator[EmbeddedPostgres]:
    """The folder's own PostgreSQL, running."""
    server = EmbeddedPostgres(settings.data_dir.absolute() / "postgres", settings.run_dir)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def matching(folder: Path, starts: int) -> dict[str, object]:
    """The matching role alone; the server with its snapshots runs already."""
    settings = settings_of(folder)
    took: list[tuple[float, float]] = []
    with postgres_of(settings) as postgres:
        for _ in range(starts):
            took.append(_match_one(folder, settings, postgres.dsn))
    return {
        "case": "matching",
        "starts": starts,
        "seconds": round(statistics.median(wall for wall, _ in took), 2),
        "seconds_worst": round(max(wall for wall, _ in took), 2),
        "cpu_seconds": round(statistics.median(cpu for _, cpu in took), 2),
    }


def _match_one(folder: Path, settings: Settings, dsn: str) -> tuple[float, float]:
    """(seconds, CPU seconds of the role) to the events of a new command."""
    command_log = SQLiteCommandLog(settings.logs, 0)
    market = market_at(command_log.head(), os.urandom(16))
    position = command_log.append(market.session, 1, next(market.resting(1)))
    command_log.close()
    event_log = SQLiteEventLog(settings.logs, 0)
    environment = environment_of(folder) | {"CROSSBOOK_POSTGRES_DSN": dsn}
    began = time.monotonic()
    role = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "role", "matching"], cwd=ROOT, env=environment
    )
    try:
        while event_log.tail().position < position:
            if role.poll() is not None or time.monotonic() - began > WAIT_S:
                raise SystemExit("the matching role did not answer")
            time.sleep(LOOK_S)
        took = time.monotonic() - began
        return took, cpu_seconds(psutil.Process(role.pid))
    finally:
        role.kill()  # as in a crash: no snapshot is taken on the way out
        role.wait()
        event_log.close()


def up(folder: Path, case: str) -> dict[str, object]:
    """One start of the whole, and a stop in good order."""
    run = RunFolder((folder / "data").absolute())
    output = (folder / f"{case}.log").open("wb")
    client = httpx.Client(timeout=5.0, trust_env=False)  # making one takes a while
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "up", "--no-simulate"],
        env=environment_of(folder),
        cwd=ROOT,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        answered = ready = 0.0
        while not (answered and ready):
            if process.poll() is not None or time.monotonic() - began > WAIT_S:
                raise SystemExit(f"it did not start:\n{(folder / f'{case}.log').read_text()}")
            state = run.read_state()
            if state is not None and state.supervisor.process() is not None:
                key = run.read_credentials()[PLAYER].key
                if not answered and _order_taken(client, state.url, key):
                    answered = time.monotonic() - began
                if answered and is_ready(state.url)[0]:
                    ready = time.monotonic() - began
            time.sleep(READY_LOOK_S)
        started = psutil.Process(process.pid).children(recursive=True)
        return {
            "case": case,
            "order_answered_s": round(answered, 2),
            "ready_s": round(ready, 2),
            "cpu_seconds": round(sum(cpu_seconds(each) for each in started), 2),
        }
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(WAIT_S)
        client.close()
        output.close()


def _order_taken(client: httpx.Client, url: str, key: str) -> bool:
    """Whether an order is answered 201: durable and matched."""
    order = {
        "symbol": FIRST_LISTINGS[0].symbol,
        "side": "buy",
        "type": "limit",
        "quantity": 1,
        "price": "1.00",
        "time_in_force": "day",
    }
    headers = {"Authorization": f"Bearer {key}"}
    try:
        return client.post(f"{url}/v1/orders", json=order, headers=headers).status_code == 201
    except httpx.TransportError:
        return False


def main() -> int:
    """Fill, and measure each way to start."""
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="benchmarks.restart", description=about)
    parser.add_argument("--commands", type=int, default=COMMANDS, help="in the log (20,000,000)")
    parser.add_argument("--starts", type=int, default=3, help="of the matching role (3)")
    parser.add_argument("--keep", type=Path, help="make the folder here and leave it; or use it")
    options = parser.parse_args()
    quiet_servers()
    folder = Path(tempfile.mkdtemp(prefix="crossbook-restart-"))
    if options.keep is not None:
        folder.rmdir()
        folder = options.keep.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        note = folder / "filled.json"
        if not note.exists():
            filled: Filled = fill(folder, options.commands)
            note.write_text(json.dumps({"case": "filled", **asdict(filled)}))
        print(note.read_text(), flush=True)
        print(json.dumps(matching(folder, options.starts)), flush=True)
        for case in ("up_after_kill", "up_after_stop"):
            print(json.dumps(up(folder, case)), flush=True)
    finally:
        if options.keep is None:
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
