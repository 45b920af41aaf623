"""What befalls the world from outside: crashes, power cuts, servers that go away, rivals, a clock
that jumps, strangers' bytes, and the directory's administrators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.codes import CANCEL_ONLY, CLOSED, HALTED, OPEN
from tests.simulation.processes import ApiProcess, MatchingProcess, ProjectionsProcess
from tests.simulation.scheduler import ProcessDied

if TYPE_CHECKING:
    from tests.simulation.world import World

TURN_S = 0.15
A_DAY_NS = 25 * 3600 * 10**9


class Disasters:
    """Strikes at random moments between `begin` and `end`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.scheduler.random
        self._on = False
        self._strangers = 0

    def begin(self) -> None:
        """From now on."""
        self._on = True
        self._later()

    def end(self) -> None:
        """No more."""
        self._on = False

    def _later(self) -> None:
        self.world.outside.after(self.random.expovariate(1 / TURN_S), self._turn)

    def _turn(self) -> None:
        if self._on:
            for name in (
                "crash",
                "freeze",
                "outage",
                "disk_full",
                "power_cut",
                "events_deleted",
                "rival",
                "stop",
                "sleep",
                "clock_back",
                "garbage",
                "trading_state",
            ):
                if self.world.weather.happens(getattr(self.world.weather.chances, name)):
                    self.world.scheduler.count(name)
                    getattr(self, f"_{name}")()
            self._later()

    # --- one each ---------------------------------------------------------------------------------

    def _crash(self) -> None:
        if self.world.roles:
            self.random.choice(self.world.roles).die("kill -9")

    def _freeze(self) -> None:
        if self.world.roles:
            self.random.choice(self.world.roles).freeze(self.random.random() * 3)

    def _outage(self) -> None:
        world = self.world
        store = self.random.choice([*world.stores, *world.commands])
        for_s = self.random.random() * 1.5
        world.scheduler.note("world", f"{store.name} is away for {for_s:.2f} s")
        store.go_away(for_s)

    def _disk_full(self) -> None:
        store = self.random.choice(self.world.commands)
        self.world.scheduler.note("world", f"{store.name} is full")
        store.fill_up(self.random.random())

    def _power_cut(self, *, everything: bool = False) -> None:
        self.world.scheduler.note("world", "the power fails")
        for role in list(self.world.roles):
            role.die("no power")
        for store in self.world.events:
            store.lose(everything=everything)

    def _events_deleted(self) -> None:
        """Someone stops the exchange and deletes the event logs, which can be made again."""
        self._power_cut(everything=True)

    def _rival(self) -> None:
        role = self.random.choice((MatchingProcess, ProjectionsProcess))
        self.world.spawn(role, supervised=False)

    def _stop(self) -> None:
        for role in list(self.world.roles):
            if isinstance(role, MatchingProcess) and role.following:
                try:
                    role.stop()
                except ProcessDied:
                    return

    def _sleep(self) -> None:
        self.world.scheduler.note("world", "the machine sleeps for 25 hours")
        self.world.clock_ahead_ns += A_DAY_NS
        for api in [role for role in self.world.roles if isinstance(role, ApiProcess)]:
            if api.ready and self.random.random() < 0.7:
                api.after(0.0, api.tick)

    def _clock_back(self) -> None:
        self.world.scheduler.note("world", "the clock is set back")
        self.world.clock_ahead_ns -= self.random.randint(1, 5) * 10**9

    def _garbage(self) -> None:
        """A stranger's bytes in a command log, or its last batch again: they take a position."""
        store = self.random.choice(self.world.commands)
        self._strangers += 1
        session = b"stranger" + self._strangers.to_bytes(8, "big")
        whole = bytearray(store.rows[-1][2] if self.random.random() < 0.7 else b"no batch at all")
        if self.random.random() < 0.7:
            whole[self.random.randrange(len(whole))] ^= 1 << self.random.randrange(8)
        store.put(session, 1, bytes(whole))

    def _trading_state(self) -> None:
        """The administrators; each gateway's follower of the directory carries it to the shards."""
        directory = self.world.directory
        symbols = directory.symbols[self.random.randrange(self.world.shards)]
        kind = self.random.random()
        if kind < 0.15:
            account, killed = self.random.randint(1, 3), self.random.random() < 0.5
            directory.directory.set_killed(account, killed, by="simulation")
        elif kind < 0.6:
            state = self.random.choice((OPEN, CLOSED, HALTED))
            directory.directory.set_trading_state(symbols[-1], state, by="simulation")
        else:
            symbol = self.random.choice(symbols[:-1])
            state = self.random.choice((OPEN, OPEN, HALTED, CANCEL_ONLY))
            directory.directory.set_trading_state(symbol, state, by="simulation")
