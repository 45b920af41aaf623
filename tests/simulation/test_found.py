"""What the simulation found in the product, each as small as it can be told."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from commands.protocols import NotWrittenError, OutcomeUnknownError, Receipt
from commands.sequencer import SESSION_SILENCE_NS_MAX, Limits, SequencerCore
from domain.batch import START, ConflictError
from domain.commands import SubmitOrder
from domain.wire import NewerVersionError, encode_batch, encode_command
from streams.drivers import GO_ON, SinkDriver
from streams.follower import Follower, FollowerLimits
from streams.gateway import (
    WAITERS_SWEPT_MIN,
    GatewayLimits,
    GatewayShard,
    LogGateway,
    ProgressBoard,
)
from streams.matcher import Matcher, MatcherLimits
from tests.simulation.logs import (
    CommandHandle,
    CommandStore,
    EventHandle,
    EventStore,
    SnapshotHandle,
    SnapshotShelf,
)
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.sinks import SimulatedSink, books_store
from tests.simulation.weather import Weather

ORDER = encode_command(SubmitOrder(1, 1, 0, 0, 1, 100, 1))
OWN = b"own session...16"


class Room:
    """One shard's stores and one process, on a quiet day."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(0)
        weather = Weather(self.scheduler)
        self.process = Process(self.scheduler, "process")
        self.commands, self.events = CommandStore(weather, 0), EventStore(weather, 0)
        self.snapshots, self.books = SnapshotShelf(weather), books_store(weather)
        self.clock_ns = 10**18

    def fill(self, batches: int) -> None:
        for number in range(len(self.commands.rows) + 1, len(self.commands.rows) + batches + 1):
            self.commands.put(OWN, number, encode_batch(OWN, number, 0, [ORDER]))

    def matcher(self) -> Matcher:
        matcher = Matcher(
            CommandHandle(self.commands, self.process),
            EventHandle(self.events, self.process),
            snapshots=SnapshotHandle(self.snapshots, self.process),
            limits=MatcherLimits(read_batches_max=10),
        )
        matcher.recover()
        return matcher

    def sequencer(self) -> SequencerCore:
        sessions = iter(range(1, 100))
        return SequencerCore(
            CommandHandle(self.commands, self.process),
            limits=Limits(),
            on_written=lambda position: None,
            clock_ns=lambda: self.clock_ns,
            new_session=lambda: next(sessions).to_bytes(16, "little"),
        )

    def run(self, scenario: Callable[[], Any]) -> None:
        """Run a coroutine function to its end."""
        tasks = []
        self.process.after(0, lambda: tasks.append(self.process.start(scenario())))
        assert self.scheduler.run(lambda: bool(tasks) and tasks[0].done(), 60), "it never ended"
        tasks[0].result()


@pytest.fixture
def room() -> Room:
    return Room()


def test_a_matcher_starts_while_the_snapshots_cannot_be_read(room: Room) -> None:
    room.fill(5)
    room.matcher().step()
    room.snapshots.go_away(1e9)
    assert room.matcher().exchange.position == 5


def test_what_lies_before_a_newer_releases_batch_is_answered(room: Room) -> None:
    room.fill(3)
    newer = bytearray(encode_batch(OWN, 4, 0, [ORDER]))
    newer[8] += 1
    room.commands.put(OWN, 4, sealed(newer))
    matcher = room.matcher()
    assert matcher.step() == 3
    with pytest.raises(NewerVersionError):
        matcher.step()
    assert room.events.tail() == 3


def sealed(batch: bytearray) -> bytes:
    """With the checksum of what it holds now."""
    return bytes(batch[:4]) + zlib.crc32(batch[8:]).to_bytes(4, "little") + bytes(batch[8:])


def written(room: Room, sequencer: SequencerCore, sleep_ns: int = 0) -> bytes:
    """Write one batch, perhaps with a long sleep just before it reaches the log."""
    batch = sequencer.take()
    assert batch is not None
    room.clock_ns += sleep_ns
    sequencer.settle(batch, sequencer.write_out(batch))
    return batch.session


def test_a_session_that_was_silent_for_long_is_given_up(room: Room) -> None:
    async def scenario() -> None:
        sequencer = room.sequencer()
        sessions = []
        for silence_ns in (0, SESSION_SILENCE_NS_MAX, SESSION_SILENCE_NS_MAX + 1):
            room.clock_ns += silence_ns
            asked = room.process.start(sequencer.write([ORDER]))
            await asyncio.sleep(0)
            sessions.append(written(room, sequencer))
            await asked
        assert sessions[0] == sessions[1] != sessions[2]

    room.run(scenario)


def test_a_batch_that_a_sleeping_machine_wrote_late_is_not_acknowledged(room: Room) -> None:
    async def scenario() -> None:
        sequencer = room.sequencer()
        for sleep_ns, told in ((0, Receipt), (SESSION_SILENCE_NS_MAX + 1, OutcomeUnknownError)):
            asked = room.process.start(sequencer.write([ORDER]))
            await asyncio.sleep(0)
            written(room, sequencer, sleep_ns)
            (answer,) = await asyncio.gather(asked, return_exceptions=True)
            assert isinstance(answer, told)

    room.run(scenario)


def test_a_log_that_fails_in_an_unforeseen_way_leaves_nobody_waiting(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        sequencer = room.sequencer()
        asked = room.process.start(sequencer.write([ORDER]))
        await asyncio.sleep(0)
        with monkeypatch.context() as patch:
            patch.setattr(CommandStore, "put", lambda *_: [][0])
            first = written(room, sequencer)
        (answer,) = await asyncio.gather(asked, return_exceptions=True)
        assert isinstance(answer, OutcomeUnknownError)
        asked = room.process.start(sequencer.write([ORDER]))
        await asyncio.sleep(0)
        assert written(room, sequencer) != first
        assert await asked == Receipt(0, 1, 0, 1)

    room.run(scenario)


def test_an_outcome_that_cannot_be_read_is_not_known_yet(room: Room) -> None:
    async def scenario() -> None:
        events = EventHandle(room.events, room.process)
        commands = CommandHandle(room.commands, room.process)
        shard = GatewayShard(commands, room.sequencer(), events)
        gateway = LogGateway([shard], limits=GatewayLimits(), tell=lambda *_: None)
        room.fill(1)
        room.matcher().step()
        gateway.look()
        room.events.go_away(1.0)
        assert await gateway.outcomes(Receipt(0, 1, 0, 1), 5.0) is None
        room.events.come_back()
        with pytest.raises(NotWrittenError, match="repeat"):
            room.commands.put(b"x" * 16, 1, encode_batch(OWN, 1, 0, [ORDER]))
            room.matcher().step()
            gateway.look()
            await gateway.outcomes(Receipt(0, 2, 0, 1), 5.0)

    room.run(scenario)


class Told:
    """Who was woken, and of what."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    def send(self, name: str, topic: str, shard: int, position: int) -> bool:
        self.positions.append(position)
        return True


def driver_of(room: Room, told: Told, prepare: Callable[[Follower], None]) -> SinkDriver:
    source, sink = EventHandle(room.events, room.process), SimulatedSink(room.books, room.process)
    follower = Follower(source, sink, limits=FollowerLimits())
    return SinkDriver(follower, told, transient=(), prepare=prepare)


def test_an_idle_sink_tells_those_who_started_later(room: Room) -> None:
    room.fill(2)
    room.matcher().step()
    told = Told()
    driver = driver_of(room, told, lambda follower: None)
    for _ in range(4):
        driver.turn()
    assert told.positions == [2, 2, 2]


def test_a_race_for_an_empty_store_is_lost_without_alarm(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.fill(2)
    room.matcher().step()
    losses = [ConflictError("another loaded it")]

    def prepare(follower: Follower) -> None:
        if losses:
            raise losses.pop()

    driver = driver_of(room, Told(), prepare)
    assert driver.turn() is not GO_ON
    assert room.books.at(0) == START
    assert driver.turn() is GO_ON
    assert not [record for record in caplog.records if record.levelname == "CRITICAL"]


def test_those_who_gave_up_waiting_are_not_kept(room: Room) -> None:
    async def scenario() -> None:
        board = ProgressBoard()
        for _ in range(20 * WAITERS_SWEPT_MIN):
            assert not await board.reached("postgres", 0, 7, 0.001)
        assert len(board._waiting["postgres", 0]) <= 2 * WAITERS_SWEPT_MIN
        late = [room.process.start(board.reached("postgres", 0, 7, 9.0)) for _ in range(3)]
        room.process.after(0.1, board.advance, "postgres", 0, 7)
        assert [await each for each in late] == [True] * 3

    room.run(scenario)
