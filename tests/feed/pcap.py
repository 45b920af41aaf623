"""Captures written for tshark: UDP packets over IPv4, without a link layer."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from pathlib import Path

RAW_IP = 101  # LINKTYPE_RAW
SENDER = "127.0.0.1"


def write_pcap(path: Path, group: str, port: int, payloads: Iterable[bytes]) -> int:
    """Write datagrams to a group as a capture; how many."""
    count = 0
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, RAW_IP))
        for count, payload in enumerate(payloads, start=1):
            frame = _frame(group, port, payload)
            file.write(struct.pack("<IIII", count, 0, len(frame), len(frame)) + frame)
    return count


def _frame(group: str, port: int, payload: bytes) -> bytes:
    udp = struct.pack(">HHHH", 40_000, port, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(SENDER) + socket.inet_aton(group)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 1, 17, 0) + addresses
    return head[:10] + struct.pack(">H", _checksum(head)) + head[12:] + udp


def _checksum(head: bytes) -> int:
    total = sum(struct.unpack(f">{len(head) // 2}H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
