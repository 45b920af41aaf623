"""The engine and the reference, fed alike and compared after every batch.

Guarantees: each batch goes to the engine, to a second engine that may be replaced by one restored
from its own snapshot, and to the reference; events, headers, levels, orders, bytes and state hashes
are equal after each.
"""

from __future__ import annotations

from domain import codes
from domain.commands import Command
from domain.event_records import decode_events
from domain.exchange import Exchange
from domain.snapshot import restore, snapshot, state_hash
from domain.wire import CommandHeader, decode_event_header
from tests.property.audit import Ledger
from tests.reference.exchange import ReferenceExchange
from tests.reference.records import batch_of, record_of

SHARD = 3
HEADER_BYTES = 112


class Pair:
    """An engine, its restored twin, the reference and a ledger, fed alike."""

    def __init__(self, shard: int = SHARD) -> None:
        self.engine = Exchange(shard)
        self.twin = Exchange(shard)
        self.reference = ReferenceExchange(shard)
        self.ledger = Ledger()

    @property
    def position(self) -> int:
        """Of the last batch."""
        return self.reference.position

    def send(self, session: bytes, batch_number: int, commands: list[Command]) -> None:
        """One sound batch to all."""
        records = [record_of(command) for command in commands]
        batch = batch_of(records, session=session, batch_number=batch_number, audit_timestamp_ns=7)
        self._compare(batch, CommandHeader(session, batch_number, 7, len(commands)), commands)

    def send_unsound(self, batch: bytes) -> None:
        """Bytes that are no batch."""
        self._compare(batch, None, [])

    def _compare(self, batch: bytes, header: CommandHeader | None, commands: list[Command]) -> None:
        position = self.position + 1
        image = self.engine.apply(position, batch)
        expected = self.reference.apply(position, header, commands)
        found = decode_events(image)
        for at, (event, wanted) in enumerate(zip(found, expected, strict=False)):
            assert event == wanted, f"event {at} of position {position}"
        assert len(found) == len(expected)
        self._compare_header(image, header)
        self.twin.books.hints.orders_min = 0  # it looks ahead for orders and pages, the other not
        assert self.twin.apply(position, batch) == image
        assert state_hash(self.twin) == state_hash(self.engine)
        self.ledger.add(found)
        self.ledger.agrees_with(self.engine)
        self.ledger.agrees_with(self.reference)
        for instrument in self.ledger.instruments:
            for side in (codes.BUY, codes.SELL):
                of_engine = self.engine.orders(instrument, side)
                assert of_engine == self.reference.orders(instrument, side)

    def _compare_header(self, image: bytes, header: CommandHeader | None) -> None:
        answer = decode_event_header(image)
        assert answer.position == self.position
        assert answer.shard == self.engine.shard
        assert answer.status == self.reference.status
        assert answer.event_count == len(decode_events(image))
        assert answer.body_length == len(image) - HEADER_BYTES
        assert answer.trading_time_ns == self.reference.trading_time_ns
        assert (answer.last, answer.part, answer.chain) == (True, 0, bytes(32))
        if self.reference.status == codes.UNDECODABLE:
            header = CommandHeader(bytes(16), 0, 0, 0)
        assert header is not None
        assert answer.session == header.session
        assert answer.batch_number == header.batch_number
        assert answer.audit_timestamp_ns == header.audit_timestamp_ns
        assert answer.command_count == header.command_count

    def restore_twin(self) -> None:
        """From here on the twin is one that was restored from its own snapshot."""
        self.twin = restore(snapshot(self.twin))
        assert self.twin.position == self.position
        assert state_hash(self.twin) == state_hash(self.engine)
        self.ledger.agrees_with(self.twin)
