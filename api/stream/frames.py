"""WebSocket frames of the server (RFC 6455, section 5): one text message as bytes.

A server masks nothing, so the same bytes go to every client: a message is framed once, however many
read it. Guarantees: `fragments` gives pieces of at most `bytes_max` of payload, each a frame, that
the client joins to the same message; control frames may be sent between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

FIN: Final = 0x80
TEXT: Final = 0x1
CONTINUATION: Final = 0x0
SHORT_MAX: Final = 125
MEDIUM_MAX: Final = 0xFFFF


def text_frame(payload: bytes) -> bytes:
    """One text message, UTF-8, as one frame."""
    return _head(FIN | TEXT, len(payload)) + payload


def payload_of(frame: bytes) -> bytes:
    """The text of one frame made by `text_frame`."""
    length = frame[1]
    if length <= SHORT_MAX:
        return frame[2:]
    return frame[4:] if length == 126 else frame[10:]


def fragments(frame: bytes, bytes_max: int) -> Iterator[bytes]:
    """The message of one text frame in frames of at most `bytes_max` of payload: itself where it
    is small enough."""
    if len(frame) <= bytes_max:
        yield frame
        return
    payload = payload_of(frame)
    last = len(payload) - bytes_max
    for at in range(0, len(payload), bytes_max):
        piece = payload[at : at + bytes_max]
        kind = CONTINUATION if at else TEXT
        yield _head(kind | (FIN if at >= last else 0), len(piece)) + piece


def _head(first: int, length: int) -> bytes:
    if length <= SHORT_MAX:
        return bytes((first, length))
    if length <= MEDIUM_MAX:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")
