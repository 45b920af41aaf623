"""As whom a server runs. PostgreSQL refuses to run as root.

For root, a user namespace in which we are another user lets the server run with every file and
folder as it is. Where namespaces are refused, as in many containers, it runs as `nobody`, with its
folders where `nobody` can reach them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.servers.errors import ServerError

SHARED_ROOT = Path("/var/lib/crossbook")


@dataclass(frozen=True)
class RunAs:
    """A command prefix, and for a server of another user that user's numbers (None: ours)."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    @property
    def owner(self) -> int:
        """The user to whom the server's files belong."""
        return os.geteuid() if self.uid is None else self.uid

    def popen_arguments(self) -> dict[str, Any]:
        """What subprocess must be told to become that user."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, folder: Path) -> None:
        """Give `folder` itself to the server's user."""
        if self.uid is not None and folder.stat().st_uid != self.uid:
            os.chown(folder, self.uid, self.gid if self.gid is not None else -1)

    def reaches(self, path: Path) -> bool:
        """Whether the server can enter the nearest existing folder of `path`, or run it where it is
        a file. In a namespace root has no more rights than the owner of its files."""
        if not self.prefix and self.uid is None:
            return True
        while not path.exists():
            path = path.parent
        command = [*self.prefix, "test", "-x", str(path)]
        return subprocess.run(command, check=False, **self.popen_arguments()).returncode == 0


@functools.cache
def namespace() -> RunAs | None:
    """Root in a user namespace, as a user of whom the system knows a name, which PostgreSQL looks
    up; None where there may be no namespaces."""
    known = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not known or shutil.which("unshare") is None:
        return None
    user, group = known[0].pw_uid, known[0].pw_gid
    prefix = ("unshare", "--user", f"--map-user={user}", f"--map-group={group}")
    done = subprocess.run([*prefix, "true"], check=False, capture_output=True)
    return RunAs(prefix) if done.returncode == 0 else None


def nobody() -> RunAs:
    """The unprivileged user that almost every system has. Raises ServerError where it has not."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ServerError(
            "PostgreSQL refuses to run as root, and there is no other user here: start the exchange"
            " as another user, or give it a running server in CROSSBOOK_POSTGRES_DSN"
        ) from None
    return RunAs((), entry.pw_uid, entry.pw_gid)


def unprivileged(folder: Path) -> RunAs:
    """How to run a server of `folder` that refuses to be root: as the folder's owner, in a
    namespace, or as `nobody`."""
    if os.geteuid() != 0:
        return RunAs()
    if folder.exists() and folder.stat().st_uid != 0:
        owner = folder.stat()
        return RunAs((), owner.st_uid, owner.st_gid)
    return namespace() or nobody()


def shared_root() -> Path:
    """A folder that every user can enter: under /var/lib, or the temporary folder where that
    cannot be written."""
    try:
        SHARED_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir())
    return SHARED_ROOT


def mark_of(path: Path) -> str:
    """A short name for `path`, the same each time."""
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:12]


def reachable_folder(folder: Path, run_as: RunAs) -> Path:
    """`folder`, or where the server's user cannot come to it, one kept for it in the shared
    root."""
    if run_as.reaches(folder.absolute().parent):
        return folder
    return shared_root() / f"{folder.name}-{mark_of(folder)}"


def reachable_binaries(binaries: Path, run_as: RunAs) -> Path:
    """`binaries` (a bin folder), or a copy of the installation around it that the server's user
    can run."""
    if run_as.reaches(binaries / "postgres"):
        return binaries
    installation = binaries.parent
    copy = shared_root() / f"{installation.name}-{mark_of(installation)}"
    if not copy.exists():
        partial = copy.with_name(f"{copy.name}.partial-{os.getpid()}")
        shutil.copytree(installation, partial, symlinks=True)
        partial.chmod(0o755)
        partial.rename(copy)
    return copy / binaries.name
