"""What a client may say, and what is said to one that says something else."""

from __future__ import annotations

import msgspec
import pytest

from api.stream.protocol import (
    Auth,
    ErrorMessage,
    Ping,
    StreamError,
    Subscribe,
    Unsubscribe,
    decode_request,
    request_id_in,
    sequence_of,
)

GOOD = {
    '{"op":"subscribe","channel":"level2","symbols":["A"],"since":{"A":"7"},"id":1}': Subscribe(
        "level2", ["A"], {"A": "7"}, 1
    ),
    '{"op":"unsubscribe","channel":"level2"}': Unsubscribe("level2"),
    '{"op":"auth","key":"cbk_x","id":"x"}': Auth("cbk_x", "x"),
    '{"op":"ping"}': Ping(),
}
BAD = {
    "": "malformed_json",
    "{": "malformed_json",
    '{"op":"ping"} x': "malformed_json",
    "[" * 50_000: "invalid_message",
    '{"op":"ping","id":' + "[" * 50_000: "invalid_message",
    '{"op":"ping","x":' + "[" * 50_000: "invalid_message",
    '"\ud800"': "malformed_json",
    "[]": "invalid_message",
    "null": "invalid_message",
    "{}": "invalid_message",
    '{"op":"fly"}': "invalid_message",
    '{"op":"ping","channel":"level2"}': "invalid_message",
    '{"op":"ping","id":true}': "invalid_message",
    '{"op":"ping","id":' + "9" * 30 + "}": "invalid_message",
    '{"op":"ping","id":"' + "9" * 65 + '"}': "invalid_message",
    '{"op":"subscribe"}': "invalid_message",
    '{"op":"subscribe","channel":"level2","symbols":[""]}': "invalid_message",
    '{"op":"subscribe","channel":"level2","symbols":["' + "A" * 33 + '"]}': "invalid_message",
    '{"op":"subscribe","channel":"level2","symbols":[1]}': "invalid_message",
    '{"op":"subscribe","channel":"level2","symbols":"A"}': "invalid_message",
    '{"op":"subscribe","channel":"level2","since":{"A":7}}': "invalid_message",
}


@pytest.mark.parametrize("text", GOOD)
def test_requests_are_understood(text: str) -> None:
    assert decode_request(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_anything_else_is_refused_in_few_words(text: str) -> None:
    with pytest.raises(StreamError) as refused:
        decode_request(text)
    assert refused.value.code == BAD[text]
    answer = msgspec.json.encode(ErrorMessage(refused.value.code, refused.value.detail))
    assert len(answer) < 500


def test_the_id_of_a_refused_message_is_answered_where_there_is_a_sane_one() -> None:
    assert request_id_in('{"op":"fly","id":7}') == 7
    assert request_id_in('{"op":"fly","id":[7]}') is None
    assert request_id_in('{"id":' + "9" * 500 + "}") is None
    assert request_id_in("{") is None


@pytest.mark.parametrize("text", ["", "-1", "01", "1.0", "1e3", " 1", "٣", "9" * 19])
def test_a_sequence_is_plain_digits(text: str) -> None:
    with pytest.raises(StreamError, match="sequence"):
        sequence_of("A", text)
    assert sequence_of("A", "512") == 512
