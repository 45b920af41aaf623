"""One exchange for all browser tests: `crossbook up` in a process of its own, with a simulator that
trades some instruments and leaves the others to the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cli.addresses import is_ready
from cli.run_state import RunFolder
from crossbook_client import Crossbook

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 90.0
SIMULATED = ("AAPL", "MSFT", "AMZN", "GOOGL", "META", "TSLA", "JPM", "XOM")
RATE = 60


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition`. Fails with `what` after WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


class Exchange:
    """The exchange and its simulator. `url` is where the API and the dashboard are."""

    def __init__(
        self, folder: Path, *, symbols: tuple[str, ...] = SIMULATED, rate: int = RATE
    ) -> None:
        """`symbols` are simulated, all where there are none; `rate` in commands a second."""
        self._simulated, self._rate = symbols, rate
        self.run = RunFolder(folder / "data")
        self._output = folder / "up.log"
        kept = {name: value for name, value in os.environ.items() if "CROSSBOOK" not in name}
        self._environment = {
            **kept,
            "CROSSBOOK_DATA_DIR": str(folder / "data"),
            "CROSSBOOK_PORT": "0",
            "CROSSBOOK_SIMULATE_RATE": "0",
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self.url = ""

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        up = self._begin("up")
        until(lambda: self._is_up(up), f"up: {self._output.read_text()}")
        self.url = self.run.running().url
        symbols = ",".join(self._simulated)
        self._begin("simulate", "--symbols", symbols, "--rate", str(self._rate), "--seed", "7")
        with self.client("demo") as client:
            until(lambda: client.trades("AAPL", limit=5).trades, "the simulator trades")

    def _begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *arguments],
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _is_up(self, up: subprocess.Popen[bytes]) -> bool:
        assert up.poll() is None, self._output.read_text()
        state = self.run.read_state()
        return state is not None and "api" in state.roles and is_ready(state.url)[0]

    def key(self, account: str) -> str:
        """The key of one of the first accounts: demo, simulator, player, admin."""
        return self.run.read_credentials()[account].key

    def client(self, account: str) -> Crossbook:
        """A client with that key."""
        return Crossbook(self.url, api_key=self.key(account))

    @property
    def environment(self) -> dict[str, str]:
        """What the exchange was started with: other commands look at the same folder with it."""
        return dict(self._environment)

    def kill_api(self) -> None:
        """Kill the API process; the supervisor starts another on the same port."""
        mark = self.run.running().roles["api"]
        process = mark.process()
        assert process is not None
        process.kill()
        until(lambda: mark.process() is None, "the API process ends")

    @contextmanager
    def without_api(self) -> Iterator[None]:
        """The API process is dead until the block ends; then another starts on the same port."""
        supervisor = psutil.Process(self._processes[0].pid)
        supervisor.suspend()
        try:
            self.kill_api()
            yield
        finally:
            supervisor.resume()

    def until_ready(self) -> None:
        """Wait until the API answers and everything is caught up."""
        until(lambda: is_ready(self.url)[0], "the API is ready")

    def stop(self) -> None:
        """End everything that was started."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
                process.wait(30)
