"""What the schema says of itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type
from graphql import build_schema as build_core

from api.graphql import SDL_PATH
from api.graphql.schema import Schema, build_schema

# What belongs to an account: reached only through a field that needs a key.
PRIVATE = {"Account", "Order", "Execution", "Position", "ProfitAndLoss", "AccountLimits"} | {
    "OrderConnection",
    "OrderEdge",
    "ExecutionConnection",
    "ExecutionEdge",
    "OrderLife",
    "LifeEvent",
    "Arrival",
    "Standing",
}


@pytest.fixture(scope="module")
def schema() -> Schema:
    return build_schema()


def test_the_committed_sdl_is_the_schema(schema: Schema) -> None:
    told = "python -m api.graphql.schema writes it anew"
    assert SDL_PATH.read_text() == schema.as_str() + "\n", told


def test_there_is_no_mutation(schema: Schema) -> None:
    assert schema._schema.mutation_type is None


def _objects(schema: Any) -> list[GraphQLObjectType]:
    types = schema._schema.type_map.values()
    return [each for each in types if isinstance(each, GraphQLObjectType) and each.name[:2] != "__"]


def test_every_type_field_argument_and_value_is_described(schema: Schema) -> None:
    bare = [each.name for each in _objects(schema) if not each.description]
    for each in _objects(schema):
        bare += [
            f"{each.name}.{name}" for name, field in each.fields.items() if not field.description
        ]
    # Relay's own words are Strawberry's.
    assert bare == []


def _scoped(field: Any) -> bool:
    strawberry_field = field.extensions["strawberry-definition"]
    names = {
        type(each).__strawberry_directive__.graphql_name or type(each).__name__
        for each in strawberry_field.directives
    }
    return bool({"NeedsRead", "NeedsAdmin"} & names)


def test_what_is_private_is_reached_through_a_key_alone(schema: Schema) -> None:
    roots = [schema._schema.query_type, schema._schema.subscription_type]
    seen: set[str] = set()
    waiting = [root for root in roots if root is not None]
    while waiting:
        found = waiting.pop()
        if found.name in seen:
            continue
        seen.add(found.name)
        for field in found.fields.values():
            if _scoped(field):
                continue
            named = get_named_type(field.type)
            if isinstance(named, GraphQLObjectType):
                waiting.append(named)
    assert seen & PRIVATE == set()
    assert "Book" in seen and "Instrument" in seen


def test_every_private_type_is_known_to_this_test(schema: Schema) -> None:
    """A type that only a key reaches is listed above, so that it cannot be opened by mistake."""
    core = build_core(SDL_PATH.read_text())
    assert set(core.type_map) >= PRIVATE


def test_every_code_is_documented() -> None:
    root = Path(__file__).parents[3]
    text = (root / "docs" / "graphql.md").read_text() + (root / "docs" / "rest.md").read_text()
    raised = re.compile(r'(?:Problem\(\s*\d+|refused\(|Refusal\(\s*\d+),?\s*"(\w+)"')
    found: set[str] = set()
    for file in (root / "api" / "graphql").glob("*.py"):
        found |= set(raised.findall(file.read_text()))
    assert len(found) > 8
    assert [code for code in sorted(found) if f"`{code}`" not in text] == []
