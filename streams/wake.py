"""How the processes of one machine wake each other: datagrams on Unix sockets in the run folder.

A wake is a hint and may be lost: whoever waits also looks by itself now and then. Sending never
blocks and never fails for want of a listener."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

DATAGRAM_BYTES = 256


class WakeReceiver:
    """A named mailbox. Each wake is (topic, shard, position)."""

    def __init__(self, run_dir: Path, name: str) -> None:
        self.path = run_dir / f"{name}.wake"
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(str(self.path))

    def fileno(self) -> int:
        """For selectors and event loops."""
        return self.socket.fileno()

    def wait(self, timeout_s: float) -> bool:
        """Wait for at least one wake; False after `timeout_s` without."""
        ready, _, _ = select.select([self.socket], [], [], timeout_s)
        return bool(ready)

    def drain(self) -> Iterator[tuple[str, int, int]]:
        """All wakes that wait, oldest first; what is not a wake of ours is passed over."""
        while True:
            try:
                message = self.socket.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                return
            topic, _, rest = message.decode("ascii", "replace").partition(" ")
            shard, _, position = rest.partition(" ")
            if shard.isdecimal() and position.isdecimal():
                yield topic, int(shard), int(position)

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class WakeSender:
    """Wakes the mailboxes of the run folder by name."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    def send(self, name: str, topic: str, shard: int, position: int) -> bool:
        """Wake `name`. False where its mailbox is full: try again. Nobody there is no matter."""
        message = f"{topic} {shard} {position}".encode("ascii")
        try:
            self.socket.sendto(message, str(self.run_dir / f"{name}.wake"))
        except BlockingIOError:
            return False
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        return True

    def close(self) -> None:
        """Release the socket."""
        self.socket.close()
