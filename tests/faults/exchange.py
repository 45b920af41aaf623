"""A real exchange for a fault test: `crossbook up` in a folder of its own, on a port of its own.

Guarantees: every process is named by pid and start time, so that nothing else is ever killed;
waiting is for a condition, with a deadline; `end` leaves no process and no file behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import httpx
import psutil

from cli.addresses import is_ready
from cli.run_state import Credential, ExchangeState, ProcessMark, RunFolder
from cli.servers import EmbeddedPostgres, EmbeddedRedis
from cli.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[2]
ROLES: Final = ("api", "matching", "projections")
SUPERVISOR: Final = "supervisor"
POSTGRES: Final = "postgres"
REDIS: Final = "redis"
START_WAIT_S: Final = 150.0
RESTART_WAIT_S: Final = 60.0
POLL_S: Final = 0.02
SHOWN_LINES: Final = 60

T = TypeVar("T")


def wait_for(what: str, condition: Callable[[], T | None], wait_s: float) -> T:
    """The first value of `condition` that is neither None nor False. Raises TimeoutError."""
    deadline = time.monotonic() + wait_s
    while True:
        found = condition()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {wait_s:.0f} s still waiting for {what}")
        time.sleep(POLL_S)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class FaultExchange:
    """One exchange in `folder`; `settings` are further `CROSSBOOK_…` variables without prefix."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.run = RunFolder(folder / "data")
        self.log_path = folder / "up.log"
        self.port = free_port()
        own = {"DATA_DIR": str(self.run.data_dir), "PORT": str(self.port), "SIMULATE_RATE": "0"}
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("CROSSBOOK_") or name == "CROSSBOOK_INTERPRETED"
        }
        asked = {f"CROSSBOOK_{name}": value for name, value in (own | settings).items()}
        self._environment = inherited | asked
        self.settings = Settings.model_validate(
            {name.lower(): value for name, value in (own | settings).items()}
        )
        self._up: subprocess.Popen[bytes] | None = None
        self._seen: dict[int, ProcessMark] = {}

    # --- as its owner sees it ---------------------------------------------------------------------

    def start(self) -> None:
        """Start it and wait until it is ready. Raises AssertionError, with what it said."""
        assert self._up is None, "it was started already"
        with self.log_path.open("ab") as output:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up"],
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for("the exchange to be ready", self._is_ready, START_WAIT_S)

    def _is_ready(self) -> bool:
        assert self._up is not None
        assert self._up.poll() is None, f"`up` ended with {self._up.returncode}:\n{self.said()}"
        state = self.run.read_state()
        mine = state is not None and state.supervisor.pid == self._up.pid
        return mine and state is not None and is_ready(state.url)[0]

    def wait_until_ready(self) -> None:
        """Wait until `/readyz` says that everything is caught up."""
        wait_for("the exchange to be ready again", self._is_ready, RESTART_WAIT_S)

    def stop(self, wait_s: float) -> int:
        """SIGTERM, as a service manager stops it; the exit code. Raises TimeoutExpired."""
        assert self._up is not None
        self._up.send_signal(signal.SIGTERM)
        code = self._up.wait(timeout=wait_s)
        self._up = None
        return code

    def key(self, account: str) -> Credential:
        """An account of the first start, with its key."""
        return self.run.read_credentials()[account]

    def state(self) -> ExchangeState:
        """The present `exchange.json`."""
        found = wait_for("exchange.json", self.run.read_state, RESTART_WAIT_S)
        for mark in (found.supervisor, *found.roles.values()):
            self._seen[mark.pid] = mark
        return found

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def logs(self) -> Path:
        """The folder of the logs and the directory."""
        return self.settings.logs

    def get(self, path: str, key: str | None = None) -> httpx.Response:
        """One read."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.get(self.url + path, headers=headers, timeout=10.0, trust_env=False)

    # --- as its enemy sees it ---------------------------------------------------------------------

    def process(self, name: str) -> psutil.Process | None:
        """The living process of a role, the supervisor or a server; None where there is none."""
        if name == POSTGRES:
            return _process(self._postgres().pid)
        if name == REDIS:
            return _process(self._redis().pid)
        state = self.state()
        mark = state.supervisor if name == SUPERVISOR else state.roles.get(name)
        return None if mark is None else mark.process()

    def kill(self, name: str) -> psutil.Process:
        """kill -9, once there is something to kill; what was killed."""
        process = wait_for(f"{name} to run", lambda: self.process(name), RESTART_WAIT_S)
        process.send_signal(signal.SIGKILL)
        if name == SUPERVISOR:
            assert self._up is not None
            self._up.wait(timeout=RESTART_WAIT_S)
            self._up = None
        return process

    def wait_until_replaced(self, name: str, killed: psutil.Process) -> None:
        """Wait until the supervisor has started another process in place of a killed one."""

        def replaced() -> bool:
            found = self.process(name)
            return found is not None and found != killed

        wait_for(f"{name} to be started again", replaced, RESTART_WAIT_S)

    def _postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.run.data_dir / "postgres", self.settings.run_dir)

    def _redis(self) -> EmbeddedRedis:
        return EmbeddedRedis(self.run.data_dir / "redis", self.settings.run_dir)

    # --- the end ----------------------------------------------------------------------------------

    def said(self) -> str:
        """The end of what `up` and each role wrote."""
        paths = [self.log_path, *sorted(self.run.logs_dir.glob("*.log"))]
        parts = []
        for path in paths:
            if path.exists():
                lines = path.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
                parts.append("\n".join([f"--- {path.name}", *lines]))
        return "\n".join(parts)

    def end(self, *, keep: bool) -> None:
        """End every process that is left, and remove the folder unless it is to be kept."""
        if self.run.state_path.exists():
            self.state()
        if self._up is not None:
            self._up.terminate()
            try:
                self._up.wait(timeout=30.0)
            except subprocess.TimeoutExpired:
                self._up.kill()
                self._up.wait()
        left = [process for mark in self._seen.values() if (process := mark.process())]
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=10.0)
        postgres, redis = self._postgres(), self._redis()
        postgres.stop()
        redis.stop()
        shutil.rmtree(self.settings.run_dir, ignore_errors=True)
        if not keep:
            shutil.rmtree(postgres.data_dir, ignore_errors=True)
            shutil.rmtree(self.run.data_dir)


def _process(pid: int | None) -> psutil.Process | None:
    try:
        return None if pid is None else psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
