"""Who may connect, what is refused and how, and how a connection ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft7Validator
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.stream.serving import WAIT_S, Client, Served, served, until

pytestmark = pytest.mark.anyio
REVOKED_WITHIN_S = 5.0
HELD_BYTES_MAX = 64 * 1024
HANDSHAKE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PINGS = (b"\x89\xfd" + bytes(4) + b"p" * 125) * 80_000


async def refused_handshake(exchange: Served, **headers: str) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as refused:
        async with exchange.client(**headers):
            pass
    response = refused.value.response
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, msgspec.json.decode(response.body or b"")


async def ended(client: Client) -> tuple[list[dict[str, Any]], int, str]:
    """What else was said until the connection ended, the close code and its reason."""
    heard: list[dict[str, Any]] = []
    try:
        while True:
            heard.append(await client.hear())
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return heard, closed.rcvd.code, closed.rcvd.reason


async def test_pages_of_other_origins_are_refused(exchange: Served) -> None:
    status, problem = await refused_handshake(exchange, Origin="https://evil.example")
    assert (status, problem["reason"]) == (403, "origin_not_allowed")
    async with exchange.client(Origin=exchange.url) as client:
        assert (await client.ask("ping"))["type"] == "pong"


async def test_a_handshake_with_a_bad_key_is_refused(exchange: Served) -> None:
    status, problem = await refused_handshake(exchange, **{"X-API-Key": "cbk_none"})
    assert (status, problem["reason"]) == (401, "invalid_key")
    assert exchange.stream.connection_count == 0


async def test_without_a_handshake_an_upgrade_is_asked_for(exchange: Served) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.get(exchange.url + "/v1/stream")
    assert (answer.status_code, answer.json()["reason"]) == (426, "upgrade_required")
    assert answer.headers["upgrade"] == "websocket"


async def test_the_asyncapi_document_is_served_and_describes_real_frames(exchange: Served) -> None:
    async with httpx.AsyncClient() as http:
        document = (await http.get(exchange.url + "/v1/asyncapi.json")).json()
    assert document["servers"]["this"]["host"] == exchange.url.removeprefix("http://")
    symbol = await exchange.exchange.new_symbol()
    frames: list[dict[str, Any]] = []
    async with exchange.client("alice") as client:
        frames.append(await client.ask("ping", id=1))
        frames.append(await client.ask("subscribe", channel="level2", symbols=["none"], id=2))
        for channel in ("level2", "level1", "trades", "orders", "status", "executions"):
            frames.append(await client.ask("subscribe", channel=channel, symbols=[symbol]))
            frames.append(await client.hear())
        await exchange.exchange.submit(symbol, "sell", 5, price="1.00")
        await exchange.exchange.submit(symbol, "buy", 5, price="1.00", key="bob")
        frames += [await client.hear() for _ in range(8)]
        frames.append(await client.ask("unsubscribe", channel="orders"))
    channel = document["channels"]["stream"]["messages"]
    sent = document["operations"]["publish"]["messages"]
    names = [reference["$ref"].rpartition("/")[2] for reference in sent]
    kinds = {}
    for name in names:
        message = document["components"]["messages"][channel[name]["$ref"].rpartition("/")[2]]
        kinds[name] = Draft7Validator({**message["payload"], "components": document["components"]})
    for frame in frames:
        fitting = [name for name, kind in kinds.items() if kind.is_valid(frame)]
        assert len(fitting) == 1, (frame, fitting)


async def test_symbols_in_small_letters_are_refused_with_the_right_ones(exchange: Served) -> None:
    async with exchange.client() as client:
        answer = await client.ask("subscribe", channel="level2", symbols=["AAPL", "msft"], id="x")
        assert (answer["code"], answer["symbol"], answer["id"]) == ("unknown_symbol", "msft", "x")
        assert "MSFT" in answer["detail"]
        answer = await client.ask("unsubscribe", channel="level2", symbols=["AAPL"])
        assert answer["code"] == "not_subscribed"  # nothing of the refused request was done


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"op": "subscribe", "channel": "level3", "symbols": ["AAPL"]}, "unknown_channel"),
        ({"op": "subscribe", "channel": "level2"}, "no_symbols"),
        ({"op": "subscribe", "channel": "executions", "symbols": ["AAPL"]}, "no_key"),
        (
            {"op": "subscribe", "channel": "level2", "symbols": ["AAPL"], "since": {"AAPL": "x"}},
            "invalid_since",
        ),
        (
            {"op": "subscribe", "channel": "level2", "symbols": ["AAPL"], "since": {"MSFT": "1"}},
            "invalid_since",
        ),
        ({"op": "auth", "key": "cbk_none"}, "invalid_key"),
        ({"op": "fly"}, "invalid_message"),
    ],
)
async def test_refusals(exchange: Served, request_: dict[str, Any], code: str) -> None:
    async with exchange.client() as client:
        await client.socket.send(msgspec.json.encode(request_).decode())
        assert (await client.hear())["code"] == code
        assert (await client.ask("ping"))["type"] == "pong"


async def test_a_key_may_be_given_later_but_not_another_accounts(exchange: Served) -> None:
    keys = exchange.exchange.keys
    async with exchange.client() as client:
        answer = await client.ask("auth", key=keys["admin"], id=1)
        assert (answer["type"], answer["scopes"], answer["id"]) == ("authenticated", ["admin"], 1)
        answer = await client.ask("subscribe", channel="executions", symbols=["AAPL"])
        assert answer["code"] == "missing_scope"
        assert (await client.ask("auth", key=keys["alice"]))["code"] == "other_account"


async def test_a_revoked_key_ends_its_connections_and_no_others(exchange: Served) -> None:
    orders = exchange.exchange
    await orders.open_account("carol", "read")
    number = orders.numbers["carol"]
    async with exchange.client("carol") as carol, exchange.client("alice") as alice:
        key_id = (await carol.ask("auth", key=orders.keys["carol"]))["key_id"]
        path = f"/v1/admin/accounts/{number}/keys/{key_id}"
        assert (await orders.call("DELETE", path, key="admin")).status_code == 204
        began = time.monotonic()
        heard, code, reason = await ended(carol)
        assert time.monotonic() - began < REVOKED_WITHIN_S
        assert (heard[-1]["code"], code, reason) == ("key_revoked", 1008, "key_revoked")
        assert (await alice.ask("ping"))["type"] == "pong"
    status, _ = await refused_handshake(exchange, **{"X-API-Key": orders.keys["carol"]})
    assert status == 401


async def test_heartbeats_come_by_themselves(exchange: Served) -> None:
    async with served(exchange.exchange, heartbeat_ms=300) as quick, quick.client() as client:
        async with asyncio.timeout(WAIT_S):
            first, second = [msgspec.json.decode(await client.socket.recv()) for _ in range(2)]
        assert first["type"] == second["type"] == "heartbeat" and first["time"] < second["time"]


async def test_a_planned_end_is_announced(exchange: Served) -> None:
    async with served(exchange.exchange) as ending, ending.client() as client:
        await client.subscribe("level2", "AAPL")
        ending.server.should_exit = True
        heard, code, _ = await ended(client)
        assert (heard[-1]["type"], code) == ("serverShutdown", 1012)


async def test_limits_of_one_connection(exchange: Served) -> None:
    limits = {"subscriptions_max": 3, "messages_per_s_max": 8, "message_bytes_max": 2_000}
    async with served(exchange.exchange, **limits) as strict:
        async with strict.client() as client:
            answer = await client.ask("subscribe", channel="level2", symbols=["AAPL"])
            await client.hear()
            await client.subscribe("trades", "AAPL", "MSFT")
            answer = await client.ask("subscribe", channel="level2", symbols=["AAPL", "MSFT"])
            assert answer["code"] == "too_many_subscriptions"
            await client.subscribe("level2", "AAPL")  # anew: it is one of the three
            for number in range(8):
                await client.say("ping", id=number)
            answers = [await client.hear() for _ in range(8)]
            assert "rate_limited" in {answer.get("code") for answer in answers}
            for _ in range(120):
                await client.say("ping")
            heard, code, reason = await ended(client)
            assert (heard[-1]["closes"], code, reason) == (True, 1008, "rate_limited")
        async with strict.client() as client:
            await client.socket.send("x" * 2_001)
            _, code, _ = await ended(client)
            assert code == 1009
        async with strict.client() as client:
            await client.socket.send(b"{}")
            heard, code, _ = await ended(client)
            assert (heard[-1]["code"], code) == ("binary_message", 1008)


async def test_limits_of_many_connections(exchange: Served) -> None:
    limits = {"connections_max": 3, "connections_per_key_max": 1, "connections_per_address_max": 2}
    async with served(exchange.exchange, **limits) as strict:
        async with strict.client("alice"), strict.client() as other:
            answer = await other.ask("auth", key=exchange.exchange.keys["alice"])
            assert answer["code"] == "too_many_connections"
            status, problem = await refused_handshake(strict)
            assert (status, problem["reason"]) == (429, "too_many_connections")
        await until(lambda: strict.stream.connection_count == 0)
        async with strict.client("alice"):
            status, _ = await refused_handshake(
                strict, **{"X-API-Key": exchange.exchange.keys["alice"]}
            )
            assert status == 429
        await until(lambda: strict.stream.connection_count == 0)
        async with strict.client("alice") as again:
            assert (await again.ask("ping"))["type"] == "pong"


async def test_pings_of_one_who_reads_nothing_gather_no_answers(exchange: Served) -> None:
    async with served(exchange.exchange, silent_ms_max=1_500) as strict:
        own = socket.create_connection(("127.0.0.1", int(strict.url.rpartition(":")[2])))
        own.sendall(HANDSHAKE)
        assert (await asyncio.to_thread(own.recv, 1)) == b"H"
        await until(lambda: strict.stream.connection_count == 1)
        [connection] = strict.stream._open
        held: list[int] = []

        def over() -> bool:
            held.append(connection.socket.transport.get_write_buffer_size())
            return strict.stream.connection_count == 0

        sending = asyncio.create_task(asyncio.to_thread(own.sendall, PINGS))
        await until(over)
        with contextlib.suppress(ConnectionError):  # cut off before it had said all
            await sending
        assert max(held) <= HELD_BYTES_MAX
        own.close()


async def test_who_answers_no_ping_is_cut_off(exchange: Served) -> None:
    async with served(exchange.exchange, silent_ms_max=600) as strict:
        address = strict.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(address[0], int(address[2]))
        writer.write(
            b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        async with asyncio.timeout(WAIT_S):
            everything = await reader.read()  # until the server ends it
        writer.close()
        assert b'"code":"silent"' in everything and everything.endswith(b"\x03\xf0silent")
