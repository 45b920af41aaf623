"""What one client may ask for, and how many may be there."""

from __future__ import annotations

import pytest

from api.stream.limits import REFUSALS_IN_A_ROW_MAX, Connections, MessageRate, StreamSettings
from api.stream.protocol import StreamError


def refused(rate: MessageRate) -> StreamError | None:
    try:
        rate.take()
    except StreamError as error:
        assert error.code == "rate_limited"
        return error
    return None


def test_messages_come_at_most_at_the_rate_after_a_burst() -> None:
    now = 100.0
    rate = MessageRate(10, lambda: now)
    assert [refused(rate) for _ in range(10)] == [None] * 10
    assert refused(rate)
    now += 0.25
    assert [bool(refused(rate)) for _ in range(4)] == [False, False, True, True]
    now += 60
    assert [bool(refused(rate)) for _ in range(12)] == [False] * 10 + [True] * 2


def test_a_client_that_does_not_heed_it_is_cut_off() -> None:
    rate = MessageRate(1, lambda: 0.0)
    rate.take()
    closes = [error.closes for _ in range(REFUSALS_IN_A_ROW_MAX + 1) if (error := refused(rate))]
    assert closes == [False] * REFUSALS_IN_A_ROW_MAX + [True]


def test_connections_are_counted_by_address_key_and_all() -> None:
    settings = StreamSettings(
        connections_max=3, connections_per_address_max=2, connections_per_key_max=1
    )
    counted = Connections(settings)
    counted.enter("a")
    counted.enter("a")
    with pytest.raises(StreamError, match="one address"):
        counted.enter("a")
    counted.enter("b")
    with pytest.raises(StreamError, match="no more"):
        counted.enter("c")
    counted.leave("a")
    counted.enter("a")
    counted.enter_key("k")
    with pytest.raises(StreamError, match="one key"):
        counted.enter_key("k")
    for address in ("a", "a", "b"):
        counted.leave(address)
    counted.leave_key("k")
    assert (counted.open, dict(counted.by_address), dict(counted.by_key)) == (0, {}, {})
