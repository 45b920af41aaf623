"""A snapshot taken anywhere, and the tail of the log applied to it, equal the whole: byte for byte,
event for event, and in the state at the end.

The stream holds every kind of command and of refusal, several sessions that leave gaps, repeat
themselves and are forgotten, permanent ones, listings and accounts that come late, and batches
whose bytes are unsound; a test says so.
"""

from __future__ import annotations

import random
from functools import cache

import pytest

from domain import codes
from domain.codes import BUY, SELL, EventType
from domain.commands import ClockTick, Command, ListInstrument, SetAccount
from domain.event_records import decode_events
from domain.exchange import Exchange
from domain.snapshot import restore, snapshot, state_hash
from domain.wire import decode_event_header
from tests.property.pair import SHARD
from tests.property.pools import DAY_NS, SESSIONS, CommandSource, opening
from tests.reference.records import batch_of, record_of

SEED = 20
CUTS = 50
BATCHES = 1_500


class Whole:
    """The stream, every answer to it, and the snapshots that were taken on its way."""

    def __init__(self) -> None:
        self.exchange = Exchange(SHARD)
        self.chance = random.Random(SEED)
        self.source = CommandSource(SEED, odd_one_in=15)
        self.numbers = dict.fromkeys(SESSIONS, 0)
        self.batches: list[bytes] = []
        self.answers: list[bytes] = []
        self.snapshots: dict[int, tuple[list[bytes], bytes]] = {}
        self.cuts = [*sorted(self.chance.sample(range(1, BATCHES), CUTS - 2)), 0, BATCHES]
        self.keep()
        while len(self.batches) < BATCHES:
            self.add()
            self.keep()
        self.end_hash = state_hash(self.exchange)

    def keep(self) -> None:
        """A snapshot, where the stream is to be cut."""
        if len(self.batches) in self.cuts:
            kept = (snapshot(self.exchange), state_hash(self.exchange))
            self.snapshots[len(self.batches)] = kept

    def add(self) -> None:
        """Mostly the next batch of some session; now and then a repeat, a gap, or unsound bytes."""
        chance = self.chance
        session = chance.choice(SESSIONS) if self.batches else SESSIONS[0]
        number = self.numbers[session] + chance.choice((1, 1, 1, 1, 1, 1, 1, 3, 0, -1))
        records = [record_of(command) for command in self.commands()]
        stamp = chance.randrange(2**63)
        if not self.batches:
            number = 1
        batch = batch_of(records, session=session, batch_number=number, audit_timestamp_ns=stamp)
        if self.batches and chance.randrange(25) == 0:
            batch = batch[: chance.randrange(len(batch))]
        self.batches.append(batch)
        self.answers.append(self.exchange.apply(len(self.batches), batch))
        status = decode_event_header(self.answers[-1]).status
        if status == codes.APPLIED:
            self.numbers[session] = number
        elif status == codes.REPEAT and number > self.numbers[session]:
            self.numbers[session] = 0  # the engine has forgotten it

    def commands(self) -> list[Command]:
        """Those of one batch. The first opens the shop; later ones enlarge it."""
        position = len(self.batches) + 1
        if position == 1:
            return opening()
        self.source.live = [
            (order_id, account, instrument)
            for instrument in (1, 2, 20)
            for side in (BUY, SELL)
            for order_id, account, _, _ in self.exchange.orders(instrument, side)
        ]
        size = self.chance.choice((0, 1, 6, 20))
        commands = [self.source.command(position, SHARD, index) for index in range(size)]
        if position % 97 == 0:
            commands += [SetAccount(position), ListInstrument(position, b"LATE", 1, 1)]
        if position % 151 == 0:
            now = self.source.time_ns + 1
            self.source.time_ns = now + DAY_NS
            commands += [ClockTick(now), ClockTick(self.source.time_ns)]
        return commands


@cache
def whole() -> Whole:
    """Made once; nothing changes it."""
    return Whole()


def test_the_stream_holds_everything() -> None:
    events = [event for answer in whole().answers for event in decode_events(answer)]
    headers = [decode_event_header(answer) for answer in whole().answers]
    names = {type(event).__name__ for event in events}
    assert len(names) == len(EventType)
    assert {header.status for header in headers} == {
        codes.APPLIED,
        codes.REPEAT,
        codes.UNDECODABLE,
    }
    assert len({event.reason for event in events if hasattr(event, "reason")}) >= 30
    applied = [header for header in headers if header.status == codes.APPLIED]
    assert {header.session for header in applied} == set(SESSIONS)
    assert len(applied) > BATCHES / 2
    began_again = [h.session for h in applied if h.batch_number == 1]
    assert len(began_again) > len(set(began_again)), "a session was forgotten and came back"


@pytest.mark.parametrize("cut", range(CUTS))
def test_a_snapshot_and_the_tail_equal_the_whole(cut: int) -> None:
    told = whole()
    at = told.cuts[cut]
    chunks, hash_then = told.snapshots[at]
    exchange = restore(chunks)
    assert (exchange.position, state_hash(exchange)) == (at, hash_then)
    assert state_hash(restore(snapshot(exchange))) == hash_then
    for position, batch in enumerate(told.batches[at:], start=at + 1):
        answer = exchange.apply(position, batch)
        if answer != told.answers[position - 1]:
            assert decode_events(answer) == decode_events(told.answers[position - 1])
            pytest.fail(f"the header of position {position} differs")
    assert state_hash(exchange) == told.end_hash
    # Client order ids of past days may still lie in one and not in the other: they count nowhere.
    assert state_hash(restore(snapshot(exchange))) == told.end_hash
