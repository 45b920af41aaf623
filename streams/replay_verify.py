"""An event log held against a fresh run of its command log, byte for byte.

Guarantees: the first batch that differs is named, with the byte, the bit and what lies there;
every byte of both logs that means something is looked at (records, their keys and topics), and the
whole range is compared, so that one flipped bit can be told from another history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from domain.codes import UNDECODABLE
from domain.exchange import Exchange
from domain.wire import (
    EVENT_CHAIN_AT,
    EVENT_HEADER_BYTES,
    RULES_VERSION,
    WIRE_VERSION,
    WireError,
    check_batch,
)
from streams.logs import COMMAND_TOPIC, EVENT_TOPIC
from streams.replay_locate import (
    damaged_bit,
    first_bit,
    is_intact,
    where_in_commands,
    where_in_events,
)
from streams.replay_logs import CommandRow, EventRow, LogUnreadableError

COMMANDS = "commands"
EVENTS = "events"


class Events(Protocol):
    """An event log as it is verified."""

    def read(self, after: int, until: int) -> Iterator[EventRow]:
        """The rows after a position, in order, up to `until`."""
        ...


@dataclass(frozen=True)
class Difference:
    """The first thing that is not as a fresh run has it.

    `kind`: `bytes` (the record's bytes), `length` (cut off, or too long), `missing`, `extra`,
    `part` (one part of a batch is missing), `damaged` (a command batch that the matcher could
    decode, and that cannot be decoded now), `lost` (the end of the log), `key` (the row is filed
    under another key or topic than its record tells). `part`, `byte` and `bit` are None where they
    mean nothing; `bits` is how many differ in that record."""

    kind: str
    log: str
    position: int
    what: str
    part: int | None = None
    byte: int | None = None
    bit: int | None = None
    bits: int | None = None


class Verification:
    """Compares up to position `end` of the event log; its methods are hooks of `Replay.run`."""

    def __init__(self, events: Events, end: int) -> None:
        self.end = end
        self.first: Difference | None = None
        self.differing = 0
        self.compared = 0
        self.mended: list[int] = []
        self._batches = _grouped(events.read(0, end))
        self._next: list[EventRow] | None = []  # empty: nothing was read yet
        self._found: list[EventRow] = []
        self._told_at = 0

    @property
    def equal(self) -> bool:
        """Whether nothing differs so far."""
        return self.first is None

    def tell(self, difference: Difference) -> None:
        """Keep the first; count positions."""
        if self.first is None:
            self.first = difference
        if difference.position != self._told_at:
            self._told_at = difference.position
            self.differing += 1

    # --- hooks ------------------------------------------------------------------------------------

    def before(self, _exchange: Exchange, row: CommandRow) -> bytes:
        """Look at the command row; returns the batch to apply: where one flipped bit explains why
        it cannot be decoded though it was applied, the batch as it was.
        """
        self._found = self._take(row.position)
        if is_intact(row.batch):
            self._check_filed(row)
            return row.batch
        if row.position > self.end or self._was_undecodable():
            return row.batch
        try:
            check_batch(row.batch)
        except WireError as error:
            return self._mend(row, str(error))
        raise AssertionError("a batch without its checksum does not decode")

    def after(self, row: CommandRow, image: bytes, chain: bytes) -> None:
        """Compare the fresh EventBatch of a position with the log's."""
        if row.position > self.end:
            return
        if not self._found:
            what = "the event log has no batch of this position"
            self.tell(Difference("missing", EVENTS, row.position, what))
            return
        self.compared += 1
        fresh = image[:EVENT_CHAIN_AT] + chain + image[EVENT_HEADER_BYTES:]
        found = self._found
        if len(found) > 1 or found[0].record != fresh or found[0].part != 0:
            self._compare_parts(row.position, fresh)
        topics = {each.topic for each in found}
        if topics != {EVENT_TOPIC.encode()}:
            what = f"its row's topic is {sorted(topics)[0].decode('latin-1')!r}"
            self.tell(Difference("key", EVENTS, row.position, what))

    def finish(self, reached: int) -> None:
        """Tell of what the event log holds beside the batches up to `reached`."""
        while (ahead := self._ahead()) is not None and ahead <= reached:
            self._tell_extra(ahead)

    def tell_extra(self, commands_end: int, events_end: int) -> None:
        """Tell of batches behind the last command."""
        what = f"the event log goes on to {events_end:,}, the command log ends at {commands_end:,}"
        self.tell(Difference("extra", EVENTS, commands_end + 1, what))
        self.differing += events_end - commands_end - 1

    def tell_ended(self, events_end: int, wanted: int) -> None:
        """Tell of batches that were asked for, behind the event log's end."""
        what = f"the event log ends at {events_end:,}"
        self.tell(Difference("missing", EVENTS, events_end + 1, what))
        self.differing += wanted - events_end - 1

    def tell_lost(self, log: str, end: int) -> None:
        """Tell of a write-ahead file that SQLite does not take whole."""
        what = "its write-ahead file is damaged: what it holds from here on is lost"
        self.tell(Difference("lost", log, end + 1, what))

    def tell_gap(self, position: int) -> None:
        """Tell of a missing command batch; nothing past it can be compared."""
        what = "the command log has no batch of this position; nothing past it can be rebuilt"
        self.tell(Difference("missing", COMMANDS, position, what))

    def tell_strangers(self, count: int, position: int) -> None:
        """Tell of rows that no follower of this shard would find."""
        what = f"{count:,} rows are filed under another shard"
        self.tell(Difference("key", EVENTS, position, what))

    # --- commands ---------------------------------------------------------------------------------

    def _was_undecodable(self) -> bool:
        """Whether the matcher found this batch damaged already, for all that the event log says."""
        return not self._found or self._found[0].record[20:21] == bytes([UNDECODABLE])

    def _mend(self, row: CommandRow, why: str) -> bytes:
        bit = damaged_bit(row.batch)
        if bit is None:
            what = f"it was decoded by the matcher, and cannot be decoded now: {why}"
            self.tell(Difference("damaged", COMMANDS, row.position, what))
            return row.batch
        sound = bit.flipped(row.batch)
        place = where_in_commands(sound, row.batch, bit.byte)
        what = f"{place}; the batch cannot be decoded now ({why}), and can with this bit flipped"
        self.tell(Difference("damaged", COMMANDS, row.position, what, 0, bit.byte, bit.bit, 1))
        self.mended.append(row.position)
        return sound

    def _check_filed(self, row: CommandRow) -> None:
        """A command row's key repeats what its batch says."""
        session, number = row.batch[16:32], int.from_bytes(row.batch[32:40], "little", signed=True)
        if row.topic != COMMAND_TOPIC.encode():
            what = f"its row's topic is {row.topic.decode('latin-1')!r}"
        elif row.filed_session != session.hex().encode():
            what = (
                f"its row is filed under session {row.filed_session.decode('latin-1')}, the batch "
                f"is of {session.hex()}"
            )
        elif row.filed_number != number:
            what = f"its row is filed as number {row.filed_number}, the batch is number {number}"
        else:
            return
        self.tell(Difference("key", COMMANDS, row.position, what))

    # --- events -----------------------------------------------------------------------------------

    def _take(self, position: int) -> list[EventRow]:
        """The log's rows of a position; those of earlier ones are out of place."""
        while (ahead := self._ahead()) is not None and ahead < position:
            self._tell_extra(ahead)
        if ahead != position:
            return []
        found, self._next = self._next, next(self._batches, None)
        assert found is not None
        return found

    def _ahead(self) -> int | None:
        """The position of the log's next batch, None at its end."""
        if self._next == []:
            self._next = next(self._batches, None)
        return None if self._next is None else self._next[0].position

    def _tell_extra(self, position: int) -> None:
        what = "the event log has this position once more, or out of place"
        self.tell(Difference("extra", EVENTS, position, what))
        self._next = next(self._batches, None)

    def _compare_parts(self, position: int, fresh: bytes) -> None:
        """Cut the fresh batch as the log's is cut, and compare part by part."""
        at = EVENT_HEADER_BYTES
        last = len(self._found) - 1
        for part, row in enumerate(self._found):
            if row.part != part:
                what = f"part {part} of this batch is missing in the event log"
                self.tell(Difference("part", EVENTS, position, what, part))
                return
            body = max(0, len(row.record) - EVENT_HEADER_BYTES)
            flags = bytes([1 if part == last else 0]) + part.to_bytes(2, "little")
            head = fresh[:21] + flags + fresh[24:EVENT_HEADER_BYTES]
            expected = head + (fresh[at:] if part == last else fresh[at : at + body])
            at += body
            if row.record != expected:
                self.tell(_compare(position, part, expected, row.record))
                return


def _grouped(rows: Iterator[EventRow]) -> Iterator[list[EventRow]]:
    """Rows that lie one behind the other under one position."""
    group: list[EventRow] = []
    for row in rows:
        if group and row.position != group[0].position:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _compare(position: int, part: int, fresh: bytes, found: bytes) -> Difference:
    """How one part of a batch differs from what a fresh run gives."""
    if _is_newer(fresh, found):
        raise LogUnreadableError(
            f"the event log's position {position:,} was written by a newer release"
        )
    if found[21:22] == b"\x00" and len(found) < len(fresh):
        what = f"part {part + 1} of this batch is missing in the event log"
        return Difference("part", EVENTS, position, what, part + 1)
    differs = first_bit(fresh, found)
    if differs is None:
        what = f"its record has {len(found):,} bytes, a fresh run gives {len(fresh):,}"
        byte = min(len(fresh), len(found))
        return Difference("length", EVENTS, position, what, part, byte, 0)
    bit, bits = differs
    what = where_in_events(fresh, found, bit.byte)
    if EVENT_CHAIN_AT <= bit.byte < EVENT_HEADER_BYTES:
        what += _also_in_body(fresh, found)
    return Difference("bytes", EVENTS, position, what, part, bit.byte, bit.bit, bits)


def _also_in_body(fresh: bytes, found: bytes) -> str:
    """Where the chain differs, whether the events do as well."""
    body = first_bit(fresh[EVENT_HEADER_BYTES:], found[EVENT_HEADER_BYTES:])
    if body is not None:
        place = where_in_events(fresh, found, EVENT_HEADER_BYTES + body[0].byte)
        return f", and {place}: another history from here on"
    if len(fresh) != len(found):
        return ", and the events: another history from here on"
    return ": it does not follow from the batches before, though the events are the same"


def _is_newer(fresh: bytes, found: bytes) -> bool:
    """Whether a newer release wrote the record: it says so, and its chain is another's too. Where
    the chain is the fresh one, the version was damaged.
    """
    if len(found) < EVENT_HEADER_BYTES or found[:4] != fresh[:4]:
        return False
    wire, rules = int.from_bytes(found[4:6], "little"), int.from_bytes(found[6:8], "little")
    chain = slice(EVENT_CHAIN_AT, EVENT_HEADER_BYTES)
    return (wire > WIRE_VERSION or rules > RULES_VERSION) and found[chain] != fresh[chain]
