"""What takes a while to make, is not needed to begin, and must hold up nobody meanwhile.

Guarantees: it is made once, for all who want it, and who stops waiting does not stop the making; a
process that ends does not wait for the thread in which something is made.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """One thing, made by `make` when it is first wanted."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]], name: str) -> None:
        self._make = make
        self._name = name
        self._made: asyncio.Task[T] | None = None

    async def made(self) -> T:
        """The thing. Raises what making it raised, each time."""
        if self._made is None:
            self._made = asyncio.create_task(self._make(), name=self._name)
        return await asyncio.shield(self._made)


async def in_daemon_thread(work: Callable[[], T], name: str) -> T:
    """What `work` returns or raises. `asyncio.to_thread` would make the loop's end wait for it."""
    done: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        done.set_running_or_notify_cancel()
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
            done.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(done)
