"""MoldUDP64 1.00: packets taken apart, requests put together.

A packet is taken as a whole or not at all: `parse` raises UndecodableError where any byte of it is
not as the standard says, the ITCH messages in it included. Source: Nasdaq MoldUDP64 Protocol
Specification 1.00, sections 2 to 4.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import msgspec

from crossbook_client.feed.itch import UndecodableError, decode_block
from crossbook_client.feed.messages import Message

HEADER: Final = Struct(">10sQH")
HEADER_BYTES: Final = 20
HEARTBEAT_COUNT: Final = 0
END_OF_SESSION_COUNT: Final = 0xFFFF
MESSAGES_MAX: Final = 0xFFFE
PACKET_BYTES_MAX: Final = 65_535
SEQUENCE_MAX: Final = (1 << 64) - 1


class Packet(msgspec.Struct, frozen=True, gc=False):
    """A downstream packet. `sequence` is of the first message; of a heartbeat or an end of session
    it is the next expected. `body` is what follows the header: each message after its length."""

    session: bytes
    sequence: int
    messages: list[Message]
    body: bytes
    is_end: bool = False

    @property
    def next_sequence(self) -> int:
        """The sequence of the message after the last one here."""
        return self.sequence + len(self.messages)

    def body_from(self, sequence: int) -> bytes:
        """`body` without the messages before `sequence`."""
        at = 0
        for _ in range(sequence - self.sequence):
            at += 2 + (self.body[at] << 8 | self.body[at + 1])
        return self.body[at:]


def parse(data: bytes) -> Packet:
    """Take a packet, or the same form in an HTTP answer, apart.

    Raises UndecodableError where it is not sound to the last byte.
    """
    if len(data) < HEADER_BYTES:
        raise UndecodableError(f"a packet of {len(data)} bytes")
    session, sequence, count = HEADER.unpack_from(data)
    check_session(session)
    is_end = count == END_OF_SESSION_COUNT
    if is_end:
        count = 0
    if not sequence or sequence + count > SEQUENCE_MAX:
        raise UndecodableError(f"sequence {sequence} with {count} messages")
    messages = decode_block(data, HEADER_BYTES, count)
    return Packet(session, sequence, messages, data[HEADER_BYTES:], is_end)


def check_session(session: bytes) -> None:
    """Raise UndecodableError unless these are ten printable characters, not all of them spaces."""
    if len(session) != 10 or not session.isascii() or not session.decode("ascii").isprintable():
        raise UndecodableError(f"no session: {session!r}")
    if session.isspace():
        raise UndecodableError("a session of nothing but spaces")


def request(session: bytes, sequence: int, count: int) -> bytes:
    """The request packet for `count` messages from `sequence` on."""
    assert len(session) == 10 and 0 < sequence <= SEQUENCE_MAX, (session, sequence)
    assert 0 < count <= MESSAGES_MAX, count
    return HEADER.pack(session, sequence, count)
