"""The lines A and B: every packet to two multicast groups, a heartbeat each second.

Guarantees: both lines carry the same packets in the same order; sending never waits for longer than
`SEND_WAIT_S` a packet and never fails for the caller: what the system refuses is counted, and told
now and then, and listeners recover it. Beyond `packets_per_s_max` packets wait, in order, and of
more than `waiting_packets_max` the oldest are not sent: they are on disk, to be asked for."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from projections.multicast import metrics
from projections.multicast.packets import header

log = logging.getLogger(__name__)

SEND_WAIT_S: Final = 0.005
SEND_BUFFER_BYTES: Final = 4_000_000
PACE_S: Final = 0.005
BURST_S: Final = 0.05
SAY_EVERY_S: Final = 30.0
SO_SNDTIMEO_VALUE: Final = struct.pack("ll", 0, int(SEND_WAIT_S * 1e6))


@dataclass(frozen=True)
class Line:
    """One line: shard N is sent to `group`, `port` + N."""

    name: str
    group: str
    port: int

    def address(self, shard: int) -> tuple[str, int]:
        """Where a shard's packets go."""
        return self.group, self.port + shard


@dataclass(frozen=True)
class LinePlan:
    """How packets are sent. `interface` is an IPv4 address of this machine, or an interface's
    name.
    """

    lines: tuple[Line, ...]
    interface: str = "127.0.0.1"
    ttl: int = 1
    heartbeat_s: float = 1.0
    packets_per_s_max: int = 20_000
    waiting_packets_max: int = 20_000


class _Channel:
    """One line of one shard: a connected socket, opened when it is first needed."""

    def __init__(self, line: Line, shard: int, plan: LinePlan) -> None:
        self._line = line
        self._address = line.address(shard)
        self._plan = plan
        self._socket: socket.socket | None = None
        self._said_at = float("-inf")
        self._sent = metrics.SENT.labels(line.name)
        self._failed = metrics.SEND_FAILURES.labels(line.name)

    def send(self, packets: Sequence[bytes]) -> None:
        """Send packets; what fails is counted."""
        failed = 0
        for packet in packets:
            try:
                (self._socket or self._connect()).send(packet)
            except OSError as error:
                failed += 1
                self._say(error)
        self._sent.inc(len(packets) - failed)
        if failed:
            self._failed.inc(failed)

    def heartbeat(self, packet: bytes) -> None:
        """Send a heartbeat; a failure is told, and counted."""
        try:
            (self._socket or self._connect()).send(packet)
        except OSError as error:
            self._failed.inc()
            self._say(error)

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        self._socket = open_socket(self._plan, self._address)
        return self._socket

    def _say(self, error: OSError) -> None:
        if not isinstance(error, BlockingIOError):
            self.close()  # an interface that went and came back needs a new one
        if time.monotonic() - self._said_at > SAY_EVERY_S:
            self._said_at = time.monotonic()
            log.warning("line %s cannot send to %s: %s", self._line.name, self._address, error)


def open_socket(plan: LinePlan, address: tuple[str, int]) -> socket.socket:
    """A socket whose `send` sends to a group. Raises OSError where this machine cannot."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, plan.ttl)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        interface = interface_option(plan.interface)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SO_SNDTIMEO_VALUE)
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def interface_option(interface: str) -> bytes:
    """The value of IP_MULTICAST_IF. Raises OSError where there is no such interface."""
    try:
        return socket.inet_aton(interface)
    except OSError:
        return struct.pack("@4s4si", bytes(4), bytes(4), socket.if_nametoindex(interface))


class _ShardLines:
    """Both lines of one shard, and the packets that wait for their pace."""

    def __init__(self, shard: int, plan: LinePlan) -> None:
        self.channels = [_Channel(line, shard, plan) for line in plan.lines]
        self.waiting: deque[tuple[int, bytes]] = deque()
        self.session = b""
        self.next_sequence = 0
        self.not_sent = metrics.NOT_SENT.labels(str(shard))
        self.waits = metrics.WAITING.labels(str(shard))

    def send(self, packets: Sequence[bytes]) -> None:
        for channel in self.channels:
            channel.send(packets)

    def heartbeat(self) -> None:
        """Tell what is expected next: on these lines, not on disk."""
        expected = self.waiting[0][0] if self.waiting else self.next_sequence
        packet = header(self.session, expected, 0)
        for channel in self.channels:
            channel.heartbeat(packet)


class Lines:
    """The lines of every shard of one process. Safe for several threads."""

    def __init__(self, plan: LinePlan) -> None:
        self.plan = plan
        self._shards: dict[int, _ShardLines] = {}
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._tokens = self._burst = max(1.0, plan.packets_per_s_max * BURST_S)
        self._filled_at = time.monotonic()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="feed-lines", daemon=True)

    def start(self) -> None:
        """Begin to send heartbeats."""
        self._thread.start()

    def publish(
        self, shard: int, session: bytes, packets: Sequence[tuple[int, bytes]], next_sequence: int
    ) -> None:
        """Send packets, each with its first sequence, of which `next_sequence` is the next one; at
        once where the pace allows it, else in order from a thread.
        """
        with self._lock:
            lines = self._lines_of(shard)
            lines.session = session
            allowed = 0 if lines.waiting else self._allowed(len(packets))
            if allowed:
                lines.send([packet for _, packet in packets[:allowed]])
            lines.next_sequence = next_sequence
            if allowed < len(packets):
                lines.waiting.extend(packets[allowed:])
                self._forget_oldest(lines)
                self._news.notify()

    def skip(self, shard: int, session: bytes, packets: int, next_sequence: int) -> None:
        """Packets that are too old to be sent: only heartbeats will tell of them."""
        with self._lock:
            lines = self._lines_of(shard)
            lines.not_sent.inc(packets + len(lines.waiting))
            lines.waiting.clear()
            lines.session, lines.next_sequence = session, next_sequence

    def stand_at(self, shard: int, session: bytes, next_sequence: int) -> None:
        """What was published before this process began: heartbeats tell of it."""
        with self._lock:
            lines = self._lines_of(shard)
            if not lines.waiting:
                lines.session, lines.next_sequence = session, next_sequence

    def drop(self, shard: int) -> None:
        """Publish a shard no more."""
        with self._lock:
            lines = self._shards.pop(shard, None)
            if lines is not None:
                for channel in lines.channels:
                    channel.close()

    def close(self) -> None:
        """Stop heartbeats, and let go of every socket. What waits is not sent."""
        with self._lock:
            self._closing = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join()
        for shard in list(self._shards):
            self.drop(shard)

    # --- under the lock ---------------------------------------------------------------------------

    def _lines_of(self, shard: int) -> _ShardLines:
        lines = self._shards.get(shard)
        if lines is None:
            lines = self._shards[shard] = _ShardLines(shard, self.plan)
        return lines

    def _allowed(self, wanted: int) -> int:
        now = time.monotonic()
        self._tokens += (now - self._filled_at) * self.plan.packets_per_s_max
        self._tokens = min(self._burst, self._tokens)
        self._filled_at = now
        allowed = min(wanted, int(self._tokens))
        self._tokens -= allowed
        return allowed

    def _forget_oldest(self, lines: _ShardLines) -> None:
        over = len(lines.waiting) - self.plan.waiting_packets_max
        for _ in range(over):
            lines.waiting.popleft()
        if over > 0:
            lines.not_sent.inc(over)
        lines.waits.set(len(lines.waiting))

    def _run(self) -> None:
        beat_at = time.monotonic()
        while True:
            with self._lock:
                if self._closing:
                    return
                now = time.monotonic()
                if now >= beat_at:
                    beat_at = now + self.plan.heartbeat_s
                    for lines in self._shards.values():
                        if lines.next_sequence > 0:
                            lines.heartbeat()
                self._send_waiting()
                waits = any(lines.waiting for lines in self._shards.values())
                self._news.wait(PACE_S if waits else max(0.0, beat_at - time.monotonic()))

    def _send_waiting(self) -> None:
        for lines in self._shards.values():
            allowed = self._allowed(len(lines.waiting))
            if allowed:
                lines.send([lines.waiting.popleft()[1] for _ in range(allowed)])
                lines.waits.set(len(lines.waiting))
