"""`GET /v1/asyncapi.json`: the stream described for machines (AsyncAPI 3.0.0).

Guarantees: every message that client or server may send is in it, with a JSON Schema made from the
types of `api.stream.protocol` and `api.stream.shapes`; a test holds real frames against it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.stream.protocol import ClientMessage, ServerNotice
from api.stream.shapes import MARKET_MESSAGES

ASYNCAPI_PATH: Final = "/v1/asyncapi.json"
VERSION: Final = "3.0.0"
REF: Final = "#/components/schemas/{name}"
CHANNEL: Final = "stream"

DESCRIPTION: Final = """Market data as it happens: many symbols and channels on one WebSocket. One
JSON object a text message. Each subscription begins with a snapshot, and every later message names
the one before it, so that nothing can be missed unseen. docs/stream.md explains it."""


@cache
def document() -> dict[str, Any]:
    """The document; servers are left to whoever reads it from one. Do not change it."""
    requests: tuple[Any, ...] = get_args(ClientMessage)
    answers: tuple[Any, ...] = (*get_args(ServerNotice), *MARKET_MESSAGES)
    _, schemas = msgspec.json.schema_components([*requests, *answers], ref_template=REF)
    everything = (*requests, *answers)
    return {
        "asyncapi": VERSION,
        "info": {"title": "Crossbook stream", "version": "1", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {
            CHANNEL: {
                "address": "/v1/stream",
                "messages": {
                    _name(kind): {"$ref": f"#/components/messages/{_name(kind)}"}
                    for kind in everything
                },
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            "request": _operation("receive", "What clients may ask for.", requests),
            "publish": _operation("send", "What the server says.", answers),
        },
        "components": {
            "messages": {_name(kind): _message(kind) for kind in everything},
            "schemas": _as_draft_7(schemas),
            "securitySchemes": {
                "apiKey": {"type": "httpApiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


async def asyncapi(request: Request) -> Response:
    """The document, with the server that it was asked of."""
    scheme = "wss" if request.url.scheme == "https" else "ws"
    server = {
        "host": request.url.netloc,
        "protocol": scheme,
        "description": "Public channels need no key.",
        "security": [
            {"$ref": "#/components/securitySchemes/apiKey"},
            {"$ref": "#/components/securitySchemes/bearer"},
        ],
    }
    whole = {**document(), "servers": {"this": server}}
    return Response(msgspec.json.encode(whole), media_type="application/json")


def _as_draft_7(schema: Any) -> Any:
    """AsyncAPI's schemas are of JSON Schema's draft 7, which writes tuples in another way."""
    if isinstance(schema, list):
        return [_as_draft_7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _as_draft_7(value) for name, value in schema.items()}
    if "prefixItems" in found:
        found["additionalItems"] = found.pop("items")
        found["items"] = found.pop("prefixItems")
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].split())
    return found


def _name(kind: Any) -> str:
    name: str = kind.__name__
    return name[0].lower() + name[1:]


def _message(kind: Any) -> dict[str, Any]:
    return {
        "name": _name(kind),
        "title": kind.__name__,
        "summary": " ".join((kind.__doc__ or "").split()),
        "contentType": "application/json",
        "payload": {"$ref": REF.format(name=kind.__name__)},
    }


def _operation(action: str, summary: str, kinds: tuple[Any, ...]) -> dict[str, Any]:
    channel = f"#/channels/{CHANNEL}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": summary,
        "messages": [{"$ref": f"{channel}/messages/{_name(kind)}"} for kind in kinds],
    }
