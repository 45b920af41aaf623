"""What goes wrong, how often, and what of it the caller sees.

Guarantees: each seed draws its own mixture of troubles (many seeds lack most of them, so that each
is also met alone); after `calm` nothing goes wrong any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from random import Random
from typing import TypeVar

from tests.simulation.scheduler import Process, Scheduler

T = TypeVar("T")


@dataclass
class Chances:
    """The likelihood of each trouble, each time that it could happen."""

    read_error: float = 0.03
    write_refused: float = 0.04  # nothing was written, and the caller is told of an error
    write_unsaid: float = 0.04  # it was written, and the caller is told of an error
    crash_before: float = 0.008  # inside a call to a store, before its effect
    crash_after: float = 0.008
    crash_step: float = 0.002
    wake_lost: float = 0.2
    wake_doubled: float = 0.1
    wake_refused: float = 0.05  # the mailbox is full
    message_lost: float = 0.06
    message_doubled: float = 0.06
    slow: float = 0.03
    snapshot_damaged: float = 0.2
    snapshot_older: float = 0.2
    crash: float = 0.25  # from here on: of each disaster, at each turn of the world
    freeze: float = 0.1
    outage: float = 0.12
    disk_full: float = 0.06
    power_cut: float = 0.05
    events_deleted: float = 0.02
    rival: float = 0.15
    stop: float = 0.05  # an orderly end of the matching role
    sleep: float = 0.06  # the machine sleeps for more than a day
    clock_back: float = 0.05
    garbage: float = 0.08
    trading_state: float = 0.2


def drawn(random: Random) -> Chances:
    """One seed's mixture: of each trouble none, some, or a lot."""
    chances = Chances()
    if random.random() < 0.05:
        return quiet()
    for each in fields(chances):
        factor = random.choice((0.0, 0.0, 0.3, 1.0, 1.0, 2.0))
        setattr(chances, each.name, min(0.5, getattr(chances, each.name) * factor))
    return chances


def quiet() -> Chances:
    """Nothing goes wrong."""
    return Chances(**{each.name: 0.0 for each in fields(Chances)})


class Weather:
    """The troubles of one run."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.random = scheduler.random
        self.chances = quiet()

    def begin(self, chances: Chances) -> None:
        """From now on things go wrong."""
        self.chances = chances
        self.scheduler.step_crash_chance = chances.crash_step

    def happens(self, chance: float) -> bool:
        """Whether something of that likelihood happens now."""
        return chance > 0 and self.random.random() < chance

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.begin(quiet())

    def latency_s(self, usual_s: float = 0.002) -> float:
        """How long something takes."""
        factor = 200 if self.happens(self.chances.slow) else 1
        return self.random.random() * usual_s * factor


class Store:
    """A store that many processes call, and that fails as the weather is."""

    def __init__(self, weather: Weather, name: str, error: Callable[[str], Exception]) -> None:
        self.weather = weather
        self.name = name
        self.kind = name.partition("-")[0]
        self._error = error
        self._away_until_s = 0.0
        self._full_until_s = 0.0

    def go_away(self, for_s: float) -> None:
        """Answer nobody for a while. What is written in that time may be written all the same."""
        self._away_until_s = self.weather.scheduler.now_s + for_s

    def fill_up(self, for_s: float) -> None:
        """Take nothing for a while."""
        self._full_until_s = self.weather.scheduler.now_s + for_s

    def come_back(self) -> None:
        """Be as ever."""
        self._away_until_s = self._full_until_s = 0.0

    def read(self, process: Process, what: str, effect: Callable[[], T]) -> T:
        """One read by `process`, which may meet an error or its end."""
        chances, weather = self.weather.chances, self.weather
        self._begin(process, what)
        away = weather.scheduler.now_s < self._away_until_s
        if away or weather.happens(chances.read_error):
            raise self._fail(process, what, "no-answer")
        return effect()

    def write(self, process: Process, what: str, effect: Callable[[], T]) -> T:
        """One write by `process`. An error tells nothing of what became of it."""
        chances, weather = self.weather.chances, self.weather
        self._begin(process, what)
        now_s = weather.scheduler.now_s
        if now_s < self._full_until_s or weather.happens(chances.write_refused):
            raise self._fail(process, what, "refused")
        away = now_s < self._away_until_s
        if away and weather.random.random() < 0.5:
            raise self._fail(process, what, "no-answer")
        result = effect()
        if process.mortal and weather.happens(chances.crash_after):
            weather.scheduler.count("died:after-a-call")
            raise process.killed(f"after {self.name}: {what}")
        if away or weather.happens(chances.write_unsaid):
            raise self._fail(process, what, "written-unsaid")
        process.note(f"{self.name}: {what}: written")
        return result

    def _begin(self, process: Process, what: str) -> None:
        if not process.alive:
            raise process.killed("it is dead")
        if process.mortal and self.weather.happens(self.weather.chances.crash_before):
            self.weather.scheduler.count("died:before-a-call")
            raise process.killed(f"before {self.name}: {what}")

    def _fail(self, process: Process, what: str, how: str) -> Exception:
        process.note(f"{self.name}: {what}: {how}")
        self.weather.scheduler.count(f"{self.kind}:{how}")
        return self._error(how)
