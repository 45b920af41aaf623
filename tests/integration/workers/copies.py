"""The logs of a broker copied into files, so that one judge serves both modes: what the fault tests
hold an embedded exchange against, they hold the workers against."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from domain.exchange import Exchange
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaCommandLog, KafkaEventLog
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from tests.faults.judge import Truth, check_history, check_snapshots, run_again
from tests.faults.judge_books import check_books

PAGE: Final = 512
RECORD_BYTES_MAX: Final = 900_000
COPIED: Final = bytes(8) + b"a copy.."


def copy_logs(connection: KafkaConnection, shard: int, folder: Path) -> int:
    """Copy both logs of a shard, up to where the event log ends; that position."""
    events, copied = KafkaEventLog(connection, shard), SQLiteEventLog(folder, shard)
    upto = events.tail().position
    at = 0
    while at < upto:
        batches = [batch for batch in events.read(at, PAGE) if batch.position <= upto]
        copied.append([(batch.position, [batch.record]) for batch in batches])
        at = batches[-1].position
    source, target = KafkaCommandLog(connection, shard), SQLiteCommandLog(folder, shard)
    at = 0
    while at < upto:
        for position, batch in source.read(at, PAGE):
            if position <= upto:
                at = target.append(COPIED, position, batch)
                assert at == position
    for log in (source, target, events, copied):
        log.close()
    return upto


class Copies:
    """Both logs of every shard in a folder, and what a fresh engine makes of them."""

    def __init__(self, connection: KafkaConnection, shards: int, folder: Path) -> None:
        self.folder = folder
        self.positions = {shard: copy_logs(connection, shard, folder) for shard in range(shards)}
        self.truths: dict[int, Truth] = {
            shard: run_again(folder, shard, upto, 64 * RECORD_BYTES_MAX, seen=[], instruments={})
            for shard, upto in self.positions.items()
        }

    @property
    def engines(self) -> dict[int, Exchange]:
        """The fresh engines, at the end of the logs."""
        return {shard: truth.exchange for shard, truth in self.truths.items()}

    def judge_history(self, dsn: str) -> dict[str, int]:
        """PostgreSQL against a fresh projection; rows by table."""
        return check_history(dsn, self.folder, self.positions)

    def judge_books(self, url: str) -> int:
        """Redis against the engines and a fresh projection; deltas compared."""
        return check_books(url, self.folder, self.engines)

    def judge_snapshots(self, dsn: str) -> int:
        """Every snapshot brought forward; how many there are."""
        return sum(check_snapshots(each, dsn, self.folder) for each in self.truths.values())
