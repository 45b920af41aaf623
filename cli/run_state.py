"""What a running exchange leaves in its data folder for other commands, and the lock it holds.

Guarantees: at most one supervisor holds a data folder; `exchange.json` and `credentials.json` are
replaced whole, never half written; the credentials are readable by their owner alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

import psutil

START_TIME_TOLERANCE_S = 1.0


class AlreadyRunningError(Exception):
    """Another supervisor holds the data folder."""


class NotRunningError(Exception):
    """No exchange runs on the data folder; the message says how to start one."""


@dataclass(frozen=True)
class ProcessMark:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started_at: float

    @staticmethod
    def of(pid: int) -> ProcessMark:
        """Mark a living process. Raises psutil.NoSuchProcess."""
        return ProcessMark(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process, None where it has ended."""
        try:
            found = psutil.Process(self.pid)
            if abs(found.create_time() - self.started_at) > START_TIME_TOLERANCE_S:
                return None
            return None if found.status() == psutil.STATUS_ZOMBIE else found
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True)
class ExchangeState:
    """`exchange.json`: where the exchange is and which processes it is made of."""

    url: str
    supervisor: ProcessMark
    roles: dict[str, ProcessMark] = field(default_factory=dict)
    redis_url: str = ""
    postgres_dsn: str = ""
    started_at: float = 0.0


@dataclass(frozen=True)
class Credential:
    """One account of `credentials.json` and its key."""

    account: int
    name: str
    key: str


class RunFolder:
    """The files under `<data_dir>` that the command line keeps."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.run_dir = self.data_dir / "run"
        self.logs_dir = self.data_dir / "logs"
        self.lock_path = self.run_dir / "supervisor.lock"
        self.state_path = self.run_dir / "exchange.json"
        self.credentials_path = self.data_dir / "credentials.json"

    def prepare(self) -> None:
        """Make the folders. Raises OSError where they cannot be."""
        for folder in (self.data_dir, self.run_dir, self.logs_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def lock(self) -> IO[str]:
        """Take the supervisor's lock, held until the file is closed. Raises AlreadyRunningError."""
        holder = self.lock_path.open("a")
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder.close()
            raise AlreadyRunningError(str(self.data_dir)) from None
        return holder

    def is_locked(self) -> bool:
        """Whether a supervisor holds this folder now."""
        if not self.lock_path.exists():
            return False
        try:
            self.lock().close()
        except AlreadyRunningError:
            return True
        return False

    def write_state(self, state: ExchangeState) -> None:
        """Replace `exchange.json`."""
        replace_file(self.state_path, json.dumps(asdict(state), indent=1), 0o600)

    def read_state(self) -> ExchangeState | None:
        """The last `exchange.json`, None where there is none or it is damaged."""
        try:
            fields = json.loads(self.state_path.read_text())
            roles = {name: ProcessMark(**mark) for name, mark in fields.pop("roles").items()}
            supervisor = ProcessMark(**fields.pop("supervisor"))
            return ExchangeState(supervisor=supervisor, roles=roles, **fields)
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def running(self) -> ExchangeState:
        """The exchange that runs on this folder. Raises NotRunningError."""
        state = self.read_state() if self.is_locked() else None
        if state is None:
            raise NotRunningError(
                f"no exchange runs on {self.data_dir}; start one with `crossbook up`"
            )
        return state

    def wait_for_state(self, wait_s: float) -> ExchangeState | None:
        """`exchange.json` of a supervisor that may be just starting."""
        deadline = time.monotonic() + wait_s
        while True:
            state = self.read_state()
            if state is not None and state.supervisor.process() is not None:
                return state
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)

    def clear_state(self) -> None:
        """Forget the exchange that ran here."""
        self.state_path.unlink(missing_ok=True)

    def write_credentials(self, credentials: dict[str, Credential]) -> None:
        """Replace `credentials.json`, mode 0600."""
        rows = {name: asdict(credential) for name, credential in credentials.items()}
        replace_file(self.credentials_path, json.dumps(rows, indent=1), 0o600)

    def read_credentials(self) -> dict[str, Credential]:
        """Credentials by account name;

        none where there is no file. Raises ValueError where damaged.
        """
        try:
            rows = json.loads(self.credentials_path.read_text())
            return {name: Credential(**row) for name, row in rows.items()}
        except FileNotFoundError:
            return {}
        except (TypeError, AttributeError) as error:
            raise ValueError(f"{self.credentials_path} is damaged: {error}") from error


def replace_file(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
