"""What every server of our own has in common: it belongs to a data folder and is stopped by pid.

Guarantees: starting and stopping hold the folder's lock, so that no folder ever has two servers;
`start` adopts a living server that answers, and gives up at once where `stop` is called meanwhile
from another thread; a pid is believed only where `processes.serves` says that it is this program at
work in this folder.
"""

from __future__ import annotations

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import structlog

from cli.servers import processes

log = structlog.get_logger(__name__)

Steps = tuple[tuple[signal.Signals, float], ...]


class OwnServer(ABC):
    """The server of `data_dir`; its output goes to a file beside that."""

    name: ClassVar[str]  # as people read it
    program: ClassVar[str]  # as the process is called
    start_wait_s: ClassVar[float]
    stop_steps: ClassVar[Steps]  # signals in turn, and the seconds that each may take
    leftover_steps: ClassVar[Steps]  # the same for processes that no pid file names

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.log_path = self.data_dir.with_name(f"{self.data_dir.name}.log")
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The living server's process, None where there is none."""
        if self._child is not None:
            self._child.poll()  # collects it where it ended
        pid = self._recorded_pid()
        return pid if processes.serves(pid, self.data_dir, self.program) else None

    def start(self) -> None:
        """Make sure that the server runs and answers. Raises ServerError, with the end of its log,
        where it cannot."""
        with processes.folder_lock(self.data_dir, self.start_wait_s):
            if not self._adopt():
                self._begin()

    def stop(self) -> None:
        """End the server, its data written out. Does nothing where none runs."""
        self._stopping = True  # whoever is starting it holds the lock until it sees this
        try:
            with processes.folder_lock(self.data_dir, self.start_wait_s):
                self._stop()
        finally:
            self._stopping = False

    def _may_wait(self, deadline: float) -> bool:
        """Whether waiting for an answer still makes sense."""
        return not self._stopping and time.monotonic() < deadline

    def _stop(self) -> None:
        pid = self.pid
        if pid is not None:
            processes.stop(pid, self.stop_steps, self.data_dir, self.program)
            log.info(f"{self.name} stopped", pid=pid)
        if self._child is not None:
            self._child.wait(timeout=5)
            self._child = None

    def _end_leftovers(self) -> None:
        """End processes of this folder that no pid file names any more."""
        for pid in processes.all_serving(self.data_dir, self.program):
            processes.stop(pid, self.leftover_steps, self.data_dir, self.program)

    @abstractmethod
    def _recorded_pid(self) -> int | None:
        """The pid that the data folder names, alive or not."""

    @abstractmethod
    def _adopt(self) -> bool:
        """Take over a living server of this folder if it answers where we look; stop it
        otherwise."""

    @abstractmethod
    def _begin(self) -> None:
        """Start a server and wait until it answers. Raises ServerError where it does not."""
