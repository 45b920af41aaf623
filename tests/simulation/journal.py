"""What clients asked and what they were told. It outlives everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from commands.protocols import Receipt
from domain.outcomes import Outcome

DURABLE = ("done", "pending")
NOT_THERE = ("not_written", "behind")


@dataclass
class Request:
    """Commands that belong together. The first record is like no other request's; `names` are the
    client order ids of the records that give birth to orders. One that is not `repeatable` is sent
    once.
    """

    shard: int
    records: list[bytes]
    names: dict[int, bytes]
    repeatable: bool
    attempts: list[Attempt] = field(default_factory=list)


@dataclass
class Attempt:
    """One arrival of a request at a gateway, and what that claimed of it (None: nothing yet)."""

    request: Request
    wait_s: float
    reads: bool
    claim: str | None = None
    receipt: Receipt | None = None
    outcomes: list[tuple[int, ...]] = field(default_factory=list)

    def answered(self, claim: str, outcomes: Sequence[Outcome]) -> None:
        """The gateway has said this."""
        self.claim = claim
        self.outcomes = [values_of(outcome) for outcome in outcomes]

    def __str__(self) -> str:
        names = b" ".join(self.request.names.values()).decode()
        place = "" if self.receipt is None else f" at {self.receipt.position}"
        return f"{self.claim} to {names or 'a plain order'}{place}, shard {self.request.shard}"


def values_of(outcome: Outcome) -> tuple[int, ...]:
    """All that an outcome says."""
    return (
        outcome.command_index,
        outcome.kind,
        outcome.order_id,
        outcome.reason,
        outcome.executed_quantity,
        outcome.leaves_quantity,
        outcome.executed_value,
        outcome.cancel_reason,
        outcome.count,
    )
