"""What the multicast feed costs a message, and how long a message is on its way, over real sockets.

    python -m benchmarks.multicast [--commands N]

Prints one JSON line. `us_per_message` is CPU time of the publishing process (encoding, writing the
file, sending on both lines) for each message of a flow in batches of 500 commands; `plain_…` that
of a JSON datagram a level change on one group, its changes decoded beforehand, without a file.
Another process receives: `received`, `plain_received`, of how many were sent.
`publish_to_receive_…` is from handing a batch of one order to the sink to reading its packet there.
`delta_bytes` are bytes of packets for each message, `snapshot_bytes` a whole book (its orders, as
the snapshot service sends them), `top_ten_json_bytes` ten levels of both sides in JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from benchmarks.flows import Log, Market
from domain.batch import EventBatch
from domain.commands import SubmitOrder
from domain.events import LevelChanged
from domain.exchange import Exchange
from domain.wire import encode_batch, encode_command
from projections.itch.snapshot import SnapshotWriter
from projections.market_data.replica import ShardReplica
from projections.multicast.board import FeedBoard
from projections.multicast.lines import Line, LinePlan, Lines, open_socket
from projections.multicast.sink import MulticastSink

INSTRUMENTS: Final = 10
RESTING: Final = 5_000
BATCH_COMMANDS: Final = 500
SINGLES: Final = 400
SINGLES_PAUSE_S: Final = 0.002
TURN: Final = 4  # batches that a sink is given at once
TURN_PAUSE_S: Final = 0.004  # between turns, for the receiver; not counted
QUIET_S: Final = 1.5
BUFFER_BYTES: Final = 64_000_000
GROUPS: Final = ("239.255.26.201", "239.255.26.202", "239.255.26.203")


def receive(line: Line, results: Connection) -> None:
    """In a process of its own: read packets until it is quiet; (arrival ns, first 20 bytes, size)
    of each.
    """
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUFFORCE, BUFFER_BYTES)
    except (OSError, AttributeError):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    receiver.bind(line.address(0))
    member = socket.inet_aton(line.group) + socket.inet_aton("127.0.0.1")
    receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    results.send("joined")
    found: list[tuple[int, bytes, int]] = []
    try:
        while True:
            packet = receiver.recv(65_536)
            found.append((time.monotonic_ns(), packet[:20], len(packet)))
            receiver.settimeout(QUIET_S)
    except TimeoutError:
        results.send(found)


class Receiver:
    """Such a process."""

    def __init__(self, line: Line) -> None:
        self._results, given = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=receive, args=(line, given))
        self._process.start()
        assert self._results.recv() == "joined"

    def packets(self) -> list[tuple[int, bytes, int]]:
        """What came, once it is quiet."""
        found: list[tuple[int, bytes, int]] = self._results.recv()
        self._process.join()
        return found


def free_line(name: str, group: str) -> Line:
    """A line on a port that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return Line(name, group, probe.getsockname()[1])


def publish(
    sink: MulticastSink, batches: list[EventBatch], turn: int, pause_s: float
) -> tuple[float, float]:
    """(CPU s, wall s) that applying takes."""
    cpu = wall = 0.0
    for at in range(0, len(batches), turn):
        began, began_cpu = time.perf_counter(), time.process_time()
        sink.apply(0, batches[at : at + turn])
        cpu += time.process_time() - began_cpu
        wall += time.perf_counter() - began
        time.sleep(pause_s)
    return cpu, wall


def of_the_feed(batches: list[EventBatch], opening: int, folder: Path) -> dict[str, Any]:
    """The feed's figures; the first `opening` batches are not counted."""
    lines = tuple(free_line(*each) for each in zip("AB", GROUPS, strict=False))
    sending = Lines(LinePlan(lines, packets_per_s_max=10**9))
    sink = MulticastSink(
        folder, board=(board := FeedBoard()), lines=sending, tail_of=lambda _: len(batches)
    )
    sink.apply(0, batches[:opening])
    first = board.all()[0].next_sequence
    receiver = Receiver(lines[0])
    cpu, wall = publish(sink, batches[opening:], TURN, TURN_PAUSE_S)
    count = board.all()[0].next_sequence - first
    packets = receiver.packets()
    sink.close()
    sending.close()
    received = sum(int.from_bytes(head[18:20], "big") for _, head, _ in packets)
    size = sum(size for _, _, size in packets)
    return {
        "messages": count,
        "received": received,
        "messages_per_packet": round(received / len(packets), 1),
        "us_per_message": round(cpu / count * 1e6, 3),
        "wall_us_per_message": round(wall / count * 1e6, 3),
        "delta_bytes": round(size / received, 1),
    }


def of_the_plain(batches: list[EventBatch]) -> dict[str, Any]:
    """A JSON datagram a level change, as the replaced simulator sends."""
    line = free_line("plain", GROUPS[2])
    changes = [
        [each for each in batch.events() if isinstance(each, LevelChanged)] for batch in batches
    ]
    receiver = Receiver(line)
    sending = open_socket(LinePlan((line,)), line.address(0))
    cpu = 0.0
    for turn in changes:
        began = time.process_time()
        for change in turn:
            text = {
                "type": "delta",
                "symbol": f"B{change.instrument}",
                "sequence": change.book_sequence,
                "side": "BS"[change.side],
                "price": change.price_ticks / 10_000,
                "quantity": change.quantity,
            }
            sending.send(json.dumps(text).encode())
        cpu += time.process_time() - began
        time.sleep(TURN_PAUSE_S)
    sending.close()
    count = sum(map(len, changes))
    packets = receiver.packets()
    return {
        "plain_deltas": count,
        "plain_received": len(packets),
        "plain_us_per_message": round(cpu / count * 1e6, 3),
        "plain_delta_bytes": round(sum(size for _, _, size in packets) / len(packets), 1),
    }


def latency(log: Log, batches: list[EventBatch], folder: Path) -> dict[str, Any]:
    """Publish-to-receive of single orders."""
    lines = tuple(free_line(*each) for each in zip("AB", GROUPS, strict=False))
    sending = Lines(LinePlan(lines, packets_per_s_max=10**9))
    sink = MulticastSink(
        folder, board=(board := FeedBoard()), lines=sending, tail_of=lambda _: len(batches)
    )
    sink.apply(0, batches)
    receiver = Receiver(lines[0])
    sent: dict[int, int] = {}
    for number in range(1, SINGLES + 1):
        order = encode_command(SubmitOrder(1, 1, 0, 0, 1, 100_000, 1))
        session = b"one order a time"
        batch = log.answer(encode_batch(session, number, time.time_ns(), [order]))
        sent[board.all()[0].next_sequence] = time.monotonic_ns()
        sink.apply(0, [batch])
        time.sleep(SINGLES_PAUSE_S)
    ways = []
    for arrived_ns, head, _ in receiver.packets():
        began_ns = sent.get(int.from_bytes(head[10:18], "big"))
        if began_ns is not None:
            ways.append((arrived_ns - began_ns) / 1e3)
    sink.close()
    sending.close()
    cuts = statistics.quantiles(ways, n=100)
    return {
        "single_orders": len(sent),
        "single_orders_received": len(ways),
        "publish_to_receive_p50_us": round(cuts[49], 1),
        "publish_to_receive_p99_us": round(cuts[98], 1),
    }


def book_bytes(log: Log, batches: list[EventBatch]) -> dict[str, Any]:
    """What a whole book takes."""
    replica = ShardReplica(Exchange(0))
    for batch in batches:
        replica.apply(batch.record)
    writer = SnapshotWriter(replica)
    size = len(writer.begin())
    while part := writer.orders(10_000):
        size += len(part)
    levels = [
        [[f"{price / 10_000:.4f}", quantity, count] for price, quantity, count in side]
        for side in (replica.levels(1, 0, 10), replica.levels(1, 1, 10))
    ]
    return {
        "snapshot_bytes": size // INSTRUMENTS,
        "top_ten_json_bytes": len(json.dumps(levels, separators=(",", ":"))),
    }


def saving(figures: dict[str, Any]) -> dict[str, Any]:
    """How much less a delta is."""
    delta = figures["delta_bytes"]
    return {
        "delta_saving_percent": round(100 - 100 * delta / figures["snapshot_bytes"], 2),
        "delta_saving_of_top_ten_percent": round(
            100 - 100 * delta / figures["top_ten_json_bytes"], 2
        ),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commands", type=int, default=300_000, help="of the flow")
    count = parser.parse_args().commands
    market, log = Market(INSTRUMENTS, batch_commands=BATCH_COMMANDS, named=False), Log()
    opening = [log.answer(batch) for batch in market.opening()]
    opening += [log.answer(batch) for batch in market.resting(RESTING)]
    batches = opening + [log.answer(batch) for batch in market.flow(count)]
    with tempfile.TemporaryDirectory() as name:
        figures = of_the_feed(batches, len(opening), Path(name) / "feed")
        figures |= of_the_plain(batches[len(opening) :])
        figures |= book_bytes(log, batches)
        figures |= saving(figures)
        figures |= latency(log, batches, Path(name) / "single")
    print(json.dumps({"commands": count, **figures}), flush=True)


if __name__ == "__main__":
    main()
