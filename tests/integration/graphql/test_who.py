"""Who may see what: every field that needs a key, with none, with another account's and with its
own; and how a key that was revoked ends."""

from __future__ import annotations

from typing import Any

import pytest
from gql.transport.exceptions import TransportConnectionFailed, TransportServerError
from graphql import GraphQLField, GraphQLObjectType, get_named_type, get_nullable_type, is_list_type
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.graphql.schema import build_schema
from tests.integration.graphql.asking import WAIT_S, ask, code_of, messages
from tests.integration.stream.serving import Served

pytestmark = pytest.mark.anyio
SCHEMA = build_schema()._schema
DEPTH = 5


def scope_of(field: GraphQLField) -> str | None:
    """The scope that a field says it needs."""
    names = {type(each).__name__ for each in field.extensions["strawberry-definition"].directives}
    return "read" if "NeedsRead" in names else "admin" if "NeedsAdmin" in names else None


def selection(kind: Any, depth: int) -> str:
    """Every field of a type that needs no argument, as deep as told."""
    named = get_named_type(kind)
    if not isinstance(named, GraphQLObjectType):
        return ""
    parts = []
    for name, field in named.fields.items():
        if any(x.default_value is x.default_value and _required(x) for x in field.args.values()):
            continue
        inner = get_named_type(field.type)
        if isinstance(inner, GraphQLObjectType):
            if depth > 1 and inner.name not in ("Instrument", "OrderLife"):
                parts.append(name + selection(inner, depth - 1))
        else:
            parts.append(name)
    return " { " + " ".join(p for p in parts if not p.endswith("{  }")) + " }"


def _required(argument: Any) -> bool:
    from graphql import is_required_argument

    return bool(is_required_argument(argument))


ROOTS = {
    name: field
    for name, field in SCHEMA.query_type.fields.items()  # type: ignore[union-attr]
    if scope_of(field)
}


def arguments(name: str, served: Served, order_id: str) -> str:
    """What a root field is asked with, so that it names something of alice's."""
    number = served.exchange.numbers["alice"]
    return {
        "account": f"(number: {number})",
        "order": f'(orderId: "{order_id}")',
        "orderLife": f'(orderId: "{order_id}")',
    }.get(name, "")


async def order_of_alice(served: Served) -> str:
    query = "{ orders(first: 1) { edges { node { orderId } } } }"
    found = await ask(served, query, key="alice")
    return str(found["orders"]["edges"][0]["node"]["orderId"])


def texts_in(value: Any) -> set[str]:
    """Every text and number of an answer."""
    if isinstance(value, dict):
        return set().union(*map(texts_in, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(texts_in, value)) if value else set()
    return {str(value)}


@pytest.mark.parametrize("name", ROOTS)
async def test_every_field_of_an_account_needs_its_key(exchange: Served, name: str) -> None:
    order_id = await order_of_alice(exchange)
    field = ROOTS[name]
    fields = selection(field.type, 2 if name == "accounts" else DEPTH)
    query = f"{{ {name}{arguments(name, exchange, order_id)}{fields} }}"
    assert await code_of(exchange, query) == "no_key"
    if scope_of(field) == "admin":
        assert await code_of(exchange, query, key="alice") == "missing_scope"
        found = await ask(exchange, query, key="admin")
        assert is_list_type(get_nullable_type(field.type)) and len(found[name]) >= 4
        return
    own = await ask(exchange, query, key="alice")
    assert own[name] is not None
    # Another account's key: nothing of alice's, and nothing that says whether there is any.
    if name == "account":
        assert await code_of(exchange, query, key="bob") == "unknown_account"
        unknown = query.replace(str(exchange.exchange.numbers["alice"]), "999999")
        assert await code_of(exchange, unknown, key="bob") == "unknown_account"
    else:
        other = await ask(exchange, query, key="bob")
        assert order_id not in texts_in(other)
        if name in ("order", "orderLife"):
            assert other[name] is None
    seen = await ask(exchange, query, key="admin")
    if name in ("account", "order", "orderLife"):
        assert seen[name] is not None


async def test_public_answers_name_no_account(exchange: Served) -> None:
    names = {"alice", "bob", "reader", "admin"}
    for name, field in SCHEMA.query_type.fields.items():  # type: ignore[union-attr]
        if scope_of(field) or name in ("accounts",):
            continue
        given = {
            "instrument": '(symbol: "AAPL")',
            "book": '(symbol: "AAPL")',
            "bookSteps": '(symbol: "AAPL", after: "1", first: 20)',
            "trades": '(symbol: "AAPL", first: 20)',
            "candles": '(symbol: "AAPL", first: 20)',
            "market": "(movers: 2)",
            "analytics": '(symbol: "AAPL", interval: H4)',
        }.get(name, "")
        found = await ask(exchange, f"{{ {name}{given}{selection(field.type, 3)} }}")
        assert not names & texts_in(found), name


async def test_a_bad_key_is_refused_whatever_is_asked(exchange: Served) -> None:
    headers = {"Authorization": "Bearer cbk_000000000000_" + "0" * 48}
    answer = await exchange.exchange.client.post(
        "/graphql", json={"query": "{ status { ready } }"}, headers=headers
    )
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "invalid_key"


async def test_own_executions_need_a_key_and_are_ones_own(exchange: Served) -> None:
    query = "subscription { executions { symbol execution { orderId } } }"
    with pytest.raises(Exception, match="send a key"):
        async for _ in messages(exchange, query):
            pass
    key = exchange.exchange.keys["bob"]
    init = {"authorization": f"Bearer {key}"}
    async for message in messages(exchange, query, init=init):
        assert message["executions"]["execution"] is None  # where the chain begins
        break


async def test_a_key_that_is_revoked_ends_its_subscriptions(exchange: Served) -> None:
    await exchange.exchange.open_account("brief", "read")
    number = exchange.exchange.numbers["brief"]
    source = messages(exchange, "subscription { status(everyMs: 250) { ready } }", key="brief")
    assert (await anext(source))["status"]["ready"] in (True, False)
    directory = exchange.exchange.services.directory
    key_id = exchange.exchange.keys["brief"].split("_")[1]
    directory.revoke_key(number, key_id, by="test")
    with pytest.raises((TransportConnectionFailed, ConnectionClosed)):
        async for _ in source:
            pass


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"subprotocols": ["graphql-ws"]}, 400),
        ({"additional_headers": {"X-API-Key": "nonsense"}}, 401),
    ],
)
async def test_a_handshake_that_may_not_be_is_refused(
    exchange: Served, more: dict[str, Any], status: int
) -> None:
    address = exchange.url.replace("http", "ws") + "/graphql"
    given = {"subprotocols": ["graphql-transport-ws"]} | more
    with pytest.raises(InvalidStatus) as refused:
        await connect(address, open_timeout=WAIT_S, **given)
    assert refused.value.response.status_code == status


async def test_a_bad_key_in_connection_init_ends_the_connection(exchange: Served) -> None:
    address = exchange.url.replace("http", "ws") + "/graphql"
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:
        await socket.send('{"type":"connection_init","payload":{"x-api-key":"nonsense"}}')
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "invalid_key")


async def test_http_errors_are_of_the_same_shape(exchange: Served) -> None:
    client = exchange.exchange.client
    for answer, status, code in (
        (await client.get("/graphql?query={__typename}"), 405, "method_not_allowed"),
        (
            await client.post(
                "/graphql", content=b"[", headers={"Content-Type": "application/json"}
            ),
            400,
            "malformed_request",
        ),
        (await client.post("/graphql", files={"a": b"b"}), 415, "unsupported_media_type"),
    ):
        assert answer.status_code == status
        assert answer.json()["errors"][0]["extensions"]["code"] == code
    page = await client.get("/graphql", headers={"Accept": "text/html"})
    assert page.status_code == 200 and "graphiql" in page.text.lower()


__all__ = ["TransportServerError"]
