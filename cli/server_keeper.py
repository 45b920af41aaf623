"""Starts servers of our own beside each other, and keeps them running beside a loop that must not
wait for them.

Guarantees: a server that ended is started again in a thread of its own, one at a time and after a
pause that doubles while it fails; `tend` never waits; `stop` ends every server, also one that is
just being started.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from cli.servers import ServerError
from cli.servers.own import OwnServer

Say = Callable[[str], None]

LOOK_INTERVAL_S: Final = 2.0
PAUSE_FIRST_S: Final = 2.0
PAUSE_MAX_S: Final = 60.0
JOIN_WAIT_S: Final = 0.1


class KeptServer:
    """One server, and the thread that starts it again where there is one."""

    def __init__(self, server: OwnServer) -> None:
        self.server = server
        self.said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pause_s = PAUSE_FIRST_S
        self._look_at = 0.0
        self._given_up = False
        self._failed: BaseException | None = None

    def begin(self) -> None:
        """Start the server aside, for the first time."""
        self._run_aside(self._begin)

    def _begin(self) -> None:
        try:
            self.server.start()
        except BaseException as error:  # noqa: BLE001 - raised again by `wait`, where it is waited for
            self._failed = error

    def wait(self) -> None:
        """Wait until the server has begun. Raises what its start raised."""
        assert self._thread is not None, self.server.name
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _run_aside(self, work: Callable[[], None]) -> None:
        # A daemon: a forced stop does not wait for it.
        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Start the server aside where it has ended and its pause is over."""
        if self._thread is not None and self._thread.is_alive():
            return
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_INTERVAL_S
        if self.server.pid is not None:
            self._pause_s = PAUSE_FIRST_S
            return
        self.said.put(f"{self.server.name} ended; starting it again")
        self._run_aside(self._start_again)

    def _start_again(self) -> None:
        try:
            self.server.start()
        except (ServerError, OSError) as error:
            if self._given_up:
                return
            self.said.put(f"{self.server.name}: {error}; again in {self._pause_s:.0f} s")
            self._look_at = time.monotonic() + self._pause_s
            self._pause_s = min(PAUSE_MAX_S, 2 * self._pause_s)

    def stop(self) -> None:
        """End the server; why it would not is left to be said."""
        self._given_up = True
        try:
            self.server.stop()
            # The thread may have been about to start it: stopped once more, until it has ended.
            while self._thread is not None and self._thread.is_alive():
                self.server.stop()
                self._thread.join(JOIN_WAIT_S)
            self.server.stop()
        except (ServerError, OSError) as error:
            self.said.put(f"{self.server.name}: {error}")


class ServerKeeper:
    """Any number of servers, each kept by itself; everything is said from the caller's thread."""

    def __init__(self, servers: Sequence[OwnServer], say: Say) -> None:
        self._kept = [KeptServer(server) for server in servers]
        self._say = say

    def begin(self) -> None:
        """Start all of them at the same time; returns at once."""
        for kept in self._kept:
            kept.begin()

    def wait(self) -> None:
        """Wait until all have begun. Raises what the first start that failed raised: ServerError,
        or OSError."""
        for kept in self._kept:
            kept.wait()

    def tend(self) -> None:
        """Look after every server; returns at once."""
        for kept in self._kept:
            kept.look()
        self._say_all()

    def stop(self) -> None:
        """End all of them, at the same time, and wait for that."""
        threads = [threading.Thread(target=kept.stop) for kept in self._kept]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._say_all()

    def _say_all(self) -> None:
        for kept in self._kept:
            while not kept.said.empty():
                self._say(kept.said.get())
