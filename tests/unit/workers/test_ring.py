"""The ring: bounded, contiguous, and never sure of itself where the log may hold more."""

from __future__ import annotations

from domain.batch import EventBatch
from domain.commands import ListInstrument, SetAccount, SubmitOrder
from domain.exchange import Exchange
from domain.wire import encode_batch, encode_command, seal_events
from streams.workers.ring import CommandDeliveries, EventDeliveries, Ring
from streams.workers.sources import DeliveredCommands

SESSION = bytes(8) + b"a system"


class CommandLogInMemory:
    """Rows, and how often they were read."""

    shard = 0

    def __init__(self) -> None:
        self.rows: list[tuple[int, bytes]] = []
        self.reads = 0
        self.rests = 0

    def write(self, count: int) -> None:
        first = len(self.rows) + 1
        self.rows += [(each, b"batch %d" % each) for each in range(first, first + count)]

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        self.reads += 1
        return self.rows[after : after + limit]

    def rest(self) -> None:
        self.rests += 1


def ring_of(**bounds: int) -> tuple[Ring[tuple[int, bytes]], CommandDeliveries]:
    ring: Ring[tuple[int, bytes]] = Ring(**bounds)
    return ring, CommandDeliveries(ring)


def test_takes_what_comes_next_and_nothing_else() -> None:
    ring, deliveries = ring_of()
    for offset in (3, 4, 5, 7, 8):
        deliveries.deliver(offset, b"")
    assert ring.take(0, 10) == []
    assert [position for position, _ in ring.take(4, 10)] == [5, 6]
    assert ring.take(6, 10) == []
    assert [position for position, _ in ring.take(7, 1)] == [8]
    assert [position for position, _ in ring.take(8, 10)] == [9]


def test_repeats_of_what_was_delivered_are_dropped() -> None:
    ring, deliveries = ring_of()
    for offset in (0, 1, 0, 1, 2):
        deliveries.deliver(offset, b"")
    assert [position for position, _ in ring.take(0, 10)] == [1, 2, 3]


def test_the_oldest_give_way_to_the_newest_by_count_and_by_bytes() -> None:
    for bounds, size in (({"records_max": 3}, 1), ({"bytes_max": 30}, 10)):
        ring, deliveries = ring_of(**bounds)
        for offset in range(10):
            deliveries.deliver(offset, bytes(size))
        assert ring.take(0, 10) == []
        assert [position for position, _ in ring.take(7, 10)] == [8, 9, 10]


def test_one_record_larger_than_the_ring_is_held() -> None:
    ring, deliveries = ring_of(bytes_max=10)
    deliveries.deliver(0, bytes(100))
    assert len(ring.take(0, 1)) == 1


def test_room_is_what_keeps_a_quick_sender_back() -> None:
    ring, deliveries = ring_of(records_max=4)
    deliveries.deliver(0, b"")
    deliveries.deliver(1, b"")
    assert ring.room.is_set()
    deliveries.deliver(2, b"")
    assert not ring.room.is_set()
    ring.take(0, 2)
    assert ring.room.is_set()


def test_the_log_is_read_at_the_start_after_a_gap_and_when_asked_and_else_not() -> None:
    log = CommandLogInMemory()
    ring, deliveries = ring_of()
    source = DeliveredCommands(log, ring)
    log.write(3)
    assert source.read(0, 10) == log.rows
    assert source.read(3, 10) == []
    reads = log.reads
    assert source.read(3, 10) == []
    assert log.reads == reads, "the log was read though nothing was delivered"

    log.write(1)
    deliveries.deliver(3, b"batch 4")
    assert source.read(3, 10) == [(4, b"batch 4")]
    assert log.reads == reads

    log.write(2)
    deliveries.deliver(5, b"batch 6")
    assert source.read(4, 10) == log.rows[4:]
    assert log.reads == reads + 1, "a gap is read from the log"

    log.write(1)
    assert source.read(6, 10) == []
    ring.look()
    assert source.read(6, 10) == log.rows[6:]


def test_a_look_asked_for_during_a_look_is_not_lost() -> None:
    ring, _ = ring_of()
    number = ring.wants_look(0)
    ring.look()
    ring.looked(number)
    assert ring.wants_look(0) != 0
    ring.looked(ring.wants_look(0))
    assert ring.wants_look(0) == 0


def test_the_log_fetches_nothing_ahead_once_it_was_read_to_its_end() -> None:
    log = CommandLogInMemory()
    ring, deliveries = ring_of()
    source = DeliveredCommands(log, ring)
    log.write(2)
    assert source.read(0, 10) == log.rows
    assert log.rests == 0, "there may be more"
    assert source.read(2, 10) == []
    assert log.rests == 1
    log.write(1)
    deliveries.deliver(2, b"batch 3")
    assert source.read(2, 10) == [(3, b"batch 3")]
    assert source.read(3, 10) == []
    assert log.rests == 1


def event_records(record_bytes_max: int) -> list[list[bytes]]:
    """The records of three event batches; the second needs several where records are small."""
    exchange, chain, batches = Exchange(0), bytes(32), []
    orders = [SubmitOrder(1, 1, 0, 0, 1, 100 * (each + 1), 5) for each in range(60)]
    listing = [SetAccount(1), ListInstrument(1, b"AAPL", 100, 1)]
    for number, commands in enumerate((listing, orders, orders[:1]), start=1):
        batch = encode_batch(SESSION, number, number, [encode_command(each) for each in commands])
        records, chain = seal_events(exchange.apply(number, batch), chain, record_bytes_max)
        batches.append(records)
    return batches


def delivered(records: list[bytes]) -> tuple[list[EventBatch], Ring[EventBatch]]:
    ring: Ring[EventBatch] = Ring()
    deliveries = EventDeliveries(ring)
    ring.looked(ring.wants_look(0))
    for offset, record in enumerate(records):
        deliveries.deliver(offset, record)
    return ring.take(0, 10), ring


def test_parts_are_joined_to_whole_batches() -> None:
    whole = [records[0] for records in event_records(900_000)]
    parted = event_records(1_024)
    assert len(parted[1]) > 2
    batches, _ = delivered([record for records in parted for record in records])
    assert [batch.record for batch in batches] == whole


def test_the_records_of_a_slower_matcher_change_nothing() -> None:
    first, second, third = event_records(900_000)
    batches, _ = delivered([*first, *second, *first, *third, *second])
    assert [batch.position for batch in batches] == [1, 2, 3]


def test_what_does_not_join_is_looked_for_in_the_log() -> None:
    first, second, third = event_records(1_024)
    for wrong in ([*first, *second[:1], *third], [*first, second[0], second[2]], [b"no event"]):
        batches, ring = delivered(wrong)
        after = batches[-1].position if batches else 0
        assert ring.wants_look(after) != 0
