"""The AsyncAPI document hangs together, and says what the code does."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft7Validator

from api.stream.asyncapi import document
from api.stream.connection import notice_frame
from api.stream.frames import payload_of
from api.stream.protocol import (
    Authenticated,
    ClientMessage,
    ErrorMessage,
    Heartbeat,
    Pong,
    ServerShutdown,
    StreamError,
    Subscribed,
    Unsubscribed,
    decode_request,
)

NOTICES = [
    Subscribed("level2", ["A"], 1),
    Unsubscribed("level2", ["A"], "x"),
    Authenticated(1, "k", ["read"]),
    Pong("2026-11-23T10:00:00.000Z", 4),
    Heartbeat("2026-11-23T10:00:00.000Z"),
    ServerShutdown("restarts", 500),
    ErrorMessage("silent", "read", closes=True),
    ErrorMessage("unknown_symbol", "no such", symbol="a", channel="level2", id=4),
]
REQUESTS = [
    '{"op":"subscribe","channel":"level2","symbols":["A"],"since":{"A":"7"},"id":1}',
    '{"op":"unsubscribe","channel":"level2"}',
    '{"op":"auth","key":"cbk_x","id":"x"}',
    '{"op":"ping","id":null}',
    '{"op":"ping","id":true}',
    '{"op":"ping","more":1}',
    '{"op":"subscribe","channel":"level2","symbols":[""]}',
    '{"op":"fly"}',
]


def validator(name: str) -> Draft7Validator:
    """Of one schema of the document."""
    whole = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    return Draft7Validator(whole)


def references(node: Any) -> list[str]:
    """Every `$ref` in the document."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def test_every_reference_leads_somewhere() -> None:
    found = references(document())
    assert len(found) > 60
    for reference in found:
        place: Any = document()
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    for schema in document()["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: type(notice).__name__)
def test_notices_are_as_described(notice: Any) -> None:
    message = msgspec.json.decode(payload_of(notice_frame(notice)))
    validator(type(notice).__name__).validate(message)
    message["type"] = "another"
    assert not validator(type(notice).__name__).is_valid(message)


@pytest.mark.parametrize("text", REQUESTS)
def test_a_request_is_taken_exactly_where_the_document_allows_it(text: str) -> None:
    kinds = [kind.__name__ for kind in get_args(ClientMessage)]
    request = msgspec.json.decode(text)
    allowed = [kind for kind in kinds if validator(kind).is_valid(request)]
    try:
        taken = [type(decode_request(text)).__name__]
    except StreamError:
        taken = []
    assert allowed == taken
