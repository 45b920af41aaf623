"""What the write side needs of the log and of the matcher, whichever mode the exchange runs in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.outcomes import Outcome


@dataclass(frozen=True)
class Receipt:
    """Where commands lie in a shard's command log: durable, whatever happens next."""

    shard: int
    position: int
    first_index: int
    count: int


class NotWrittenError(Exception):
    """The commands are not in the log and will not be. Safe to send again."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutcomeUnknownError(Exception):
    """The log did not say whether it took the commands. Send again with the same client order
    ids.
    """


class BehindError(Exception):
    """The matcher lags too far for new commands to be taken."""


class CommandLog(Protocol):
    """One shard's command log. Every call blocks."""

    shard: int

    def append(self, session: bytes, batch_number: int, batch: bytes) -> int:
        """Make one CommandBatch durable and return its position.

        Raises eventsourcing's IntegrityError where (session, batch_number) is there already,
        PersistenceError where the store failed."""
        ...

    def position_of(self, session: bytes, batch_number: int) -> int | None:
        """Where that batch lies, None where it is not in the log."""
        ...

    def last_batch_number(self, session: bytes) -> int:
        """The session's highest batch number in the log, 0 where it has none."""
        ...


class Gateway(Protocol):
    """How command endpoints write and learn the outcome."""

    async def write(self, shard: int, records: Sequence[bytes]) -> Receipt:
        """Append command records, in order, and return once they are durable.

        Raises NotWrittenError, OutcomeUnknownError or BehindError.
        """
        ...

    async def outcomes(self, receipt: Receipt, wait_s: float) -> list[Outcome] | None:
        """What the commands came to; None where they were not matched within `wait_s`."""
        ...

    def matched(self, shard: int) -> int:
        """The last position known to be matched."""
        ...

    def written(self, shard: int) -> int:
        """The last position known to be in the command log."""
        ...

    def stalled_s(self, shard: int) -> float:
        """For how long something has waited to be matched and nothing was; 0 when caught up."""
        ...

    async def chain_at(self, shard: int, position: int) -> bytes | None:
        """The running hash after a position of the event log, None where it is not there yet.

        Raises PersistenceError.
        """
        ...


class Progress(Protocol):
    """How far each sink got, as its wakes tell."""

    async def reached(self, sink: str, shard: int, position: int, wait_s: float) -> bool:
        """Wait until `sink` has applied `position` of `shard`; False where it did not within
        `wait_s`.
        """
        ...

    def at(self, sink: str, shard: int) -> int:
        """The last position heard of, 0 where nothing was heard."""
        ...
