"""What clients and server say to each other on `/v1/stream`, market data apart: requests, their
answers, and notices. docs/stream.md explains all of it.

Guarantees: whatever a client sends is either a request of the types below or refused with a
`StreamError` that says what to do; nothing that is echoed or named in an answer is unbounded.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

LEVEL2: Final = "level2"
LEVEL1: Final = "level1"
TRADES: Final = "trades"
ORDERS: Final = "orders"
STATUS: Final = "status"
EXECUTIONS: Final = "executions"
PUBLIC_CHANNELS: Final = (LEVEL2, LEVEL1, TRADES, ORDERS, STATUS)
CHANNELS: Final = (*PUBLIC_CHANNELS, EXECUTIONS)

SEQUENCE: Final = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
DETAIL_CHARACTERS_MAX: Final = 300
# The close codes of RFC 6455, section 7.4.1, that the server uses.
CLOSED_NORMALLY: Final = 1000
NO_BINARY: Final = 1003
POLICY: Final = 1008
TOO_BIG: Final = 1009
RESTARTING: Final = 1012

RequestId: TypeAlias = (
    Annotated[str, Meta(max_length=64)] | Annotated[int, Meta(ge=-(2**53), le=2**53)] | None
)
Symbol: TypeAlias = Annotated[str, Meta(min_length=1, max_length=32)]


class StreamError(Exception):
    """A request that is refused, or an end. `detail` says what to do; `closes`: the connection ends
    with it."""

    def __init__(
        self, code: str, detail: str, *, symbol: str | None = None, closes: bool = False
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail[:DETAIL_CHARACTERS_MAX]
        self.symbol = symbol
        self.closes = closes


class Subscribe(Struct, tag_field="op", tag="subscribe", forbid_unknown_fields=True):
    """Begin to send a channel of these symbols. `since` names, by symbol, the `sequence` of the
    last message that the client has: what came after follows, without a snapshot where that can
    be."""

    channel: str
    symbols: list[Symbol] = []
    since: dict[Symbol, str] = {}
    id: RequestId = None


class Unsubscribe(Struct, tag_field="op", tag="unsubscribe", forbid_unknown_fields=True):
    """Send a channel of these symbols no more. No symbols: of all."""

    channel: str
    symbols: list[Symbol] = []
    id: RequestId = None


class Auth(Struct, tag_field="op", tag="auth", forbid_unknown_fields=True):
    """Give the connection a key."""

    key: Annotated[str, Meta(max_length=512)]
    id: RequestId = None


class Ping(Struct, tag_field="op", tag="ping", forbid_unknown_fields=True):
    """Ask for a sign of life."""

    id: RequestId = None


ClientMessage: TypeAlias = Subscribe | Unsubscribe | Auth | Ping


class Subscribed(Struct, tag_field="type", tag="subscribed", omit_defaults=True):
    """These symbols are subscribed to; each channel's first message is next."""

    channel: str
    symbols: list[str]
    id: str | int | None = None


class Unsubscribed(Struct, tag_field="type", tag="unsubscribed", omit_defaults=True):
    """Nothing more comes of these symbols in this channel."""

    channel: str
    symbols: list[str]
    id: str | int | None = None


class Authenticated(Struct, tag_field="type", tag="authenticated", omit_defaults=True):
    """The connection has a key now."""

    account: int
    key_id: str
    scopes: list[str]
    id: str | int | None = None


class Pong(Struct, tag_field="type", tag="pong", omit_defaults=True):
    """The answer to `ping`. `time` is the server's, RFC 3339 in UTC."""

    time: str
    id: str | int | None = None


class Heartbeat(Struct, tag_field="type", tag="heartbeat", omit_defaults=True):
    """The server and the connection are alive. `time` is the server's, RFC 3339 in UTC."""

    time: str


class ServerShutdown(Struct, tag_field="type", tag="serverShutdown", omit_defaults=True):
    """The server ends and closes the connection with 1012: connect again, with `since`."""

    detail: str
    retry_after_ms: int


class ErrorMessage(Struct, tag_field="type", tag="error", omit_defaults=True):
    """A request was refused, or (`closes`) the connection ends. `code` is stable, `detail` says
    what to do."""

    code: str
    detail: str
    closes: bool = False
    symbol: str | None = None
    channel: str | None = None
    id: str | int | None = None


ServerNotice: TypeAlias = (
    Subscribed | Unsubscribed | Authenticated | Pong | Heartbeat | ServerShutdown | ErrorMessage
)

_decoder: Final = msgspec.json.Decoder(ClientMessage)


class _Named(Struct):
    """What a message that is no request may still be known by."""

    id: RequestId = None


def decode_request(text: str) -> ClientMessage:
    """The request that a text message is. Raises StreamError."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise StreamError(
            "invalid_message", f"{error}; a request has an `op`: {_OPS}, see docs/stream.md"
        ) from error
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        detail = f"this is no JSON: {error}; send one JSON object a message"
        raise StreamError("malformed_json", detail) from error


def request_id_in(text: str) -> str | int | None:
    """The `id` of a message that was refused, where it has a sane one."""
    try:
        return msgspec.json.decode(text, type=_Named).id
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def sequence_of(symbol: str, text: str) -> int:
    """A sequence of `since`. Raises StreamError."""
    if SEQUENCE.fullmatch(text) is None:
        detail = "`since` holds the `sequence` of the last message, as it came, by symbol"
        raise StreamError("invalid_since", detail, symbol=symbol)
    return int(text)


_OPS: Final = "subscribe, unsubscribe, auth, ping"
