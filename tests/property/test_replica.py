"""A replica that saw nothing but event batches has the engine's books after every one of them,
whether it began with nothing or with a snapshot, and refuses batches that cannot be the next."""

from __future__ import annotations

import pytest

from domain import codes
from domain.exchange import Exchange
from domain.snapshot import restore, snapshot
from projections.market_data.replica import ReplicaError, ShardReplica
from tests.property.event_flow import SHARD, Flow


def agrees(replica: ShardReplica, engine: Exchange) -> None:
    """Books, sequences, states and times are equal."""
    assert replica.position == engine.position
    assert replica.trading_time_ns == engine.trading_time_ns
    assert replica.order_count == engine.order_count
    assert replica.instruments() == engine.instruments()
    for instrument in engine.instruments():
        expected: list[tuple[int, int, int, int]] = []
        for side in (codes.BUY, codes.SELL):
            assert replica.levels(instrument, side) == engine.levels(instrument, side)
            assert replica.levels(instrument, side, 2) == engine.levels(instrument, side)[:2]
            found = engine.orders(instrument, side)
            expected += [(order_id, side, price, leaves) for order_id, _, price, leaves in found]
        assert replica.orders(instrument) == expected
        assert replica.book_sequence(instrument) == engine.book_sequence(instrument)
        assert replica.trading_state(instrument) == engine.trading_state(instrument)


@pytest.mark.parametrize("seed", range(3))
def test_a_replica_has_the_engines_books_after_every_batch(seed: int) -> None:
    flow = Flow(seed)
    replica = ShardReplica(Exchange(SHARD))
    replica.apply(flow.answers[0])
    for _ in range(400):
        replica.apply(flow.add())
        agrees(replica, flow.engine)
    assert flow.engine.books.match_number > 300
    assert [replica.symbol(each) for each in (1, 2, 20)] == [b"AAPL", b"BRK/A", b"ZVZZT^^^"]


def test_a_replica_that_begins_with_a_snapshot_ends_alike() -> None:
    flow = Flow(11)
    replicas: list[ShardReplica] = []
    for number in range(300):
        if number % 60 == 0:
            replicas.append(ShardReplica(restore(snapshot(flow.engine))))
        answer = flow.add()
        for replica in replicas:
            replica.apply(answer)
    for replica in replicas:
        agrees(replica, flow.engine)


def test_a_batch_that_is_not_the_next_is_refused() -> None:
    flow = Flow(5)
    replica = ShardReplica(Exchange(SHARD))
    replica.apply(flow.answers[0])
    later = [flow.add() for _ in range(30)]
    with pytest.raises(ReplicaError, match="does not follow"):
        replica.apply(flow.answers[0])
    with pytest.raises(ReplicaError, match="does not follow"):
        replica.apply(later[1])


def test_books_of_another_history_are_noticed() -> None:
    """The batches of one stream, applied to the books of another."""
    flow, other = Flow(5), Flow(6)
    replica = ShardReplica(Exchange(SHARD))
    for answer in [*flow.answers, *(flow.add() for _ in range(20))]:
        replica.apply(answer)
    for _ in range(20):
        other.add()
    with pytest.raises(ReplicaError):
        for _ in range(20):
            replica.apply(other.add())
