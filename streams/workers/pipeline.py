"""Event batches on their way to the log while the matcher goes on.

Guarantees: batches are written in order; at most one group is under way; a group that
failed is told by the next call, and nothing is written after it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from domain.batch import EventBatch, Position
from streams.matcher import EventTarget

# A group this large means that more waits behind it; a smaller one is waited for.
GROUP_RECORDS: Final = 64
GROUP_BYTES: Final = 1_000_000

Group = Sequence[tuple[int, Sequence[bytes]]]


class PipelinedEvents:
    """An event log whose large groups are written beside the caller. For one calling thread."""

    def __init__(self, log: EventTarget, *, name: str) -> None:
        self._log = log
        self._name = name
        self._thread: threading.Thread | None = None
        self._group: Group | None = None
        self._error: BaseException | None = None
        self._news = threading.Condition()
        self._closing = False

    def __str__(self) -> str:
        return str(self._log)

    def append(self, batches: Group) -> None:
        """Write whole batches after those before; a small group is there when this returns.

        Raises what the log raised, for this group or the one before."""
        self.settle()
        if not _is_large(batches):
            self._log.append(batches)
            return
        with self._news:
            self._group = batches
            self._news.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name=self._name, daemon=True)
            self._thread.start()

    def settle(self) -> None:
        """Wait until everything is written. Raises what the log raised."""
        with self._news:
            self._news.wait_for(lambda: self._group is None)
            if self._error is not None:
                raise self._error

    def tail(self) -> Position:
        """The log's highest complete position."""
        return self._log.tail()

    def at(self, position: int) -> EventBatch | None:
        """The batch of one position."""
        return self._log.at(position)

    def close(self) -> None:
        """End the thread, once the group under way is written or has failed."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _write(self) -> None:
        while (group := self._next()) is not None:
            error: BaseException | None = None
            try:
                self._log.append(group)
            except BaseException as caught:  # noqa: BLE001 - raised again in the caller's thread
                error = caught
            with self._news:
                self._error, self._group = error, None
                self._news.notify_all()

    def _next(self) -> Group | None:
        with self._news:
            self._news.wait_for(lambda: self._group is not None or self._closing)
            return self._group


def _is_large(batches: Group) -> bool:
    if len(batches) >= GROUP_RECORDS:
        return True
    return sum(len(record) for _, records in batches for record in records) >= GROUP_BYTES
