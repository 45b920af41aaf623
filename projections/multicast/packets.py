"""MoldUDP64 1.00 packets as bytes: headers, heartbeats, ends of session, requests, and parts of
packets.

Guarantees: `cut` gives whole messages only. Big-endian: session 10 bytes, sequence u64, count u16;
then count times length u16 and message."""

from __future__ import annotations

import struct
from typing import Final

HEADER: Final = struct.Struct(">10sQH")
PACKET_BYTES_MAX: Final = 1400
PAYLOAD_BYTES_MAX: Final = PACKET_BYTES_MAX - HEADER.size
END_OF_SESSION: Final = 0xFFFF
SEQUENCE_MAX: Final = 2**63 - 1  # beyond it none of ours is


def header(session: bytes, sequence: int, count: int) -> bytes:
    """A packet's first 20 bytes; with count 0 a heartbeat, with 0xFFFF an end of session."""
    return HEADER.pack(session, sequence, count)


def count_of(packet: bytes) -> int:
    """How many messages a packet holds."""
    return (packet[18] << 8) | packet[19]


def cut(packet: bytes, skip: int, count_max: int, bytes_max: int) -> tuple[int, bytes]:
    """(count, blocks): a packet's messages after the first `skip`, as many as the bounds allow."""
    count = count_of(packet)
    if skip == 0 and count <= count_max and len(packet) - HEADER.size <= bytes_max:
        return count, packet[HEADER.size :]
    begin = HEADER.size
    for _ in range(min(skip, count)):
        begin += 2 + ((packet[begin] << 8) | packet[begin + 1])
    end, taken = begin, 0
    for _ in range(min(count - skip, count_max)):
        following = end + 2 + ((packet[end] << 8) | packet[end + 1])
        if following - begin > bytes_max:
            break
        end, taken = following, taken + 1
    return taken, packet[begin:end]
