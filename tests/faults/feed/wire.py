"""Carries multicast lines from one interface to the other, and spoils them as it is told.

A process of its own, in the namespace in the middle. Its argument is JSON: `lines` (group, port
each) and `seed`; then a line of JSON on standard input each: how to spoil each line, or "counts".
Each is answered by a line: what was done so far.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import sys
from collections import Counter
from typing import Any

from tests.faults.feed.network import MIDDLE_EXCHANGE, MIDDLE_LISTENER

PACKET_BYTES_MAX = 65_535
LATE_PACKETS_MAX = 6


class CarriedLine:
    """One line."""

    def __init__(self, group: str, port: int, dice: random.Random, counts: Counter[str]) -> None:
        self._to = (group, port)
        self._dice = dice
        self._counts = counts
        self._late: list[tuple[int, bytes]] = []
        self.spoiling: dict[str, float] = {"loss": 0.0, "reordering": 0.0, "duplicates": 0.0}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.socket.bind((group, port))
        joined = socket.inet_aton(group) + socket.inet_aton(MIDDLE_EXCHANGE)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        way = socket.inet_aton(MIDDLE_LISTENER)
        self._out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, way)
        self._out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)

    def carry(self) -> None:
        """Take what is there, and send it on, or not."""
        while True:
            try:
                packet = self.socket.recv(PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            self._counts["received"] += 1
            self._spoil(packet)

    def _spoil(self, packet: bytes) -> None:
        self._late = [(count - 1, late) for count, late in self._late]
        dice, spoiling = self._dice.random, self.spoiling
        if dice() < spoiling["loss"]:
            self._counts["lost"] += 1
        elif dice() < spoiling["reordering"]:
            self._counts["late"] += 1
            self._late.append((self._dice.randrange(1, LATE_PACKETS_MAX), packet))
        else:
            self._send(packet)
            if dice() < spoiling["duplicates"]:
                self._counts["doubled"] += 1
                self._send(packet)
        due = [late for count, late in self._late if count <= 0]
        self._late = [(count, late) for count, late in self._late if count > 0]
        for late in due:
            self._send(late)

    def _send(self, packet: bytes) -> None:
        self._counts["sent"] += 1
        self._out.sendto(packet, self._to)


def main() -> None:
    """Carry until standard input ends."""
    told: dict[str, Any] = json.loads(sys.argv[1])
    counts: Counter[str] = Counter()
    dice = random.Random(told["seed"])
    lines = [CarriedLine(group, port, dice, counts) for group, port in told["lines"]]
    selector = selectors.DefaultSelector()
    for line in lines:
        selector.register(line.socket, selectors.EVENT_READ, line)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                key.data.carry()
                continue
            text = sys.stdin.readline()
            if not text:
                return
            wanted = json.loads(text)
            if wanted != "counts":
                for line, spoiling in zip(lines, wanted, strict=True):
                    line.spoiling = spoiling
            print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
