"""100,000 commands, 10,000 of them malformed: each of those becomes a reject or an undecodable
batch, every other is answered as by the reference book, nothing raises, and the books stay sound.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from domain import codes
from domain.commands import Command, SetAccount, SetTradingState
from domain.event_records import decode_events
from domain.events import Event, OrderRejected
from domain.snapshot import restore, snapshot, state_hash
from domain.wire import CommandHeader, NewerVersionError, check_batch, decode_event_header
from tests.property.audit import Ledger
from tests.property.malformed import DAMAGES, refused, unsound
from tests.property.pair import SHARD, Pair
from tests.property.pools import (
    KNOWN_ACCOUNTS,
    KNOWN_INSTRUMENTS,
    SESSIONS,
    CommandSource,
    opening,
)
from tests.reference.records import batch_of, record_of

COMMANDS = 100_000
MALFORMED = COMMANDS // 10
BATCH = 50
CHECKED_EVERY = 100  # batches between two looks at every order


class Flood:
    """The stream, sent batch by batch to an engine and to the reference."""

    def __init__(self, seed: int) -> None:
        self.pair = Pair()
        self.chance = random.Random(seed)
        self.source = CommandSource(seed, odd_one_in=200)
        self.ledger = Ledger()
        self.number = 0
        self.sent = Counter[str]()

    def send(self, commands: list[Command]) -> list[Event]:
        """A sound batch; its events, which are the reference's."""
        self.number += 1
        records = [record_of(command) for command in commands]
        batch = batch_of(records, session=SESSIONS[0], batch_number=self.number)
        header = CommandHeader(SESSIONS[0], self.number, 0, len(commands))
        position = self.pair.position + 1
        found = decode_events(self.pair.engine.apply(position, batch))
        expected = self.pair.reference.apply(position, header, commands)
        if found != expected:
            pair = next((a, b) for a, b in zip(found, expected, strict=False) if a != b)
            pytest.fail(f"position {position}: {pair[0]} where the reference says {pair[1]}")
        self.ledger.add(found)
        return found

    def send_unsound(self) -> None:
        """A damaged batch of one command: no events, nothing changes."""
        command = self.source.submit()
        batch = unsound(command, SESSIONS[0], self.number + 1, self.chance)
        position = self.pair.position + 1
        image = self.pair.engine.apply(position, batch)
        header = decode_event_header(image)
        assert (header.status, header.event_count) == (codes.UNDECODABLE, 0), batch.hex()
        assert self.pair.reference.apply(position, None, []) == []
        self.sent["undecodable"] += 1

    def mixture(self, malformed: int) -> tuple[list[Command], set[int]]:
        """One batch, and at which places its malformed commands stand."""
        position = self.pair.position + 1
        orders = self.pair.reference.shard.resting()
        self.source.live = [(o.order_id, o.account, book.instrument) for book, o in orders]
        bad = set(self.chance.sample(range(BATCH), malformed))
        commands = [
            refused(self.chance) if index in bad else self.source.command(position, SHARD, index)
            for index in range(BATCH)
        ]
        return commands, bad

    def reopen(self) -> None:
        """Undo what halted, closed and killed, so that the good ones trade."""
        self.send([SetTradingState(number, codes.OPEN) for number in KNOWN_INSTRUMENTS])
        self.send([SetAccount(number) for number in KNOWN_ACCOUNTS])


def test_ten_thousand_malformed_commands_among_a_hundred_thousand() -> None:
    flood = Flood(seed=10)
    flood.send(opening())
    sent = bad_sent = batches = 0
    while sent < COMMANDS:
        malformed = min(flood.chance.randrange(7), MALFORMED - bad_sent)
        commands, bad = flood.mixture(malformed)
        told = flood.send(commands)
        rejects = Counter(e.command_index for e in told if isinstance(e, OrderRejected))
        others = {e.command_index for e in told if not isinstance(e, OrderRejected)}
        assert all(rejects[index] == 1 for index in bad)
        assert not bad & others
        sent, bad_sent = sent + BATCH, bad_sent + len(bad)
        while bad_sent < MALFORMED and bad_sent < sent // 10:
            flood.send_unsound()
            sent, bad_sent = sent + 1, bad_sent + 1
        batches += 1
        if batches % 10 == 0:
            flood.reopen()
        if batches % CHECKED_EVERY == 0:
            flood.ledger.agrees_with(flood.pair.engine)
            flood.ledger.agrees_with(flood.pair.reference)
    assert bad_sent == MALFORMED
    assert MALFORMED / 5 < flood.sent["undecodable"] < MALFORMED
    assert flood.ledger.match_number > COMMANDS / 10, "the good ones traded"
    flood.ledger.agrees_with(flood.pair.engine)
    assert state_hash(restore(snapshot(flood.pair.engine))) == state_hash(flood.pair.engine)


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_makes_a_batch_undecodable_and_changes_nothing(damage: object) -> None:
    chance = random.Random(3)
    pair = Pair()
    pair.send(SESSIONS[0], 1, opening())
    source = CommandSource(3)
    for _ in range(150):
        batch = batch_of([record_of(source.submit())], session=SESSIONS[0], batch_number=2)
        check_batch(batch)
        assert callable(damage)
        try:
            pair.send_unsound(damage(batch, chance))
        except NewerVersionError:
            pytest.fail("no damage may look like a newer release's batch")
    pair.send(SESSIONS[0], 2, [SetAccount(5)])
    assert pair.reference.status == codes.APPLIED
