"""Prometheus metrics of the write side: what a gateway's sequencers wrote, how long that took, and
what waits.

Guarantees: a batch costs a few microseconds whatever it holds; nothing is done for each command.
Metrics register with prometheus_client's default registry once, on import."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# Seconds. From a commit that the disk's cache answers to a write that a client gives up on.
LATENCY_BUCKETS_S: Final = (
    *(0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

WRITTEN_COMMANDS: Final = Counter(
    "crossbook_written_commands", "Commands made durable by this gateway", ["shard"]
)
WRITTEN_BATCHES: Final = Counter(
    "crossbook_written_batches", "Batches made durable by this gateway", ["shard"]
)
WRITE_FAILURES: Final = Counter(
    "crossbook_write_failures",
    "Batches that the log did not take (not_written) or did not answer for (outcome_unknown)",
    ["shard", "kind"],
)
QUEUE_SECONDS: Final = Histogram(
    "crossbook_sequencer_queue_seconds",
    "Wait of a batch's oldest request until the batch was taken, one observation a batch",
    ["shard"],
    buckets=LATENCY_BUCKETS_S,
)
COMMAND_APPEND_SECONDS: Final = Histogram(
    "crossbook_command_append_seconds",
    "Time to make one batch of commands durable",
    ["shard"],
    buckets=LATENCY_BUCKETS_S,
)
PENDING_COMMANDS: Final = Gauge(
    "crossbook_sequencer_pending_commands", "Commands that wait to be written", ["shard"]
)


class SequencerMetrics:
    """One sequencer's metrics."""

    def __init__(self, shard: int) -> None:
        self._shard = str(shard)
        self._commands = WRITTEN_COMMANDS.labels(self._shard)
        self._batches = WRITTEN_BATCHES.labels(self._shard)
        self._queued = QUEUE_SECONDS.labels(self._shard)
        self._appended = COMMAND_APPEND_SECONDS.labels(self._shard)

    def watch_pending(self, count: Callable[[], int]) -> None:
        """Have every scrape ask a bound method how many commands wait; it is held weakly, and
        counts 0 once its object is gone.
        """
        held = weakref.WeakMethod(count)

        def pending() -> float:
            method = held()
            return float(method()) if method is not None else 0.0

        PENDING_COMMANDS.labels(self._shard).set_function(pending)

    def written(self, commands: int, waited_s: float, append_s: float) -> None:
        """One batch is durable, after its oldest request waited `waited_s`."""
        self._commands.inc(commands)
        self._batches.inc()
        self._queued.observe(waited_s)
        self._appended.observe(append_s)

    def failed(self, kind: str) -> None:
        """One batch was not written: `not_written` or `outcome_unknown`."""
        WRITE_FAILURES.labels(self._shard, kind).inc()
