"""The matching role: every shard's matcher, in one process."""

from __future__ import annotations

import logging

from cli.roles.process import begin, required
from cli.settings import Settings
from projections.snapshots import SnapshotStore
from streams.embedded import drive_matchers
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from streams.matcher import Matcher, MatcherLimits

log = logging.getLogger(__name__)


def run_matching(settings: Settings) -> None:
    """The matching role: every shard's matcher, in one process."""
    stop = begin(settings, "matching")
    store = SnapshotStore(
        required(settings.postgres_dsn, "POSTGRES_DSN"), keep=settings.snapshots_kept
    )
    limits = MatcherLimits(
        record_bytes_max=settings.record_bytes_max, snapshot_commands=settings.snapshot_commands
    )
    matchers = [
        Matcher(
            SQLiteCommandLog(settings.logs, shard),
            SQLiteEventLog(settings.logs, shard),
            snapshots=store,
            limits=limits,
        )
        for shard in range(settings.shards)
    ]
    try:
        drive_matchers(matchers, settings.run_dir, stop)
        for matcher in matchers:
            if matcher.dirty_commands:
                matcher.save_snapshot(wait=True)
    except KeyboardInterrupt:
        log.info("stopped while replaying")
