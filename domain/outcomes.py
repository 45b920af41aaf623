"""What each command of a batch came to, folded from its events: what a gateway answers its client.

Only events that carry the command's own index count, and of executions only the command's own side.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_le
from mypy_extensions import i64

from domain.event_records import (
    LEVEL_CHANGED,
    MASS_CANCELLED,
    ORDER_ACCEPTED,
    ORDER_CANCELLED,
    ORDER_EXECUTED,
    ORDER_EXPIRED,
    ORDER_REJECTED,
    ORDER_REPEATED,
    ORDER_REPLACED,
)
from domain.wire import EVENT_HEADER_BYTES, LOW

ACCEPTED: Final = 0
REJECTED: Final = 1
REPEATED: Final = 2
CANCELLED: Final = 3
REPLACED: Final = 4
MASS_CANCELLED_ALL: Final = 5
DONE: Final = 6


class Outcome:
    """The result of one command.

    `kind` is one of this module's codes. `order_id` is the order born or aimed at;
    `executed_quantity` and `executed_value` (price ticks × quantity, summed) are what this command
    itself traded; `leaves_quantity` is what is open after it; `cancel_reason` tells why a remainder
    was cancelled at once (0: it was not); `count` is the number of orders a mass cancel took."""

    def __init__(self, command_index: i64, kind: i64) -> None:
        self.command_index: i64 = command_index
        self.kind: i64 = kind
        self.order_id: i64 = 0
        self.reason: i64 = 0
        self.executed_quantity: i64 = 0
        self.leaves_quantity: i64 = 0
        self.executed_value: i64 = 0
        self.cancel_reason: i64 = 0
        self.count: i64 = 0


def outcomes_of(record: bytes, first: int, count: int) -> list[Outcome]:
    """Outcomes of the commands `first` to `first + count - 1` of a whole EventBatch, in order."""
    start: i64 = first
    number: i64 = count
    outcomes: list[Outcome] = []
    for offset in range(number):
        outcomes.append(Outcome(start + offset, DONE))
    at: i64 = EVENT_HEADER_BYTES
    size: i64 = len(record)
    while at < size:
        word = read_i64_le(record, at)
        kind = word & 0xFF
        place = ((word >> 16) & 0xFFFF) - start
        if place >= number:
            break
        if place >= 0 and kind != LEVEL_CHANGED:
            _fold(outcomes[place], record, at, kind, word)
        at += ((word >> 8) & 0xFF) << 3
    return outcomes


def _fold(outcome: Outcome, record: bytes, at: i64, kind: i64, word: i64) -> None:
    if kind == ORDER_ACCEPTED:
        outcome.kind = ACCEPTED
        outcome.order_id = read_i64_le(record, at + 16)
        outcome.leaves_quantity = (read_i64_le(record, at + 24) >> 32) & LOW
    elif kind == ORDER_EXECUTED:
        terms = read_i64_le(record, at + 40)
        quantity = (terms >> 32) & LOW
        outcome.executed_quantity += quantity
        outcome.executed_value += quantity * (terms & LOW)
        outcome.leaves_quantity = (read_i64_le(record, at + 8) >> 32) & LOW
    elif kind == ORDER_REPLACED:
        outcome.kind = REPLACED
        outcome.order_id = read_i64_le(record, at + 16)
        outcome.leaves_quantity = (read_i64_le(record, at + 24) >> 32) & LOW
    elif kind == ORDER_CANCELLED or kind == ORDER_EXPIRED:
        if outcome.kind == DONE:
            outcome.kind = CANCELLED
            outcome.order_id = read_i64_le(record, at + 16)
        outcome.leaves_quantity = 0
        outcome.cancel_reason = (word >> 40) & 0xFF
        outcome.count += 1
    elif kind == MASS_CANCELLED:
        outcome.kind = MASS_CANCELLED_ALL
        outcome.order_id = 0
        outcome.count = read_i64_le(record, at + 16)
    elif kind == ORDER_REJECTED:
        outcome.kind = REJECTED
        outcome.reason = (word >> 40) & 0xFF
        outcome.order_id = read_i64_le(record, at + 16)
    elif kind == ORDER_REPEATED:
        outcome.kind = REPEATED
        outcome.order_id = read_i64_le(record, at + 16)
