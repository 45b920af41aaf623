"""Kills one process of an exchange at random instants.

Guarantees: the instants are drawn before the run, from the seed, evenly over its whole length; each
kill is of a process that lives, and the next waits until another has taken its place.
"""

from __future__ import annotations

import random
import threading
import time

from tests.faults.exchange import FaultExchange


class Killer(threading.Thread):
    """kill -9 of `name`, `kills` times within `seconds`."""

    def __init__(
        self, exchange: FaultExchange, name: str, *, kills: int, seconds: float, seed: int
    ) -> None:
        super().__init__(name=f"killer of {name}", daemon=True)
        chosen = random.Random(f"{seed} {name}")
        self.instants_s = sorted(chosen.uniform(0.0, seconds) for _ in range(kills))
        self.killed = 0
        self.failure: BaseException | None = None
        self._exchange = exchange
        self._victim = name
        self._stopping = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        try:
            for instant_s in self.instants_s:
                if self._stopping.wait(max(0.0, began + instant_s - time.monotonic())):
                    return
                process = self._exchange.kill(self._victim)
                self.killed += 1
                self._exchange.wait_until_replaced(self._victim, process)
        except BaseException as error:  # noqa: BLE001 - told by `finish`, in the test's thread
            self.failure = error

    def finish(self, wait_s: float) -> None:
        """Wait until all instants have come. Raises what went wrong."""
        self.join(timeout=wait_s)
        if self.is_alive():
            self._stopping.set()
            raise TimeoutError(f"{self.name}: {self.killed} of {len(self.instants_s)} kills done")
        if self.failure is not None:
            raise self.failure
