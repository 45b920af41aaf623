"""Kills a server again and again while something else uses it."""

from __future__ import annotations

import os
import random
import signal
import threading

from cli.servers import EmbeddedPostgres, EmbeddedRedis


class Killer(threading.Thread):
    """Sends SIGKILL `kills` times, `wait_s` (from, to) after each start, and starts the server
    again.

    Leave the `with` block to end it, with the server running.
    """

    def __init__(
        self,
        server: EmbeddedPostgres | EmbeddedRedis,
        *,
        kills: int,
        wait_s: tuple[float, float],
        seed: int,
    ) -> None:
        super().__init__()
        self._server = server
        self._kills = kills
        self._wait_s = wait_s
        self._random = random.Random(seed)
        self._done = threading.Event()
        self._up = threading.Event()
        self._up.set()

    def run(self) -> None:
        for _ in range(self._kills):
            if self._done.wait(self._random.uniform(*self._wait_s)):
                return
            pid = self._server.pid
            assert pid is not None
            self._up.clear()
            os.kill(pid, signal.SIGKILL)
            self._server.start()
            self._up.set()

    def wait_until_up(self) -> None:
        """Wait for the server that was killed last."""
        assert self._up.wait(60)

    def __enter__(self) -> Killer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join(timeout=60)
        self._server.start()
