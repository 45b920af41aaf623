"""Starting, recognising and stopping server processes.

Guarantees: a process counts as a folder's server only while it is alive, of that program, and
works in that folder, so a pid that the system has given to another program is never signalled; and
one folder's server is started or stopped by one of us at a time.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from cli.servers.errors import ServerError
from cli.servers.identities import RunAs, mark_of

SOCKET_PATH_BYTES_MAX = 100
LOG_BYTES_MAX = 16 * 1024 * 1024
POLL_S = 0.02


def serves(pid: int | None, folder: Path, program: str) -> bool:
    """Whether `pid` is a living `program` that works in `folder`.

    Raises ServerError where we may not know.
    """
    if pid is None or pid <= 0:
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or process.name() != program:
            return False
        return Path(process.cwd()).resolve() == folder.resolve()
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False
    except psutil.AccessDenied as error:
        raise ServerError(
            f"process {pid} may be serving {folder} but belongs to another user; "
            "stop it, or run as that user"
        ) from error


def all_serving(folder: Path, program: str) -> list[int]:
    """Every `program` of ours that works in `folder`: a server, or what a killed one left
    behind."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == program and serves(process.pid, folder, program):
                found.append(process.pid)
        except (psutil.Error, ServerError):
            continue  # gone meanwhile, or another user's: not ours to touch
    return found


def spawn(
    argv: Sequence[str], *, run_as: RunAs, folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, so that the terminal's Ctrl-C does not reach it;
    output goes to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [*run_as.prefix, *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,
            **run_as.popen_arguments(),
        )


def stop(
    pid: int, steps: Sequence[tuple[signal.Signals, float]], folder: Path, program: str
) -> None:
    """Send each signal in turn and wait its seconds, until `pid` no longer serves `folder`.

    Raises ServerError where it outlives them all.
    """
    for number, wait_s in steps:
        if not serves(pid, folder, program):
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + wait_s
        # Not until it is gone: a zombie stays where nobody collects it, as in many containers.
        while serves(pid, folder, program) and time.monotonic() < deadline:
            time.sleep(POLL_S)
    if serves(pid, folder, program):
        raise ServerError(f"process {pid}, which serves {folder}, does not end")


def log_length(log: Path) -> int:
    """Bytes in a server's log, which is begun anew where it has grown long."""
    if not log.exists():
        return 0
    if log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_name(f"{log.name}.1"))
        return 0
    return log.stat().st_size


def tail(log: Path, began: int, lines: int = 12) -> str:
    """The last lines that a server wrote after byte `began` of its log, for an error message."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(began, log.stat().st_size - 16_384))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])


@contextmanager
def folder_lock(folder: Path, wait_s: float) -> Iterator[None]:
    """Hold the right to start or stop the server of `folder`. Raises ServerError after `wait_s`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f".{folder.name}.lock"
    deadline = time.monotonic() + wait_s
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"another process keeps starting or stopping {folder}"
                    ) from None
                time.sleep(POLL_S)
        yield


def socket_folder(wanted: Path, longest_name: str, run_as: RunAs) -> Path:
    """A folder for Unix sockets: `wanted`, or one under the temporary folder where that path is
    too long or closed.

    Socket paths are limited to about 100 bytes. The folder is ours alone (mode 0700).
    """
    folder = wanted.absolute()
    too_long = len(os.fsencode(folder)) + 1 + len(longest_name) > SOCKET_PATH_BYTES_MAX
    if too_long or run_as.uid is not None or not run_as.reaches(folder.parent):
        folder = Path(tempfile.gettempdir()) / f"crossbook-{run_as.owner}-{mark_of(folder)}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    run_as.take(folder)
    if folder != wanted.absolute() and folder.stat().st_uid != run_as.owner:
        raise ServerError(f"{folder} belongs to another user; remove it")
    return folder


def move_aside(folder: Path) -> Path:
    """Rename `folder` to the first free `folder.old-N`, and return that."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    return folder.rename(aside)
