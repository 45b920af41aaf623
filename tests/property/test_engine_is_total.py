"""Nothing that reaches the log can make the engine raise, whoever wrote it; only a newer release's
batch stops it.

Guarantees: random bytes, sound batches with any value in any field, and sound batches of damaged
records all end in an EventBatch, and the books stay whole.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import codes
from domain.codes import BUY, SELL
from domain.commands import (
    CancelOrder,
    ClockTick,
    Command,
    ListInstrument,
    MassCancel,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)
from domain.event_records import decode_events
from domain.exchange import Exchange
from domain.snapshot import restore, snapshot, state_hash
from domain.wire import NewerVersionError, decode_event_header
from tests.property.audit import sums
from tests.property.pair import SHARD, Pair
from tests.property.pools import (
    CLIENT_ORDER_IDS,
    INSTRUMENTS,
    KNOWN_INSTRUMENTS,
    SESSIONS,
    CommandSource,
    opening,
)
from tests.reference.records import batch_of, record_of

QUICK = settings(max_examples=60, deadline=None)

U8 = st.sampled_from((0, 1, 2, 3, 4, 127, 128, 255)) | st.integers(0, 255)
U32 = st.sampled_from(
    (0, 1, 2, 65_535, 10**9, 10**9 + 1, 2**31 - 1, 2**31, 2**32 - 1)
) | st.integers(0, 2**32 - 1)
I64 = st.sampled_from((0, 1, -1, 2**63 - 1, -(2**63))) | st.integers(-(2**63), 2**63 - 1)
TEXT = st.sampled_from(CLIENT_ORDER_IDS) | st.binary(max_size=36)
SYMBOL = st.binary(max_size=8).map(lambda symbol: symbol.rstrip(b"\x00"))

ANY_COMMAND: st.SearchStrategy[Command] = st.one_of(
    st.builds(SubmitOrder, U32, U32, U8, U8, U8, U32, U32, TEXT),
    st.builds(CancelOrder, U32, U32, I64, TEXT),
    st.builds(ReplaceOrder, U32, U32, I64, U32, U32, U8, TEXT),
    st.builds(MassCancel, U32, U32, U8),
    st.builds(SetTradingState, U32, U8),
    st.builds(ClockTick, I64),
    st.builds(ListInstrument, U32, SYMBOL, U32, U32, U32, U8),
    st.builds(
        SetAccount, st.integers(0, 50) | st.integers(1_048_576, 2**32 - 1), U32, st.booleans()
    ),
)


@QUICK
@given(st.lists(ANY_COMMAND, min_size=1, max_size=8))
def test_any_value_in_any_field_is_answered_as_the_reference_answers_it(
    commands: list[Command],
) -> None:
    pair = Pair()
    pair.send(SESSIONS[0], 1, opening())
    pair.send(SESSIONS[0], 2, commands)


@QUICK
@given(st.binary(max_size=400), st.booleans())
def test_random_bytes_are_undecodable(junk: bytes, with_magic: bool) -> None:
    exchange = Exchange(SHARD)
    before = exchange.levels(1, BUY)
    image = exchange.apply(1, (b"XBC1" if with_magic else b"") + junk)
    header = decode_event_header(image)
    assert (header.status, header.event_count, header.position) == (codes.UNDECODABLE, 0, 1)
    assert exchange.levels(1, BUY) == before


@pytest.mark.parametrize("seed", range(3))
def test_damaged_records_in_sound_batches_never_raise_and_leave_books_whole(seed: int) -> None:
    chance = random.Random(seed)
    exchange = Exchange(SHARD)
    source = CommandSource(seed)
    first = [record_of(command) for command in opening()]
    exchange.apply(1, batch_of(first, session=SESSIONS[0], batch_number=1))
    decodable = 0
    for position in range(2, 400):
        source.live = [
            (order_id, account, instrument)
            for instrument in KNOWN_INSTRUMENTS
            for side in (BUY, SELL)
            for order_id, account, _, _ in exchange.orders(instrument, side)
        ]
        records = [
            damaged(record_of(source.command(position, SHARD, index)), chance)
            for index in range(12)
        ]
        batch = batch_of(records, session=SESSIONS[0], batch_number=position)
        image = exchange.apply(position, batch)
        header = decode_event_header(image)
        assert header.event_count == len(decode_events(image))
        decodable += header.status == codes.APPLIED
        check_books(exchange)
    assert decodable > 100
    again = restore(snapshot(exchange))
    assert state_hash(again) == state_hash(exchange)


def damaged(record: bytes, chance: random.Random) -> bytes:
    """Now and then one byte is another, mostly not one of the two that tell the record's length."""
    if chance.randrange(4) > 0:
        return record
    at = chance.randrange(0 if chance.randrange(20) == 0 else 3, len(record))
    return record[:at] + bytes([chance.randrange(256)]) + record[at + 1 :]


def check_books(exchange: Exchange) -> None:
    """Levels are the sums of their orders, and no book is crossed."""
    for instrument in INSTRUMENTS:
        best = []
        for side in (BUY, SELL):
            levels = exchange.levels(instrument, side)
            assert levels == sums(exchange.orders(instrument, side))
            best.append(levels[0][0] if levels else None)
        assert None in best or best[0] < best[1]


@pytest.mark.parametrize(("version", "rules_version"), [(2, 1), (1, 2), (65_535, 65_535)])
def test_a_newer_release_s_batch_stops_the_worker_and_changes_nothing(
    version: int, rules_version: int
) -> None:
    exchange = Exchange(SHARD)
    first = batch_of([record_of(c) for c in opening()], session=SESSIONS[0], batch_number=1)
    exchange.apply(1, first)
    before = state_hash(exchange)
    newer = batch_of(
        [b"of a shape that this release has never seen"],
        session=SESSIONS[0],
        batch_number=2,
        version=version,
        rules_version=rules_version,
    )
    with pytest.raises(NewerVersionError):
        exchange.apply(2, newer)
    assert (exchange.position, state_hash(exchange)) == (1, before)
    exchange.apply(2, batch_of([], session=SESSIONS[0], batch_number=2))


def test_a_position_that_does_not_follow_is_refused() -> None:
    exchange = Exchange(SHARD)
    for position in (0, 2, -1, 1 << 40):
        with pytest.raises(ValueError, match="does not follow"):
            exchange.apply(position, b"")
    assert exchange.position == 0
