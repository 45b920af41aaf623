"""One thread, one queue and one seed: who runs next, and when, is a function of the seed alone.

Guarantees: time is virtual and passes only between steps; a process's callbacks run in the order of
their times, those of one time in the order in which they were asked for (as asyncio promises); a
process that died never runs again, and nothing of it is cleaned up.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

TRACE_STEPS = 60
STEPS_MAX = 20_000


class ProcessDied(BaseException):
    """Unwinds what a process was doing when it was killed. No error: nobody is to catch it."""


class Timer:
    """One callback to come; `cancel` is all that asyncio asks of it."""

    __slots__ = ("arguments", "callback", "context", "process")

    def __init__(
        self,
        process: Process,
        callback: Callable[..., Any],
        arguments: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self.process = process
        self.callback: Callable[..., Any] | None = callback
        self.arguments = arguments
        self.context = context

    def cancel(self) -> None:
        """Never run it."""
        self.callback = None
        self.arguments = ()

    def cancelled(self) -> bool:
        """Whether it will never run."""
        return self.callback is None


class Scheduler:
    """The queue. `random` is the only source of chance in a simulation."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now_s = 0.0
        self.steps = 0
        self.step_crash_chance = 0.0
        self.problems: list[str] = []
        self.counts: Counter[str] = Counter()
        self._queue: list[tuple[float, int, Timer]] = []
        self._serial = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._trace: deque[tuple[float, str, str]] = deque(maxlen=TRACE_STEPS)

    def note(self, who: str, what: str) -> None:
        """Remember a step for the trace of a failure."""
        self._trace.append((self.now_s, who, what))

    def count(self, what: str) -> None:
        """Something happened that the tests want to happen now and then."""
        self.counts[what] += 1

    def trace(self) -> list[str]:
        """The last steps, oldest first."""
        return [f"{at:10.4f}  {who:<14} {what}" for at, who, what in self._trace]

    def problem(self, text: str) -> None:
        """Something that must never be. The run ends after this step."""
        self.note("problem", text)
        self.problems.append(text)

    def push(self, delay_s: float, timer: Timer) -> None:
        """Run `timer` after a delay."""
        self._push_at(self.now_s + delay_s, timer)

    def _push_at(self, at_s: float, timer: Timer) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (at_s, self._serial, timer))

    def run(self, done: Callable[[], bool], for_s: float) -> bool:
        """Run until `done()`, asked after every step; False where it is not within `for_s`, or
        where a problem was found.
        """
        until_s = self.now_s + for_s
        while not self.problems:
            if done():
                return True
            if not self._queue or self._queue[0][0] > until_s:
                return False
            if self.steps > STEPS_MAX:
                self.problem(f"still busy after {STEPS_MAX} steps")
                return False
            self.now_s, _, timer = heapq.heappop(self._queue)
            if timer.process.frozen_until_s > self.now_s:
                self._push_at(timer.process.frozen_until_s, timer)
            else:
                self._run_one(timer)
        return False

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold on to a task until `dispose`, so that nothing is collected at an odd moment."""
        self._tasks.append(task)

    def dispose(self) -> None:
        """The end: what was not finished never will be."""
        for task in self._tasks:
            if not task.done():
                task.get_coro().close()
        self._tasks.clear()
        self._queue.clear()

    def _run_one(self, timer: Timer) -> None:
        process, callback = timer.process, timer.callback
        if callback is None or not process.alive:
            return
        self.steps += 1
        if process.mortal and self.random.random() < self.step_crash_chance:
            self.count("died:between-steps")
            process.die("between two steps")
            return
        asyncio._set_running_loop(process)
        try:
            if timer.context is None:
                callback(*timer.arguments)
            else:
                timer.context.run(callback, *timer.arguments)
        except ProcessDied:
            pass
        except Exception as error:  # noqa: BLE001 - the process says what an error means to it
            process.failed(error)
        finally:
            asyncio._set_running_loop(None)


class Process(asyncio.AbstractEventLoop):
    """A process as its own code sees it: an event loop, which stops dead when the process does."""

    mortal = True

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.scheduler = scheduler
        self.random = scheduler.random
        self.name = name
        self.alive = True
        self.frozen_until_s = 0.0

    def note(self, what: str) -> None:
        """For the trace."""
        self.scheduler.note(self.name, what)

    def die(self, why: str) -> None:
        """Lose everything but what is in the stores."""
        if self.alive:
            self.alive = False
            self.note(f"dies: {why}")
            self.ended()

    def freeze(self, for_s: float) -> None:
        """Do nothing for a while, and then go on as if no time had passed."""
        self.note(f"freezes for {for_s:.2f} s")
        self.frozen_until_s = self.scheduler.now_s + for_s

    def killed(self, why: str) -> ProcessDied:
        """Die in the midst of a call: raise what this returns."""
        self.die(why)
        return ProcessDied(why)

    def ended(self) -> None:
        """It has just died."""

    def failed(self, error: Exception) -> None:
        """A callback raised."""
        self.scheduler.problem(f"{self.name}: {error!r}")

    def after(self, delay_s: float, work: Callable[..., Any], *arguments: Any) -> Timer:
        """Do something later, if still alive."""
        timer = Timer(self, work, arguments, None)
        self.scheduler.push(delay_s, timer)
        return timer

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin a task."""
        task = asyncio.Task(coroutine, loop=self)
        self.scheduler.keep(task)
        return task

    # --- what asyncio and the product ask of a loop -----------------------------------------------

    def call_soon(self, callback, *args, context=None):
        timer = Timer(self, callback, args, context)
        self.scheduler.push(0.0, timer)
        return timer

    call_soon_threadsafe = call_soon

    def call_later(self, delay, callback, *args, context=None):
        timer = Timer(self, callback, args, context)
        self.scheduler.push(max(0.0, delay), timer)
        return timer

    def call_at(self, when, callback, *args, context=None):
        return self.call_later(when - self.scheduler.now_s, callback, *args, context=context)

    def time(self):
        return self.scheduler.now_s

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None):
        return self.start(coro)

    def run_in_executor(self, executor, func, *args):
        future = self.create_future()
        self.after(self.random.random() * 0.002, self._execute, future, func, args)
        return future

    def _execute(self, future, func, args):
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - it is the waiting task's
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    def get_debug(self):
        return False

    def is_running(self):
        return self.alive

    def is_closed(self):
        return False

    def call_exception_handler(self, context):
        if self.alive and "exception" in context:
            self.scheduler.problem(f"{self.name}: {context['exception']!r} was not seen by anyone")
