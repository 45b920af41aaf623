"""`crossbook up` with JSON logs, and what it shows of itself. Nothing moves in it but what a test
sends: no simulator, no clock.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from cli.addresses import is_ready
from cli.run_state import ExchangeState, RunFolder
from crossbook_client import Crossbook

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 60.0
T = TypeVar("T")
Labels = frozenset[tuple[str, str]]


def until(condition: Callable[[], T], what: str) -> T:
    """Wait for a condition, and give what it gave."""
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)
    return found


class Scrape:
    """One answer of /metrics."""

    def __init__(self, text: str) -> None:
        self.types: dict[str, str] = {}
        self.samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            assert family.name not in self.types, f"{family.name} twice"
            self.types[family.name] = family.type
            for sample in family.samples:
                found = self.samples.setdefault(sample.name, {})
                labels = frozenset(sample.labels.items())
                assert labels not in found, f"{sample.name} {sample.labels} twice"
                found[labels] = sample.value

    def all(self, name: str, **labels: str) -> list[float]:
        """Every sample with these labels."""
        wanted = labels.items()
        return [value for has, value in self.samples.get(name, {}).items() if wanted <= has]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels."""
        return sum(self.all(name, **labels))


class Watched:
    """The exchange in processes of its own, on one data folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """`settings` are further `CROSSBOOK_…` variables, by name without the prefix."""
        self.data_dir = folder / "data"
        self.output = folder / "up.log"
        self.run = RunFolder(self.data_dir)
        kept = {name: value for name, value in os.environ.items() if "CROSSBOOK" not in name}
        self.environment = {
            **kept,
            "CROSSBOOK_DATA_DIR": str(self.data_dir),
            "CROSSBOOK_PORT": "0",
            "CROSSBOOK_SIMULATE_RATE": "0",
            "CROSSBOOK_CLOCK_INTERVAL_MS": "0",
            "CROSSBOOK_LOG_FORMAT": "json",
            "CROSSBOOK_LOG_LEVEL": "DEBUG",
            **{f"CROSSBOOK_{name}": value for name, value in settings.items()},
        }
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up"],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def is_up(self) -> bool:
        """Whether it is ready; raises AssertionError where it ended."""
        assert self.process.poll() is None, self.output.read_text()
        state = self.run.read_state()
        return state is not None and len(state.roles) >= 4 and is_ready(state.url)[0]

    @property
    def state(self) -> ExchangeState:
        """Where it runs, and as which processes."""
        return self.run.running()

    def client(self, account: str) -> Crossbook:
        """The client of one of the first accounts."""
        return Crossbook(self.state.url, self.run.read_credentials()[account].key)

    def get(self, path: str, **more: str) -> httpx.Response:
        """One GET without a key; `more` are headers."""
        return httpx.get(f"{self.state.url}{path}", headers=more, timeout=10, trust_env=False)

    def post(self, path: str, body: object, account: str = "demo", **more: str) -> httpx.Response:
        """One POST with an account's key; `more` are headers."""
        return self.send("POST", path, body, account, **more)

    def send(
        self, method: str, path: str, body: object, account: str, **more: str
    ) -> httpx.Response:
        """One request with an account's key; `more` are headers."""
        key = self.run.read_credentials()[account].key
        headers = {"Authorization": f"Bearer {key}", **more}
        url = f"{self.state.url}{path}"
        return httpx.request(method, url, json=body, headers=headers, timeout=10, trust_env=False)

    def scrape(self) -> Scrape:
        """What /metrics shows now."""
        answer = self.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return Scrape(answer.text)

    def behind(self) -> list[str]:
        """What /readyz says is behind; empty where it is ready."""
        answer = self.get("/readyz")
        assert (answer.status_code == 503) == ("behind" in answer.json())
        return list(answer.json().get("behind", []))

    def signal_role(self, role: str, number: int) -> int:
        """Send a signal to a role's process, and give its pid."""
        pid = self.state.roles[role].pid
        os.kill(pid, number)
        return pid

    def stop(self) -> None:
        """Stop it, whatever a test did to its roles."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=WAIT_S)
