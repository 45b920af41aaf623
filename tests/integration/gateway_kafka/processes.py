"""The processes of a distributed exchange, as a user starts them, and requests to their APIs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import httpx

ROOT: Final = Path(__file__).resolve().parents[3]
WAIT_S: Final = 90.0
LOOK_S: Final = 0.05
LINES_SHOWN: Final = 30


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """`crossbook ARGUMENTS`, with its output in a file of `folder`."""

    def __init__(self, folder: Path, settings: dict[str, str], *arguments: str) -> None:
        self.name = " ".join(arguments)
        self._log = folder / f"{self.name.replace(' ', '-')}-{time.monotonic_ns()}.log"
        given = {name: value for name, value in os.environ.items() if "CROSSBOOK_" not in name}
        named = {f"CROSSBOOK_{name}": value for name, value in settings.items()}
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *arguments],
                cwd=ROOT,
                env={**given, **named},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> int:
        """SIGTERM; the exit code. Raises TimeoutExpired where it takes more than ten seconds."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10.0)

    def end(self) -> None:
        """By force, where it still runs, and show what it said at last."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        print("\n".join([f"--- {self.name}", *self.said.splitlines()[-LINES_SHOWN:]]))


class Api(Running):
    """`crossbook api`, and requests to it."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.port = free_port()
        super().__init__(folder, settings, "api", "--port", str(self.port))
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=20.0, trust_env=False
        )

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None
    ) -> httpx.Response:
        """One request."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return self._client.request(method, path, json=body, headers=headers)

    def wait_until_ready(self, wait_s: float = WAIT_S) -> None:
        """Wait until /readyz answers 200."""
        self.wait_for("GET", "/readyz", (200,), wait_s=wait_s)

    def wait_for(
        self,
        method: str,
        path: str,
        statuses: tuple[int, ...],
        body: Any = None,
        *,
        key: str | None = None,
        wait_s: float = WAIT_S,
    ) -> httpx.Response:
        """Ask until the answer has one of these statuses. Raises AssertionError after `wait_s`."""
        deadline = time.monotonic() + wait_s
        last: object = None
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.said[-4_000:]
            try:
                answer = self.call(method, path, body, key=key)
            except httpx.TransportError as error:
                last = error
            else:
                if answer.status_code in statuses:
                    return answer
                last = answer.text
            time.sleep(LOOK_S)
        raise AssertionError(f"{method} {path}: no {statuses} within {wait_s} s, but {last}")
