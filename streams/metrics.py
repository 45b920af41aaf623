"""Prometheus metrics of the matcher, of the sinks and of the workers that drive them.

Guarantees: a step costs some microseconds whatever it holds; nothing is done for each command or
event. Metrics register with prometheus_client's default registry once, on import; a shard's appear
when the object that reports them is made, and its gauges go with `close`. docs/observability.md
describes each, and a test holds the two together."""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from commands.metrics import LATENCY_BUCKETS_S
from domain.codes import BatchStatus
from domain.wire import EventHeader

# Seconds. What a client notices, up to an outage's length.
DELAY_BUCKETS_S: Final = (
    *(0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
STATUS_NAMES: Final = tuple(status.name.lower() for status in BatchStatus)
# What a sink's error was: its store's, another instance's victory, a history that is not the log's.
STORE, CONFLICT, STOPPED = "store", "conflict", "stopped"

MATCHED_COMMANDS: Final = Counter(
    "crossbook_matched_commands", "Commands applied by the engine", ["shard"]
)
MATCHED_BATCHES: Final = Counter(
    "crossbook_matched_batches",
    "Batches answered, by status: applied, repeat, undecodable",
    ["shard", "status"],
)
EVENTS: Final = Counter("crossbook_events", "Events written to the event log", ["shard"])
MATCHER_POSITION: Final = Gauge(
    "crossbook_matcher_position_batches", "Last position in the event log", ["shard"]
)
APPLY_SECONDS: Final = Histogram(
    "crossbook_matcher_apply_seconds",
    "Time in the engine, one observation a step of up to 64 batches",
    ["shard"],
    buckets=LATENCY_BUCKETS_S,
)
EVENT_APPEND_SECONDS: Final = Histogram(
    "crossbook_event_append_seconds",
    "Time to write a step's events to the event log",
    ["shard"],
    buckets=LATENCY_BUCKETS_S,
)
MATCHER_DELAY_SECONDS: Final = Histogram(
    "crossbook_matcher_delay_seconds",
    "From the gateway's timestamp of a step's last batch to its events in the log",
    ["shard"],
    buckets=DELAY_BUCKETS_S,
)
RECOVERY_SECONDS: Final = Gauge(
    "crossbook_matcher_recovery_seconds", "How long the last recovery took", ["shard"]
)
SNAPSHOTS: Final = Counter(
    "crossbook_snapshots", "Engine snapshots, by result: saved, failed", ["shard", "result"]
)
SNAPSHOT_TIME: Final = Gauge(
    "crossbook_snapshot_timestamp_seconds",
    "When the last snapshot of this process was kept, in Unix time",
    ["shard"],
)
DIRTY_COMMANDS: Final = Gauge(
    "crossbook_snapshot_dirty_commands", "Commands that a restart would replay", ["shard"]
)

SINK_BATCHES: Final = Counter(
    "crossbook_sink_batches", "Batches applied by a sink", ["sink", "shard"]
)
SINK_POSITION: Final = Gauge(
    "crossbook_sink_position_batches", "Last position applied by a sink", ["sink", "shard"]
)
SINK_APPLY_SECONDS: Final = Histogram(
    "crossbook_sink_apply_seconds",
    "Time of one step of a sink: read, fold, commit",
    ["sink", "shard"],
    buckets=LATENCY_BUCKETS_S,
)
SINK_DELAY_SECONDS: Final = Histogram(
    "crossbook_sink_delay_seconds",
    "From the gateway's timestamp of a step's last batch to its commit in the sink's store",
    ["sink", "shard"],
    buckets=DELAY_BUCKETS_S,
)
SINK_ERRORS: Final = Counter(
    "crossbook_sink_errors",
    "Steps that failed, by kind: store, conflict, stopped",
    ["sink", "shard", "kind"],
)
SINK_STOPPED: Final = Gauge(
    "crossbook_sink_stopped",
    "1 while the sink refuses to go on: its history is not the log's",
    ["sink", "shard"],
)
WORKER_RECORDS: Final = Counter(
    "crossbook_worker_records",
    "Records of its topic that a worker was given, repeats among them",
    ["worker", "shard"],
)
WORKER_REBALANCES: Final = Counter(
    "crossbook_worker_rebalances", "Times a worker was given shards anew", ["worker"]
)
WORKER_SHARDS: Final = Gauge(
    "crossbook_worker_assigned_shards", "Shards that a worker has now", ["worker"]
)
CLOCK_TICKS: Final = Counter(
    "crossbook_clock_ticks",
    "Ticks by result: written, repeated (another clock wrote it), failed",
    ["shard", "result"],
)
CLOCK_STOPPED: Final = Gauge(
    "crossbook_clock_stopped", "1 while the clock refuses to tick: its wall time jumped"
)


class MatcherMetrics:
    """One shard's matcher: `header` for each batch of a step, then `stepped`."""

    def __init__(self, shard: int) -> None:
        self._shard = str(shard)
        self._commands = MATCHED_COMMANDS.labels(self._shard)
        self._events = EVENTS.labels(self._shard)
        self._batches = [MATCHED_BATCHES.labels(self._shard, name) for name in STATUS_NAMES]
        self._apply = APPLY_SECONDS.labels(self._shard)
        self._append = EVENT_APPEND_SECONDS.labels(self._shard)
        self._delay = MATCHER_DELAY_SECONDS.labels(self._shard)
        self._position = MATCHER_POSITION.labels(self._shard)
        self._dirty = DIRTY_COMMANDS.labels(self._shard)
        self._saved = SNAPSHOTS.labels(self._shard, "saved")
        self._failed = SNAPSHOTS.labels(self._shard, "failed")

    def recovered(self, position: int, seconds: float) -> None:
        """The matcher stands at the event log's end."""
        self._position.set(position)
        RECOVERY_SECONDS.labels(self._shard).set(seconds)

    def stepped(
        self, headers: list[EventHeader], *, apply_s: float, append_s: float, dirty_commands: int
    ) -> None:
        """One step's batches, never none, are in the event log."""
        commands = events = 0
        counts = [0] * len(STATUS_NAMES)
        for header in headers:
            commands += header.command_count
            events += header.event_count
            counts[header.status] += 1
        self._commands.inc(commands)
        self._events.inc(events)
        for batches, count in zip(self._batches, counts, strict=True):
            if count:
                batches.inc(count)
        self._apply.observe(apply_s)
        self._append.observe(append_s)
        last = headers[-1]
        self._delay.observe(age_s(last.audit_timestamp_ns))
        self._position.set(float(last.position))
        self._dirty.set(dirty_commands)

    def snapshot_saved(self) -> None:
        """A snapshot is in its store."""
        self._saved.inc()
        SNAPSHOT_TIME.labels(self._shard).set_to_current_time()

    def snapshot_failed(self) -> None:
        """A snapshot could not be kept."""
        self._failed.inc()

    def close(self) -> None:
        """This process no longer has the shard: its gauges would only grow stale."""
        for gauge in (MATCHER_POSITION, RECOVERY_SECONDS, SNAPSHOT_TIME, DIRTY_COMMANDS):
            gauge.remove(self._shard)


class SinkMetrics:
    """One sink along one shard."""

    def __init__(self, sink: str, shard: int) -> None:
        self._labels = (sink, str(shard))
        self._batches = SINK_BATCHES.labels(*self._labels)
        self._position = SINK_POSITION.labels(*self._labels)
        self._apply = SINK_APPLY_SECONDS.labels(*self._labels)
        self._delay = SINK_DELAY_SECONDS.labels(*self._labels)
        self._stopped = SINK_STOPPED.labels(*self._labels)

    def stepped(self, batches: int, position: int, *, seconds: float, delay_s: float) -> None:
        """The sink applied so many batches (0: it was caught up) and stands at `position`;
        `delay_s` is the age of the last of them.
        """
        self._stopped.set(0)
        self._position.set(position)
        if batches:
            self._batches.inc(batches)
            self._apply.observe(seconds)
            self._delay.observe(delay_s)

    def failed(self, kind: str) -> None:
        """A step failed: `STORE`, `CONFLICT` or, where it will not go on by itself, `STOPPED`."""
        SINK_ERRORS.labels(*self._labels, kind).inc()
        if kind == STOPPED:
            self._stopped.set(1)

    def close(self) -> None:
        """This process no longer has the shard: its gauges would only grow stale."""
        for gauge in (SINK_POSITION, SINK_STOPPED):
            gauge.remove(*self._labels)


class WorkerMetrics:
    """One distributed worker: `worker` is matching, redis or postgres."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._rebalances = WORKER_REBALANCES.labels(worker)
        self._shards = WORKER_SHARDS.labels(worker)
        self._records: dict[int, Counter] = {}

    def record(self, shard: int) -> None:
        """A record came."""
        counter = self._records.get(shard)
        if counter is None:
            counter = self._records[shard] = WORKER_RECORDS.labels(self._worker, str(shard))
        counter.inc()

    def assigned(self, shards: int) -> None:
        """The consumer group gave this worker shards; it has so many now."""
        self._rebalances.inc()
        self._shards.set(shards)

    def revoked(self, shards: int) -> None:
        """The consumer group took shards away; the worker has so many now."""
        self._shards.set(shards)


def age_s(timestamp_ns: int) -> float:
    """How long ago a gateway's timestamp is, in seconds; 0 for one of a clock ahead of this."""
    return max(0.0, (time.time_ns() - timestamp_ns) / 1e9)
