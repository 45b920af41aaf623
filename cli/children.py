"""The supervisor's child processes: started, watched, started again, stopped.

Guarantees: a child is in a session of its own, so the terminal's Ctrl-C does not reach it; its
output goes to a log of bounded size; one that dies is started again after a pause that doubles
with each quick death, up to a bound, and is short again once it has lived for a while.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cli.run_state import ProcessMark

LOG_BYTES_MAX = 8 * 1024 * 1024
LOGS_KEPT = 3
PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 5.0
FIRST_SERVED = "matching"  # everyone waits for the matcher, which takes little
FIRST_NICENESS = -10
HEALTHY_AFTER_S = 10.0  # a child that lived this long had no trouble starting


def rotate_log(path: Path) -> None:
    """Begin a log anew where it has grown long: at start only, so no writer loses its file."""
    if not path.exists() or path.stat().st_size < LOG_BYTES_MAX:
        return
    for number in range(LOGS_KEPT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))


def last_line(path: Path, began: int) -> str:
    """The last line with words in it that was written after byte `began`."""
    if not path.exists():
        return ""
    with path.open("rb") as log:
        log.seek(max(began, path.stat().st_size - 8_192))
        lines = log.read().decode("utf-8", "replace").splitlines()
    wordy = (line for line in reversed(lines) if any(letter.isalnum() for letter in line))
    return _in_words(next(wordy, "").strip(" │"))


def _in_words(line: str) -> str:
    """A log line as it is, or of one in JSON its event and what was raised."""
    try:
        fields = json.loads(line)
        raised = str(fields.get("exception", "")).strip().splitlines()
        return ": ".join([str(fields["event"]), *raised[-1:]])
    except (ValueError, KeyError, AttributeError):
        return line


def how_it_ended(code: int) -> str:
    """A return code in words."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def go_first(pid: int) -> None:
    """Let a process just started be served first on a full machine, where we may (as root).

    Niceness counts within a session alone where the system groups processes by session
    (sched(7), autogroups), so the group is told as well.
    """
    group = Path(f"/proc/{pid}/autogroup")
    try:
        os.setpriority(os.PRIO_PROCESS, pid, FIRST_NICENESS)
        if group.exists():
            group.write_text(str(FIRST_NICENESS))
    except OSError:
        return  # we may not, or it ended already


class Child:
    """One process of ours: a role, or what `arguments` after `crossbook` say."""

    def __init__(
        self,
        name: str,
        log_path: Path,
        environment: dict[str, str],
        root: Path,
        *,
        arguments: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.restarts = 0
        called = ("role", name) if arguments is None else arguments
        self.arguments = [sys.executable, "-m", "cli.main", *called]
        self._environment = environment
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._log_began = 0
        self._pause_s = PAUSE_FIRST_S
        self._start_again_at = 0.0

    def start(self) -> None:
        """Start the process; its output is appended to the log."""
        assert self._process is None, self.name
        rotate_log(self.log_path)
        self._log_began = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as output:
            self._process = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self._root,
                start_new_session=True,
            )
        if self.name.startswith(FIRST_SERVED):
            go_first(self._process.pid)
        self._started_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def mark(self) -> ProcessMark | None:
        """The living process, for `exchange.json`."""
        return ProcessMark.of(self._process.pid) if self.alive and self._process else None

    def tend(self, say: Callable[[str], None]) -> bool:
        """Notice a death, and start again when its pause is over. True where it was started."""
        if self._process is None:
            return self._start_again(say)
        code = self._process.poll()
        if code is None:
            return False
        if time.monotonic() - self._started_at > HEALTHY_AFTER_S:
            self._pause_s = PAUSE_FIRST_S
        said = last_line(self.log_path, self._log_began)
        self._process = None
        self._pause(say, f"{how_it_ended(code)}{': ' + said if said and code > 0 else ''}")
        return False

    def _start_again(self, say: Callable[[str], None]) -> bool:
        if time.monotonic() < self._start_again_at:
            return False
        try:
            self.start()
        except OSError as error:
            self._pause(say, f"could not be started: {error}")
            return False
        self.restarts += 1
        return True

    def _pause(self, say: Callable[[str], None], reason: str) -> None:
        say(f"{self.name} {reason}; starting it again in {self._pause_s:.1f} s")
        self._start_again_at = time.monotonic() + self._pause_s
        self._pause_s = min(PAUSE_MAX_S, self._pause_s * 2)

    def ask_to_stop(self) -> None:
        """SIGTERM: the role finishes what it holds and ends."""
        if self.alive and self._process:
            self._process.terminate()

    def wait(self, deadline: float) -> bool:
        """Wait until it has ended, at most until `deadline` (monotonic); False where it has not."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and collect it."""
        if self.alive and self._process:
            self._process.kill()
            self._process.wait()
