"""What must kill a mutant: every frozen stream, batch by batch, from the quickest on.

No reference book is asked here, so that a mutant dies in a fraction of a second; that the frozen
answers are the reference's own is for `test_frozen.py` to say.
"""

from __future__ import annotations

import pytest

from domain.exchange import Exchange
from domain.snapshot import restore, snapshot, state_hash
from tests.mutation.streams import STREAMS, answer_digest, read
from tests.property.pair import SHARD


@pytest.mark.parametrize("name", STREAMS)
def test_every_answer_is_the_frozen_one(name: str) -> None:
    frozen = read(name)
    exchange = Exchange(SHARD)
    for position, batch in enumerate(frozen.batches, start=1):
        exchange.books.hints.orders_min = 0  # what is found ahead is used, and must be the same
        answer = exchange.apply(position, batch)
        assert answer_digest(answer) == frozen.answers[position - 1], f"{name}, batch {position}"
        if position == len(frozen.batches) // 2:
            assert state_hash(exchange) == frozen.half_hash
            exchange = restore(snapshot(exchange))
    assert state_hash(exchange) == frozen.end_hash
