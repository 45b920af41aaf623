"""The API's side of its past process: started with the first question, and again where it ended.

Guarantees: the event loop never waits for a log that is read again; questions that wait are
bounded, and each is answered within `WAIT_S` or told to come again while the reading goes on; the
process ends with the API process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import pickle
import sys
import time
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from api.errors import Problem, retry_after
from api.lives import LifeTold, StateTold
from api.past import StepsTold
from cli.past_frames import (
    LENGTH_BYTES,
    Answer,
    Asked,
    BookAsked,
    LifeAsked,
    Question,
    StateAsked,
    StepsAsked,
    frame,
)
from cli.settings import Settings
from projections.market_data.past import Moment, PastBook

ROOT: Final = Path(__file__).resolve().parent.parent
QUESTIONS_MAX: Final = 64
WAIT_S: Final = 8.0
END_S: Final = 2.0
STATUS: Final = {"ahead": 404, "not_listed_then": 404}
LATER: Final = frozenset({"replaying"})

T = TypeVar("T")

log = logging.getLogger("crossbook.past")


class PastProcess:
    """Tells the past (`api.past.Past`, `api.lives.Lives`). For one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._same: dict[Asked, asyncio.Task[Any]] = {}
        self._closing = False

    async def book(
        self, shard: int, instrument: int, moment: Moment, *, depth: int, queued: int
    ) -> PastBook:
        """See `api.past.Past`."""
        return await self._told(BookAsked(shard, instrument, moment, depth, queued), PastBook)

    async def steps(
        self, shard: int, instrument: int, after: int, until: int | None, first: int
    ) -> StepsTold:
        """See `api.past.Past`."""
        return await self._told(StepsAsked(shard, instrument, after, until, first), StepsTold)

    async def told(self, order_id: int, *, viewer: int | None) -> LifeTold | None:
        """See `api.lives.Lives`."""
        return await self._told(LifeAsked(order_id, viewer), LifeTold | None)

    async def state(self, shard: int) -> StateTold | None:
        """The newest engine snapshot's hash, verified by restoring it; None where there is none."""
        return await self._told(StateAsked(shard), StateTold | None)

    async def _told(self, asked: Asked, kind: Any) -> Any:
        """Those who ask the same at once are told together."""
        task = self._same.get(asked)
        if task is None:
            if len(self._same) >= QUESTIONS_MAX:
                detail = "too many ask for the past at once; try again"
                raise Problem(503, "past_busy", detail, headers=retry_after())
            task = self._same[asked] = asyncio.create_task(self._ask_until_told(asked, kind))
            task.add_done_callback(lambda _: self._same.pop(asked, None))
            task.add_done_callback(_retrieved)
        done, _ = await asyncio.wait({task}, timeout=WAIT_S)
        if not done:
            detail = "the log is being read again for this: ask again in a moment"
            raise Problem(503, "replaying", detail, headers=retry_after())
        return task.result()

    async def _ask_until_told(self, asked: Asked, kind: Any) -> Any:
        """A long replay is asked for piece by piece, so that others come in between."""
        deadline = time.monotonic() + WAIT_S
        while True:
            answer = await self._ask(asked)
            if not answer.code:
                return msgspec.msgpack.decode(answer.body, type=kind)
            if answer.code in LATER and time.monotonic() < deadline:
                continue
            if answer.code == "failed":
                raise RuntimeError(f"{asked!r} failed in the past process, which logged why")
            status = STATUS.get(answer.code, 503)
            headers = retry_after() if status == 503 else None
            raise Problem(status, answer.code, answer.detail, headers=headers)

    async def _ask(self, asked: Asked) -> Answer:
        process = await self._running()
        number = next(self._numbers)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            assert process.stdin is not None
            process.stdin.write(frame(Question(number, asked)))
            await process.stdin.drain()
            return await future
        except (ConnectionError, OSError) as error:
            raise _gone() from error
        finally:
            self._waiting.pop(number, None)

    # --- the process ------------------------------------------------------------------------------

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None:
                self._process = await self._start()
            return self._process

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cli.past_worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdin is not None
        settings = pickle.dumps(_absolute(self._settings))
        process.stdin.write(len(settings).to_bytes(LENGTH_BYTES, "little") + settings)
        self._reading = asyncio.create_task(self._read(process), name="past answers")
        log.info("the past process is %d", process.pid)
        return process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while True:
                head = await process.stdout.readexactly(LENGTH_BYTES)
                body = await process.stdout.readexactly(int.from_bytes(head, "little"))
                answer = msgspec.msgpack.decode(body, type=Answer)
                future = self._waiting.get(answer.number)
                if future is not None and not future.done():
                    future.set_result(answer)
        except asyncio.IncompleteReadError:
            if not self._closing:
                log.warning("the past process has ended")
        finally:
            if self._process is process:
                self._process = None
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(_gone())
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def close(self) -> None:
        """End the process."""
        self._closing = True
        for task in list(self._same.values()):
            task.cancel()
        process = self._process
        if process is None:
            return
        assert process.stdin is not None and self._reading is not None
        process.stdin.close()  # at which it ends by itself
        await asyncio.wait({self._reading}, timeout=END_S)
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Nobody may be left who waits for it."""
    if not task.cancelled():
        task.exception()


def _gone() -> Problem:
    detail = "the process that reads the logs again has ended; try again"
    return Problem(503, "past_unavailable", detail, headers=retry_after())


def _absolute(settings: Settings) -> Settings:
    """The process runs in the program's folder, not in this one's."""
    log_dir = None if settings.log_dir is None else settings.log_dir.absolute()
    paths = {"data_dir": settings.data_dir.absolute(), "log_dir": log_dir}
    return settings.model_copy(update=paths)
