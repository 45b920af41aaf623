"""Packets that no listener may take: each is unsound, of another session, or known already, by how
it was made."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from tests.feed import standards
from tests.feed.standards import PACKET_BYTES_MAX

UNASSIGNED = b"GTZabcdefgijklmnopqrstuvwxyz0123456789 \x00\xff"


class HostilePackets:
    """Makes them from sound packets of the session whose messages from `next_sequence` on are not
    yet published; `bodies` are messages to make them of."""

    def __init__(self, seed: int, session: bytes, bodies: list[bytes], next_sequence: int) -> None:
        self._dice = random.Random(seed)
        self._session = session
        self._bodies = bodies
        self._next = next_sequence
        self._kinds: list[Callable[[], bytes]] = [
            self.noise,
            self.noise_with_header,
            self.truncated,
            self.extended,
            self.other_count,
            self.other_length,
            self.other_type,
            self.field_out_of_range,
            self.other_session,
            self.known,
            self.absurd_sequence,
        ]

    def make(self) -> bytes:
        """One of any kind."""
        return self._dice.choice(self._kinds)()

    def sound(self) -> bytes:
        """A packet that would be taken: what the others are made from. Some follow the last message
        known, some leave a gap."""
        count = self._dice.randrange(1, 30)
        bodies = self._dice.choices(self._bodies, k=count)
        return standards.packet(self._session, self._next + self._dice.randrange(3), bodies)

    def noise(self) -> bytes:
        """Random bytes: that they are a packet of this session is out of the question."""
        return self._dice.randbytes(self._dice.randrange(PACKET_BYTES_MAX))

    def noise_with_header(self) -> bytes:
        """A sound header, then noise that begins with an impossible length."""
        head = self.sound()[:20]
        return head + b"\xff\xff" + self._dice.randbytes(self._dice.randrange(600))

    def truncated(self) -> bytes:
        """Cut off anywhere."""
        packet = self.sound()
        return packet[: self._dice.randrange(len(packet))]

    def extended(self) -> bytes:
        """With bytes after its last message, which is not its last one for a heartbeat."""
        packet = self._dice.choice((self.sound(), self.sound()[:18] + b"\0\0"))
        return packet + self._dice.randbytes(self._dice.randrange(1, 50))

    def other_count(self) -> bytes:
        """Announces more or fewer messages than it has."""
        packet = self.sound()
        count = struct.unpack_from(">H", packet, 18)[0]
        wrong = (count + self._dice.randrange(1, 0xFFFF)) % 0x10000
        return packet[:18] + struct.pack(">H", wrong) + packet[20:]

    def other_length(self) -> bytes:
        """One message announces another length than its type has."""
        packet, at = self._a_message()
        length = struct.unpack_from(">H", packet, at)[0]
        wrong = (length + self._dice.randrange(1, 0xFFFF)) % 0x10000
        return packet[:at] + struct.pack(">H", wrong) + packet[at + 2 :]

    def other_type(self) -> bytes:
        """One message is of a type that there is not."""
        packet, at = self._a_message()
        kind = self._dice.choice(UNASSIGNED)
        return packet[: at + 2] + bytes([kind]) + packet[at + 3 :]

    def field_out_of_range(self) -> bytes:
        """One message's time is past midnight."""
        packet, at = self._a_message()
        time_ns = self._dice.randrange(86_400 * 10**9, 1 << 48).to_bytes(6, "big")
        return packet[: at + 7] + time_ns + packet[at + 13 :]

    def other_session(self) -> bytes:
        """Sound, of a session that is not ours; now and then of the same one."""
        name = self._dice.choice((b"TEST000009", self._dice.randbytes(10)))
        return name.replace(self._session, b"X" * 10) + self.sound()[10:]

    def known(self) -> bytes:
        """Of our session and of messages that were applied, with anything in it."""
        first = self._dice.randrange(1, self._next)
        count = self._dice.randrange(self._next - first) if first + 1 < self._next else 0
        if not count:
            return standards.packet(self._session, first, [])
        noise = self._dice.randbytes(self._dice.randrange(200))
        return self._session + struct.pack(">QH", first, count) + noise

    def absurd_sequence(self) -> bytes:
        """Sequence 0, or one that would pass the greatest there is."""
        packet = self.sound()
        wrong = self._dice.choice((0, (1 << 64) - 1))
        return packet[:10] + struct.pack(">Q", wrong) + packet[18:]

    def _a_message(self) -> tuple[bytes, int]:
        """A sound packet, and where one of its messages begins."""
        packet = self.sound()
        starts, at = [], 20
        while at < len(packet):
            starts.append(at)
            at += 2 + struct.unpack_from(">H", packet, at)[0]
        return packet, self._dice.choice(starts)
