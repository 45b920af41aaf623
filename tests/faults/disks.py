"""Disks that run full for real, for the folder of the logs.

Guarantees: `fill` leaves no room for what is written next, and `free` gives all of it back; a
keeper fills again whatever becomes free in between.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import psutil

from tests.faults.exchange import FaultExchange

DISK_MB: Final = 64
PIECES: Final = (1 << 20, 1 << 16, 1 << 12, 1)
KEEP_S: Final = 0.01


class Disk(Protocol):
    """Something that can be full."""

    def fill(self) -> None:
        """Leave no room. Called again and again: something may have become free."""
        ...

    def free(self) -> None:
        """Give the room back."""
        ...


class SmallDisk:
    """A file system of DISK_MB in memory, filled by a file of our own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @contextmanager
    def mounted(self) -> Iterator[SmallDisk]:
        """Mount it while the block runs. Raises PermissionError where we may not, or cannot."""
        if shutil.which("mount") is None:
            raise PermissionError("there is no `mount`")
        self.folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "tmpfs"]
        done = subprocess.run([*command, str(self.folder)], check=False, capture_output=True)
        if done.returncode != 0:
            self.folder.rmdir()
            raise PermissionError(done.stderr.decode().strip())
        try:
            yield self
        finally:
            subprocess.run(["umount", str(self.folder)], check=True)

    def fill(self) -> None:
        """See Disk."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for piece in PIECES:
                try:
                    while True:
                        ballast.write(bytes(piece))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """See Disk."""
        self._ballast.unlink(missing_ok=True)


class FileSizeLimit:
    """No file of some roles may grow, by RLIMIT_FSIZE: every write fails with EFBIG. Needs no
    rights, and makes SQLite see another error than a full disk does."""

    def __init__(self, exchange: FaultExchange, roles: tuple[str, ...]) -> None:
        self._exchange = exchange
        self._roles = roles

    def fill(self) -> None:
        """See Disk."""
        self._limit(0)

    def free(self) -> None:
        """See Disk."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, bytes_max: int) -> None:
        for role in self._roles:
            process = self._exchange.process(role)
            if process is not None:
                with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
                    limits = (bytes_max, resource.RLIM_INFINITY)
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)


class Keeper(threading.Thread):
    """Keeps a disk full while its block runs, and frees it at the end."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(name="keeper", daemon=True)
        self._disk = disk
        self._done = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Keeper:
        self._disk.fill()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join(timeout=30.0)
        self._disk.free()
        if self._failure is not None:
            raise self._failure

    def run(self) -> None:
        try:
            while not self._done.wait(KEEP_S):
                self._disk.fill()
        except BaseException as error:  # noqa: BLE001 - raised at the end of the block
            self._failure = error
