"""A subscriber that reads nothing, or answers no ping, is cut off, holds little, harms nobody."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.stream.socket import WAITING_BYTES_MAX
from tests.integration.graphql.asking import WAIT_S, ask, messages
from tests.integration.stream.serving import Served, served, until

pytestmark = pytest.mark.anyio
HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
RECEIVE_BYTES = 16_384
SUBSCRIPTIONS = 30  # at a stroke: fewer than the messages of one second
LEVELS = 200
MESSAGE_BYTES_MAX = 40_000  # of one delta of so many levels
LEVEL = "price quantity orderCount"
SNAPSHOT = "sequence resync"
DELTAS = f"""subscription ($symbol: String!) {{ bookDeltas(symbol: $symbol) {{
  ... on BookSnapshot {{ kind: __typename {SNAPSHOT} bids {{ {LEVEL} }} }}
  ... on BookDelta {{ kind: __typename sequence previousSequence bids {{ {LEVEL} }} }}
}} }}"""


def frame(message: dict[str, Any]) -> bytes:
    """A masked text frame; the mask is of zeros."""
    payload = json.dumps(message).encode()
    assert 125 < len(payload) < 65_536 or len(payload) <= 125
    if len(payload) <= 125:
        return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload


@asynccontextmanager
async def unread(url: str, *wanted: dict[str, Any]) -> AsyncIterator[socket.socket]:
    """A client that shakes hands, says all of this, and reads nothing of its own accord."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        own.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(own, (host, int(port)))
        await loop.sock_sendall(own, HANDSHAKE)
        assert await loop.sock_recv(own, 1) == b"H"  # it has answered
        said = [{"type": "connection_init"}, *wanted]
        await loop.sock_sendall(own, b"".join(map(frame, said)))
        yield own


def bid_batch(symbol: str, quantity: int) -> dict[str, Any]:
    """So many bids, each at a price of its own."""
    command = {"op": "submit", "symbol": symbol, "side": "buy", "quantity": quantity}
    prices = [f"{50 + number / 100:.2f}" for number in range(LEVELS)]
    return {"commands": [{**command, "price": price} for price in prices]}


async def sip(own: socket.socket) -> None:
    """Read a little now and then, so that all who wait to send are woken again and again."""
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(own, 4_096):  # noqa: ASYNC110 - the pace
        await asyncio.sleep(0.005)


@asynccontextmanager
async def strict(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, silent_ms: int
) -> AsyncIterator[Served]:
    """The exchange served once more, where silence is soon noticed."""
    services = exchange.exchange.services
    monkeypatch.setattr(services, "stream_settings", services.stream_settings)
    async with served(exchange.exchange, silent_ms_max=silent_ms) as found:
        yield found


async def test_one_who_hardly_reads_holds_little_and_delays_nobody(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbol = await exchange.exchange.new_symbol()
    payload = {"query": DELTAS, "variables": {"symbol": symbol}}
    wanted = [
        {"id": str(number), "type": "subscribe", "payload": payload}
        for number in range(SUBSCRIPTIONS)
    ]
    async with strict(exchange, monkeypatch, 6_000) as found, unread(found.url, *wanted) as own:
        live = (await found.server.config.app.state.graphql.made()).live
        await until(lambda: live.subscription_count == SUBSCRIPTIONS)
        [stalled] = live._open
        source = messages(found, DELTAS, symbol=symbol)
        told = [(await anext(source))["bookDeltas"]]
        held: list[int] = []

        async def look() -> None:
            while stalled in live._open:
                held.append(stalled.socket.transport.get_write_buffer_size())
                await asyncio.sleep(0)

        looking, sipping = asyncio.create_task(look()), asyncio.create_task(sip(own))
        for quantity in range(1, 9):
            batch = bid_batch(symbol, quantity)
            answer = await exchange.exchange.call("POST", "/v1/orders/batch", batch)
            assert answer.status_code == 200
        book = (await ask(found, f'{{ book(symbol: "{symbol}") {{ sequence }} }}'))["book"]
        async with asyncio.timeout(WAIT_S):
            while int(told[-1]["sequence"]) < int(book["sequence"]):
                told.append((await anext(source))["bookDeltas"])
            await looking  # until the stalled one is gone
        assert [each["kind"] for each in told] == ["BookSnapshot"] + ["BookDelta"] * 8
        for before, after in itertools.pairwise(told):
            assert after["previousSequence"] == before["sequence"]
        assert len(told[-1]["bids"]) == LEVELS
        assert max(held) > WAITING_BYTES_MAX // 2, "it was sent more than the system holds"
        assert max(held) <= WAITING_BYTES_MAX + MESSAGE_BYTES_MAX
        assert live.subscription_count == 1, "what the stalled one had is given back"
        await source.aclose()
        sipping.cancel()


async def test_one_who_answers_no_ping_is_told_so_as_the_end(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Close code 1008, reason `silent`."""
    async with strict(exchange, monkeypatch, 600) as found, unread(found.url) as own:
        loop = asyncio.get_running_loop()
        everything = b""
        async with asyncio.timeout(WAIT_S):
            while piece := await loop.sock_recv(own, 65_536):
                everything += piece
        assert b'"connection_ack"' in everything
        assert everything.endswith(b"\x88\x08" + (1008).to_bytes(2, "big") + b"silent")
