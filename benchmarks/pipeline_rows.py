"""What `benchmarks.pipeline` reads from PostgreSQL: how far the rows are, and if all are there.

The history's position is moved in the same transaction as the rows, so a position that can be read
means rows that are committed.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import psycopg

POLL_S = 0.001
REACH_WAIT_S = 120.0
POSITIONS = "SELECT shard, position FROM history.sink_positions"
ORDERS = """
COPY (SELECT order_id, client_order_id FROM history.orders WHERE account = {account})
TO STDOUT
"""


def positions_of(text: str) -> dict[int, int]:
    """Position by shard of an answer's `position`, such as "0-123,1-98"."""
    pairs = (part.split("-") for part in text.split(","))
    return {int(shard): int(position) for shard, position in pairs}


class Rows:
    """One connection that watches the history."""

    def __init__(self, dsn: str) -> None:
        self._connection: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(
            dsn, autocommit=True, prepare_threshold=1
        )

    def positions(self) -> dict[int, int]:
        """Committed position by shard."""
        return {int(shard): int(at) for shard, at in self._connection.execute(POSITIONS)}

    def wait_for(self, wanted: dict[int, int]) -> float:
        """Wait until all positions are committed;

        when that was (monotonic). Raises TimeoutError.
        """
        deadline = time.monotonic() + REACH_WAIT_S
        while True:
            at = self.positions()
            now = time.monotonic()
            if all(at.get(shard, 0) >= position for shard, position in wanted.items()):
                return now
            if now > deadline:
                raise TimeoutError(f"rows at {at} after {REACH_WAIT_S:.0f} s, wanted {wanted}")
            time.sleep(5 * POLL_S)

    def orders(self, account: int) -> list[tuple[int, str]]:
        """(order id, client order id) of every order row of an account."""
        found = []
        query = ORDERS.format(account=int(account))
        with self._connection.cursor() as cursor, cursor.copy(query) as copy:
            for row in copy.rows():
                found.append((int(row[0]), str(row[1])))
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True)
class Verdict:
    """The journal against the rows: acknowledged orders without a row, rows beyond one an order."""

    with_rows: int
    lost: int
    duplicated: int


def judge(acknowledged: dict[str, str], rows: list[tuple[int, str]]) -> Verdict:
    """Compare the client's journal (client order id to order id) with the order rows."""
    found = dict.fromkeys(((str(order_id), name) for order_id, name in rows))
    kept = sum((order_id, name) in found for name, order_id in acknowledged.items())
    counts = Counter(name for _, name in rows)
    duplicated = sum(count - 1 for count in counts.values())
    return Verdict(kept, len(acknowledged) - kept, duplicated)


@dataclass
class Watch:
    """Notes in a thread of its own when each position was first seen committed."""

    rows: Rows
    _stop: threading.Event = field(default_factory=threading.Event)
    _times: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    _positions: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            for shard, position in self.rows.positions().items():
                seen = self._positions[shard]
                if not seen or position > seen[-1]:
                    self._times[shard].append(time.monotonic())
                    seen.append(position)
            time.sleep(POLL_S)

    def committed_at(self, position: dict[int, int]) -> float:
        """When all of it was seen (monotonic). Raises IndexError where it never was."""
        return max(
            self._times[shard][bisect_left(self._positions[shard], at)]
            for shard, at in position.items()
        )
