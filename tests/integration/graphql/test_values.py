"""A value is the same in the document as in a variable, and a bad one of either is refused with
what is wrong: every argument of the schema, and every field of its inputs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)
from graphql.type import get_nullable_type
from websockets.asyncio.client import ClientConnection, connect

from api.graphql import SDL_PATH
from tests.integration.graphql.asking import WAIT_S, ask
from tests.integration.graphql.conftest import SYMBOL
from tests.integration.stream.serving import Served

pytestmark = pytest.mark.anyio
SCHEMA = build_schema(SDL_PATH.read_text())
RANGE = 'since: "2026-01-01T00:00:00Z", until: "2026-01-02T00:00:00Z"'
# How a type's fields are reached. Analytics has a range, for without it `until` is now.
REACHED = {
    "Query": "%s",
    "Account": "account { %s }",
    "Analytics": f'analytics(symbol: "{SYMBOL}", {RANGE}, interval: D1) {{ %s }}',
    "Book": f'book(symbol: "{SYMBOL}") {{ %s }}',
    "Instrument": f'instrument(symbol: "{SYMBOL}") {{ %s }}',
}
# Arguments that go with another, or without which the answer is of now.
BESIDE = {
    "Query.analytics": RANGE,
    "Query.analytics(since)": 'until: "2026-01-02T00:00:00Z"',
    "Query.analytics(until)": 'since: "2026-01-01T00:00:00Z"',
    "Query.analytics(interval)": RANGE,
    "Query.order": f'clientOrderId: "s0-1", symbol: "{SYMBOL}"',
    "Query.order(orderId)": "",
    "Query.order(clientOrderId)": "",
    "Query.order(symbol)": 'clientOrderId: "s0-1"',
}
GOOD = {
    "Int": 5,
    "Boolean": False,
    "Quantity": 10,
    "Sequence": "40",
    "Time": "2026-01-01T12:00:00.125Z",
    "symbol": SYMBOL,
    "symbols": SYMBOL,
    "clientOrderId": "s0-1",
    "number": 1,
    "everyMs": 1_000,
    "AsOf.time": "2099-12-31T12:00:00Z",  # any later than the listing
}
BAD: tuple[Any, ...] = (
    *("x", "-1", "9" * 30, "2026-02-30T00:00:00Z", "\N{ARABIC-INDIC DIGIT ONE}"),
    *(0, -1, 1.5, 2**31 - 1, 10**40, True, None, [[]], {}),
)


@pytest.fixture(scope="module", autouse=True)
async def settled(exchange: Served) -> None:
    """Nothing changes any more: the history has come as far as the books."""
    for symbol in (SYMBOL, "MSFT"):
        answer = (await exchange.exchange.client.get(f"/v1/books/{symbol}")).json()
        query = {"min_position": answer["position"]}
        await exchange.exchange.call("GET", "/v1/orders", params=query)


@dataclass(frozen=True)
class Place:
    """Where a value goes: an argument, or a field of an input that is one."""

    parent: str
    field: str
    argument: str
    inside: str = ""

    @property
    def name(self) -> str:
        inside = f".{self.inside}" if self.inside else ""
        return f"{self.parent}.{self.field}({self.argument}{inside})"

    @property
    def of_argument(self) -> GraphQLArgument:
        parent = SCHEMA.type_map[self.parent]
        assert isinstance(parent, GraphQLObjectType)
        return parent.fields[self.field].args[self.argument]

    @property
    def kind(self) -> Any:
        """The value's type."""
        outer = get_named_type(self.of_argument.type)
        return outer.fields[self.inside].type if self.inside else self.of_argument.type

    def query(self, value: str, declared: str = "") -> str:
        """The operation with this text as the value."""
        if self.inside:
            outer = self.of_argument.type
            others = _required(get_named_type(outer).fields, self.inside, is_required_input_field)
            value = "{" + ", ".join([*others, f"{self.inside}: {value}"]) + "}"
            value = f"[{value}]" if is_list_type(get_nullable_type(outer)) else value
        parent = SCHEMA.type_map[self.parent]
        assert isinstance(parent, GraphQLObjectType)
        field = parent.fields[self.field]
        whole = f"{self.parent}.{self.field}"
        beside = BESIDE.get(f"{whole}({self.argument})", BESIDE.get(whole))
        if beside is None:
            beside = ", ".join(_required(field.args, self.argument, is_required_argument))
        text = f"{self.field}({beside} {self.argument}: {value}){_selection(field.type)}"
        if self.parent == "Subscription":
            return f"subscription {declared} {{ {text} }}"
        return f"query {declared} {{ {REACHED[self.parent] % text} }}"


def _required(among: dict[str, Any], but: str, required: Any) -> list[str]:
    """What must be given beside an argument or a field."""
    texts = {"symbol": f'"{SYMBOL}"', "symbols": f'["{SYMBOL}"]', "after": '"0"', "sequence": '"1"'}
    return [
        f"{name}: {texts[name]}" for name, each in among.items() if name != but and required(each)
    ]


def _selection(kind: Any) -> str:
    """What is asked of a type: its plain values, or those of what it holds."""
    found = get_named_type(kind)
    if is_leaf_type(found):
        return ""
    if not isinstance(found, GraphQLObjectType):
        return " { __typename }"
    plain = [
        name
        for name, field in found.fields.items()
        if is_leaf_type(get_named_type(field.type)) and not field.args
    ]
    if plain:
        return " { " + " ".join(plain) + " }"
    return " { " + " ".join(n + _selection(f.type) for n, f in found.fields.items()) + " }"


def _places() -> list[Place]:
    found = []
    for parent in SCHEMA.type_map.values():
        if not isinstance(parent, GraphQLObjectType) or parent.name.startswith("__"):
            continue
        for field, shape in parent.fields.items():
            for argument, each in shape.args.items():
                outer = get_named_type(each.type)
                inside = outer.fields if isinstance(outer, GraphQLInputObjectType) else [""]
                found += [Place(parent.name, field, argument, name) for name in inside]
    return found


PLACES = {place.name: place for place in _places()}
ASKED = [name for name, place in PLACES.items() if place.parent != "Subscription"]
SUBSCRIBED = [name for name, place in PLACES.items() if place.parent == "Subscription"]


def literal(value: Any) -> str:
    """A value as a document has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


async def _good(served: Served, place: Place) -> list[Any]:
    """Values that the place takes; the names of an enum in lists of one where it has lists."""
    kind = get_named_type(place.kind)
    outer = get_named_type(place.of_argument.type).name
    values: list[Any]
    if isinstance(kind, GraphQLEnumType):
        values = list(kind.values)
    elif place.argument == "after" and kind.name == "String":
        page = await ask(served, "{ " + (REACHED[place.parent] % _first(place)) + " }", key="alice")
        found = page if place.parent == "Query" else page["account"]
        values = [found[place.field]["edges"][0]["cursor"]]
    elif kind.name == "LogPosition":
        book = await ask(served, f'{{ book(symbol: "{SYMBOL}") {{ position }} }}')
        values = [book["book"]["position"]]
    elif kind.name == "OrderId":
        query = "{ orders(first: 1) { edges { node { orderId } } } }"
        edges = (await ask(served, query, key="alice"))["orders"]["edges"]
        values = [edges[0]["node"]["orderId"]]
    else:
        value = GOOD.get(f"{outer}.{place.inside}")
        name = place.inside or place.argument
        values = [value or GOOD.get(name) or GOOD[kind.name]]
        if place.argument == "number":
            values = [served.exchange.numbers["alice"]]
        if kind.name == "Sequence" and place.inside != "sequence":
            values.append("0")
    if is_list_type(get_nullable_type(place.kind)):
        return [[value] for value in values]
    return values


def _first(place: Place) -> str:
    symbol = f'symbol: "{SYMBOL}", ' if place.field == "trades" else ""
    return f"{place.field}({symbol}first: 1) {{ edges {{ cursor }} }}"


def _in_document(place: Place, value: Any) -> str:
    text = literal(value)
    named = isinstance(get_named_type(place.kind), GraphQLEnumType)
    return text.replace('"', "") if named else text


async def _answer(served: Served, query: str, variables: Any = None) -> Any:
    body = {"query": query, "variables": variables}
    return (await served.exchange.call("POST", "/graphql", body, key="alice")).json()


@pytest.mark.parametrize("name", ASKED)
async def test_a_value_is_the_same_in_the_document_and_in_a_variable(
    exchange: Served, name: str
) -> None:
    place = PLACES[name]
    for value in await _good(exchange, place):
        in_document = await _answer(exchange, place.query(_in_document(place, value)))
        query = place.query("$value", f"($value: {_declared(place)})")
        in_variable = await _answer(exchange, query, {"value": value})
        assert "errors" not in in_document, (value, in_document)
        assert in_document == in_variable, value


def _declared(place: Place) -> str:
    """The variable's type. A field of a `oneOf` input takes no null."""
    outer = get_named_type(place.of_argument.type)
    one_of = isinstance(outer, GraphQLInputObjectType) and outer.name == "AsOf"
    return f"{place.kind}!" if one_of else str(place.kind)


@pytest.mark.parametrize("name", ASKED)
async def test_a_bad_value_is_refused_with_what_is_wrong(exchange: Served, name: str) -> None:
    place = PLACES[name]
    refused = 0
    for value in BAD:
        in_document = await _answer(exchange, place.query(literal(value)))
        query = place.query("$value", f"($value: {_declared(place)})")
        in_variable = await _answer(exchange, query, {"value": value})
        for answer in (in_document, in_variable):
            for error in answer.get("errors", ()):
                assert error["extensions"]["code"] != "internal_error", value
                assert error["message"], value
        refused += "errors" in in_document and "errors" in in_variable
    assert refused >= len(BAD) // 2, "most of them are of another form"


async def _begun(socket: ClientConnection, number: int, payload: dict[str, Any]) -> Any:
    """Subscribe, and hear the first answer."""
    message = {"id": str(number), "type": "subscribe", "payload": payload}
    await socket.send(json.dumps(message))
    async with asyncio.timeout(WAIT_S):
        while True:
            told = json.loads(await socket.recv())
            if told.get("id") == str(number):
                await socket.send(json.dumps({"id": str(number), "type": "complete"}))
                return told


@pytest.mark.parametrize("name", SUBSCRIBED)
async def test_a_subscription_takes_values_either_way(exchange: Served, name: str) -> None:
    place = PLACES[name]
    headers = {"X-API-Key": exchange.exchange.keys["alice"]}
    address = exchange.url.replace("http", "ws") + "/graphql"
    async with connect(
        address, subprotocols=["graphql-transport-ws"], additional_headers=headers
    ) as socket:
        await socket.send('{"type":"connection_init"}')
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        variable = place.query("$value", f"($value: {_declared(place)})")
        for value in (await _good(exchange, place))[:2]:
            payloads = (
                {"query": place.query(_in_document(place, value))},
                {"query": variable, "variables": {"value": value}},
            )
            for number, payload in enumerate(payloads):
                told = await _begun(socket, number, payload)
                assert told["type"] == "next" and "errors" not in told["payload"], (value, told)
        for number, value in enumerate(BAD[:10], 10):
            payload = {"query": place.query(literal(value))}
            told = await _begun(socket, number, payload)
            assert "internal_error" not in json.dumps(told), value


async def test_orders_of_a_book_are_counted_from_1(exchange: Served) -> None:
    """By a literal and by a variable, alone and beside others."""
    for first, code in ((0, "invalid_value"), (-1, "invalid_value"), (1_001, "page_too_large")):
        for query in (
            f'{{ book(symbol: "{SYMBOL}") {{ orders(first: {first}) {{ orderId }} }} }}',
            f'query ($n: Int! = {first}) {{ book(symbol: "{SYMBOL}") {{'
            " bids { price } ...more some: orders(first: 1) { orderId } } }"
            " fragment more on Book { orders(first: $n) { orderId } }",
        ):
            answer = await _answer(exchange, query)
            assert answer["data"] == {"book": None}
            assert [each["extensions"]["code"] for each in answer["errors"]] == [code]


async def test_before_its_first_event_a_book_is_empty(exchange: Served) -> None:
    """What `bookSteps(after: "0")` goes on from, by a literal and by a variable."""
    fields = "{ sequence position state isPast bids { price } lastTrade { price } orders { side } }"
    plain = f'{{ book(symbol: "{SYMBOL}", asOf: {{sequence: "0"}}) {fields} }}'
    query = f'query ($at: AsOf) {{ book(symbol: "{SYMBOL}", asOf: $at) {fields} }}'
    found = (await ask(exchange, plain))["book"]
    assert found == (await ask(exchange, query, at={"sequence": "0"}))["book"]
    steps = f'{{ bookSteps(symbol: "{SYMBOL}", after: "0", first: 1) {{ steps {{ position }} }} }}'
    [step] = (await ask(exchange, steps))["bookSteps"]["steps"]
    shard, place = step["position"].split("-")
    assert found == {
        "sequence": "0",
        "position": f"{shard}-{int(place) - 1}",
        "state": "CLOSED",
        "isPast": True,
        "bids": [],
        "lastTrade": None,
        "orders": [],
    }
