"""Prometheus metrics of the multicast feed.

Guarantees: a step costs some microseconds whatever it holds. Metrics register with
prometheus_client's default registry once, on import; docs/observability.md describes each."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

MESSAGES: Final = Counter("crossbook_feed_messages", "Messages of the multicast feed", ["shard"])
PACKETS: Final = Counter("crossbook_feed_packets", "Packets of the multicast feed", ["shard"])
BYTES: Final = Counter(
    "crossbook_feed_bytes", "Bytes of packets of the multicast feed, headers included", ["shard"]
)
SENT: Final = Counter(
    "crossbook_feed_sent_packets", "Packets sent on a line, heartbeats not counted", ["line"]
)
SEND_FAILURES: Final = Counter(
    "crossbook_feed_send_failures", "Packets that the system refused to send on a line", ["line"]
)
NOT_SENT: Final = Counter(
    "crossbook_feed_not_sent_packets",
    "Packets that were too old to be sent on the lines: they are there to be asked for",
    ["shard"],
)
WAITING: Final = Gauge(
    "crossbook_feed_waiting_packets", "Packets that wait for the lines' pace", ["shard"]
)
NEXT_SEQUENCE: Final = Gauge(
    "crossbook_feed_next_sequence_messages", "The number of the feed's next message", ["shard"]
)
LAG: Final = Gauge(
    "crossbook_feed_lag_batches", "Batches of the event log that are not in the feed", ["shard"]
)
REQUESTS: Final = Counter(
    "crossbook_feed_requests",
    "Requests for what was missed, by service (rerequest, http, snapshot) and result",
    ["service", "result"],
)
RESENT: Final = Counter(
    "crossbook_feed_resent_messages", "Messages sent again to who asked for them", ["service"]
)
SNAPSHOT_SECONDS: Final = Gauge(
    "crossbook_feed_snapshot_seconds", "How long the last snapshot took to make", ["shard"]
)
SNAPSHOT_CONNECTIONS: Final = Gauge(
    "crossbook_feed_snapshot_connections", "Connections to the snapshot service that are open"
)
