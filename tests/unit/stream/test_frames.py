"""Frames are read by the websockets library as the messages that they were made of."""

from __future__ import annotations

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from api.stream.frames import fragments, payload_of, text_frame


def received(wire: bytes) -> list[bytes]:
    """The messages that a client joins these bytes to."""
    client = ClientProtocol(parse_uri("ws://exchange/"), state=State.OPEN, max_size=None)
    client.receive_data(wire)
    messages: list[bytes] = []
    for frame in client.events_received():
        if frame.opcode is Opcode.TEXT:
            messages.append(b"")
        assert frame.opcode in (Opcode.TEXT, Opcode.CONT)
        messages[-1] += frame.data
    assert client.parser_exc is None
    return messages


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_frame_is_one_message(length: int) -> None:
    payload = b"x" * length
    frame = text_frame(payload)
    assert payload_of(frame) == payload
    assert received(frame * 2) == [payload, payload]


@pytest.mark.parametrize("length", [90, 100, 101, 199, 200, 201, 70_000])
def test_fragments_are_the_same_message_in_pieces(length: int) -> None:
    payload = bytes(i % 95 + 32 for i in range(length))
    pieces = list(fragments(text_frame(payload), 100))
    assert max(len(payload_of(piece)) for piece in pieces) <= 100
    assert received(b"".join(pieces)) == [payload]
    assert len(pieces) == (1 if length < 98 else -(-length // 100))


def test_what_fits_is_left_as_it_is() -> None:
    frame = text_frame(b"{}")
    assert list(fragments(frame, 100)) == [frame]
