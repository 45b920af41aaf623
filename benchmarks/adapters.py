"""Public benchmark files as command batches of ours, made before any clock starts.

Guarantees: the file's i-th message is the i-th command, `BATCH_COMMANDS` a batch from position 2 on
(position 1 lists the instrument and registers the accounts), so the order id that a submit will get
is known in advance; every submit carries a client order id of its own. Formats:
../shared/data/README.md; arXiv:2606.01183 for the tapes.
"""

from __future__ import annotations

import lzma
import statistics
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from domain.codes import GTC, IOC, LIMIT, PRICE_TICKS_MAX, QUANTITY_MAX, REPLACE_REQUEUE
from domain.commands import ListInstrument, SetAccount
from domain.exchange import Exchange
from domain.snapshot import state_hash
from domain.wire import encode_batch, encode_command

BATCH_COMMANDS = 512
FIRST_POSITION = 2
INSTRUMENT = 1
ACCOUNT = 1
NO_SUCH_ORDER = 1  # position 0 does not exist, so no order can have this id
SESSION = b"benchmark-client"

TAPE_HEADER = struct.Struct("<QII")
TAPE_MAGIC = 0x4D4542575F303031
TAPE_MESSAGE = struct.Struct("<BBBxIQQq8x")
NEW, CANCEL, MODIFY = 0, 1, 2
# $0.005 in price ticks of 1/10,000 dollar
TAPE_TICK_SIZE = 50


class AdapterError(ValueError):
    """A file that is not what it should be, or that says what the exchange cannot be told."""


def order_id_at(number: int) -> int:
    """The order id that the file's message `number`, from 0, gives birth to (in shard 0)."""
    return (FIRST_POSITION + number // BATCH_COMMANDS) << 16 | number % BATCH_COMMANDS


def number_of(order_id: int) -> int:
    """The message that gave birth to this order."""
    return ((order_id >> 16) - FIRST_POSITION) * BATCH_COMMANDS + (order_id & 0xFFFF)


def opening(tick_size: int, accounts: int) -> bytes:
    """The batch at position 1: one instrument, accounts 1 to `accounts`."""
    records = [encode_command(ListInstrument(INSTRUMENT, b"TAPE", tick_size, 1))]
    records += [encode_command(SetAccount(1 + number)) for number in range(accounts)]
    return encode_batch(SESSION, 1, 0, records)


def batches_of(records: Iterable[bytes]) -> list[bytes]:
    """Command records as batches for the positions from FIRST_POSITION on."""
    source = iter(records)
    batches: list[bytes] = []
    while group := list(islice(source, BATCH_COMMANDS)):
        batches.append(encode_batch(SESSION, FIRST_POSITION + len(batches), 0, group))
    return batches


@dataclass
class Flow:
    """A file ready to be run: the opening batch and the batches that are timed."""

    opening: bytes
    batches: list[bytes]
    messages: int

    def run(self, exchange: Exchange) -> Iterator[bytes]:
        """The event batches of the timed part, one by one."""
        exchange.apply(1, self.opening)
        for number, batch in enumerate(self.batches):
            yield exchange.apply(FIRST_POSITION + number, batch)


@dataclass
class Rates:
    """Messages a second of several runs."""

    median: float
    best: float


def measure(flow: Flow, runs: int) -> Rates:
    """Time command bytes to event bytes, on a fresh engine each run. The events are dropped, batch
    by batch; every run must write as many bytes and end in the same state.
    """
    rates: list[float] = []
    ends: set[tuple[int, bytes]] = set()
    for _ in range(runs):
        exchange = Exchange(0)
        exchange.apply(1, flow.opening)
        seconds, size = _timed_run(exchange, flow.batches)
        rates.append(flow.messages / seconds)
        ends.add((size, state_hash(exchange)))
    if len(ends) != 1:
        raise AdapterError("two runs of the same commands ended differently")
    return Rates(statistics.median(rates), max(rates))


def _timed_run(exchange: Exchange, batches: list[bytes]) -> tuple[float, int]:
    """(seconds, bytes of the events)."""
    size = 0
    position = FIRST_POSITION
    started = time.perf_counter_ns()
    for batch in batches:
        size += len(exchange.apply(position, batch))
        position += 1
    return max(time.perf_counter_ns() - started, 1) / 1e9, size


# --- tapes --------------------------------------------------------------------------------------


TapeMessage: TypeAlias = tuple[int, int, int, int, int, int, int]


@dataclass
class Tape:
    """A tape's messages: (kind, side, ioc, quantity, sequence number, tape id, price) each.

    `price_offset` is added to the tape's prices where some would not be above 0.
    """

    name: str
    body: bytes
    price_offset: int = 0

    def __len__(self) -> int:
        return len(self.body) // TAPE_MESSAGE.size

    def messages(self, first: int = 0, count: int | None = None) -> Iterator[TapeMessage]:
        """`count` messages from the `first` on; all the rest without a count."""
        end = None if count is None else (first + count) * TAPE_MESSAGE.size
        view = memoryview(self.body)[first * TAPE_MESSAGE.size : end]
        return TAPE_MESSAGE.iter_unpack(view)

    def tape_id(self, number: int) -> int:
        """The order id that message `number` names."""
        return int.from_bytes(self.body[number * 40 + 16 : number * 40 + 24], "little")

    def price_of(self, price_ticks: int) -> int:
        """The tape's price of a price of ours."""
        return price_ticks // TAPE_TICK_SIZE - self.price_offset


def read_bytes(path: Path) -> bytes:
    """A file's bytes, unpacked where it is `.xz`."""
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def read_tape(path: Path) -> Tape:
    """Read and check a tape. Raises AdapterError where it is none, or holds what cannot be told."""
    data = read_bytes(path)
    if len(data) < TAPE_HEADER.size:
        raise AdapterError(f"{path.name}: no tape header")
    magic, version, count = TAPE_HEADER.unpack_from(data)
    body = data[TAPE_HEADER.size :]
    if (magic, version) != (TAPE_MAGIC, 1) or len(body) != count * TAPE_MESSAGE.size:
        raise AdapterError(f"{path.name}: not a whole tape of version 1")
    tape = Tape(path.name.split(".bin")[0], body)
    lowest, highest = _check_messages(tape)
    tape.price_offset = max(0, 1 - lowest)
    if (highest + tape.price_offset) * TAPE_TICK_SIZE > PRICE_TICKS_MAX:
        raise AdapterError(f"{tape.name}: prices reach too far for 32 bits of price ticks")
    return tape


def _check_messages(tape: Tape) -> tuple[int, int]:
    """Prove that every message can be told to the exchange; the lowest and the highest price."""
    lowest, highest, last_sequence = 1 << 62, 1, -1
    for kind, side, _, quantity, sequence, _, price in tape.messages():
        if kind > MODIFY or side > 1:
            raise AdapterError(f"{tape.name}: message type {kind}, side {side}")
        if sequence <= last_sequence:
            raise AdapterError(f"{tape.name}: sequence numbers do not ascend at {sequence}")
        last_sequence = sequence
        if kind != CANCEL:
            if not 1 <= quantity <= QUANTITY_MAX:
                raise AdapterError(f"{tape.name}: quantity {quantity} is not 1 to {QUANTITY_MAX}")
            lowest, highest = min(lowest, price), max(highest, price)
    return min(lowest, highest), highest


def flow_of_tape(tape: Tape) -> Flow:
    """The tape as commands: GTC or IOC limit orders, cancels, replaces that lose their place."""
    return Flow(opening(TAPE_TICK_SIZE, 1), batches_of(_tape_records(tape)), len(tape))


def _tape_records(tape: Tape) -> Iterator[bytes]:
    """Command records, packed by `struct` because there are millions of them.

    A tape id names the last order that was given it: used again, it is just another order of ours.
    """
    parties = ACCOUNT | INSTRUMENT << 32
    submit = struct.Struct("<4s4BQII16s").pack
    cancel = struct.Struct("<8sQQ").pack
    replace = struct.Struct("<8sQQII").pack
    submit_head = bytes([1, 5, 16, 0])
    cancel_head = bytes([2, 3, 0, 0, 0, 0, 0, 0])
    replace_head = bytes([3, 4, 0, REPLACE_REQUEUE, 0, 0, 0, 0])
    order_ids: dict[int, int] = {}
    offset = tape.price_offset
    for number, message in enumerate(tape.messages()):
        kind, side, ioc, quantity, _, tape_id, price = message
        ticks = (price + offset) * TAPE_TICK_SIZE
        if kind == NEW:
            order_ids[tape_id] = order_id_at(number)
            tif = IOC if ioc else GTC
            text = b"tape-%011d" % number
            yield submit(submit_head, side, LIMIT, tif, 0, parties, ticks, quantity, text)
        elif kind == CANCEL:
            yield cancel(cancel_head, parties, order_ids.get(tape_id, NO_SUCH_ORDER))
        else:
            order_id = order_ids.get(tape_id, NO_SUCH_ORDER)
            yield replace(replace_head, parties, order_id, ticks, quantity)
