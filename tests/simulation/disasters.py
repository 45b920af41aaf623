"""What befalls the world from outside: crashes, power cuts, servers that go away, rivals, a clock
that jumps, strangers' bytes, and the directory's administrators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventsourcing.persistence import IntegrityError, PersistenceError

from domain.codes import CANCEL_ONLY, CLOSED, HALTED, OPEN
from domain.commands import SetTradingState
from domain.wire import encode_command
from streams.directory_follower import DIRECTORY_SESSION
from tests.simulation.clients import NAMED_INSTRUMENTS, PLAIN_INSTRUMENT
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
        self.notices: list[tuple[int, bytes]] = []  # of the directory: shard, command record
        self._on = False
        self._strangers = 0
        self._told = 0

    def begin(self) -> None:
        """From now on."""
        self._on = True
        self._later()

    def end(self) -> None:
        """No more; but every instrument is to be open in the end."""
        self._on = False
        for shard in range(self.world.shards):
            for instrument in (*NAMED_INSTRUMENTS, PLAIN_INSTRUMENT):
                self._notice(shard, instrument, OPEN)
        self._later()

    def done(self) -> bool:
        """Whether the log has all that the directory says."""
        return self._told == len(self.notices)

    def _later(self) -> None:
        self.world.outside.after(self.random.expovariate(1 / TURN_S), self._turn)

    def _turn(self) -> None:
        if self._on:
            for name in (
                "crash",
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
        self._tell()
        if self._on or not self.done():
            self._later()

    # --- one each ---------------------------------------------------------------------------------

    def _crash(self) -> None:
        self.random.choice(self.world.roles).die("kill -9") if self.world.roles else None

    def _outage(self) -> None:
        world = self.world
        stores = [*world.commands, *world.commands, *world.events, *world.sinks, world.snapshots]
        store, for_s = self.random.choice(stores), self.random.random() * 1.5
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

    # --- the directory ----------------------------------------------------------------------------

    def _trading_state(self) -> None:
        world = self.world
        shard = self.random.randrange(world.shards)
        if self.random.random() < 0.6:
            self._notice(shard, PLAIN_INSTRUMENT, self.random.choice((OPEN, CLOSED, HALTED)))
        else:
            state = self.random.choice((OPEN, OPEN, HALTED, CANCEL_ONLY))
            self._notice(shard, self.random.choice(NAMED_INSTRUMENTS), state)

    def _notice(self, shard: int, instrument: int, state: int) -> None:
        self.notices.append((shard, encode_command(SetTradingState(instrument, state))))

    def _tell(self) -> None:
        """Every gateway has a follower of the directory; each writes what it thinks is next."""
        apis = [role for role in self.world.roles if isinstance(role, ApiProcess) and role.ready]
        for api in apis:
            while self._told < len(self.notices):
                shard, record = self.notices[self._told]
                number = self._told + 2
                try:
                    api.gateway.write_system(shard, DIRECTORY_SESSION, number, [record])
                except IntegrityError:
                    pass
                except (PersistenceError, ProcessDied):
                    break
                self._told += 1
