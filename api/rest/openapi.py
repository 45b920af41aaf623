"""The OpenAPI document: what FastAPI reads off the routes, with the bodies, answers and errors that
it cannot see.

Bodies and answers are msgspec Structs, so their schemas are msgspec's own. Guarantees: every route
has an entry in `api.rest.operations` (a test walks them), each with its answers, its errors and,
where it takes a body, an example.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, get_args

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.errors import PROBLEM_TYPE, TITLES
from api.keys import Needs
from api.rates.enforce import NEVER_REFUSED
from api.rest.operations import OPERATIONS, Operation, ProblemAnswer
from api.rest.problems import EVERYWHERE, UNLIMITED, WITH_BODY, WITH_KEY, by_status, of_reason

REF: Final = "#/components/schemas/{name}"
EXAMPLE_REF: Final = "#/components/examples/{name}"
SECURITY_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: cbk_…"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
COMMON_HEADERS: Final = {
    "X-Request-ID": {
        "description": "The request's id, its own where it sent a sane one.",
        "schema": {"type": "string"},
        "required": True,
    },
    "RateLimit-Policy": {
        "description": 'What may be asked how often: `"key";q=1000;w=1` is 1,000 a second.',
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": 'What remains of it: `"key";r=999;t=1`; all is back in `t` seconds.',
        "schema": {"type": "string"},
    },
}
ETAG_HEADER: Final = {
    "ETag": {
        "description": "Names this content; send it as `If-None-Match`.",
        "schema": {"type": "string"},
        "required": True,
    }
}
IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "An `ETag` that was answered: 304 where it still holds.",
    "schema": {"type": "string", "examples": ['"0f1e2d3c4b5a69788796a5b4"']},
}
RETRY_AFTER_HEADER: Final = {
    "Retry-After": {
        "description": "Seconds to wait.",
        "schema": {"type": "integer", "minimum": 1},
        "required": True,
    }
}
PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`respond-async`: answer 202 as soon as the command is durable.",
    "schema": {"type": "string", "examples": ["respond-async"]},
}


def scope_of(route: APIRoute) -> str | None:
    """The scope that a route's key needs; None where it needs no key."""
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Needs):
            return dependency.call.scope
    return None


def install_openapi(app: FastAPI) -> None:
    """Have `app.openapi()` give the whole document, made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build_openapi(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def build_openapi(app: FastAPI) -> dict[str, Any]:
    """The document of an app's present routes."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    types: dict[Any, None] = {ProblemAnswer: None}
    named: set[str] = set()
    for route in app.routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            operation = OPERATIONS[method, route.path_format]
            place = document["paths"][route.path_format][method.lower()]
            scope = scope_of(route)
            if scope is not None:
                place["security"] = [{"bearer": []}, {"apiKey": []}]
                place["description"] = f"{place.get('description', '')}\n\nScope: `{scope}`."
            reasons = reasons_of(operation, scope, route.path_format)
            named.update(reasons)
            _describe(place, operation, reasons)
            _tidy_parameters(place, app.state.services.settings.shards)
            types.update(dict.fromkeys(operation.types()))
    _, components = msgspec.json.schema_components(list(types), ref_template=REF)
    document["components"] = {
        "schemas": components,
        "examples": {reason: {"value": _problem_example(reason)} for reason in sorted(named)},
        "securitySchemes": SECURITY_SCHEMES,
    }
    return document


def reasons_of(operation: Operation, scope: str | None, path: str) -> tuple[str, ...]:
    """Every reason that an endpoint may give."""
    always = UNLIMITED if path in NEVER_REFUSED else EVERYWHERE
    key = WITH_KEY if scope is not None else ()
    body = WITH_BODY if operation.body is not None else ()
    # A symbol or an order id with a line break in it leads nowhere.
    nowhere = ("no_such_path",) if "{symbol}" in path or "{order}" in path else ()
    return (*always, *key, *body, *nowhere, *operation.reasons)


def _describe(place: dict[str, Any], operation: Operation, reasons: Iterable[str]) -> None:
    place["tags"] = [operation.tag]
    if operation.body is not None:
        content: dict[str, Any] = {"schema": _ref(operation.body)}
        content["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
        place["requestBody"] = {"required": True, "content": {"application/json": content}}
    if operation.prefer:
        place.setdefault("parameters", []).append(PREFER)
    answers = {
        str(status): _answer(answer, example, operation)
        for status, (answer, example) in sorted(operation.answers.items())
    }
    if operation.tagged:
        place.setdefault("parameters", []).append(IF_NONE_MATCH)
        answers["304"] = {
            "description": "What `If-None-Match` names is what would be answered.",
            "headers": COMMON_HEADERS | ETAG_HEADER,
        }
    problems = {str(status): _problem(status, of) for status, of in by_status(reasons).items()}
    place["responses"] = answers | problems


def _tidy_parameters(place: dict[str, Any], shards: int) -> None:
    """A parameter that may be left out is not null where it is given; a position is of a shard that
    there is."""
    one = f"({'|'.join(str(shard) for shard in range(shards))})-(0|[1-9][0-9]{{0,11}})"
    for parameter in place.get("parameters", []):
        schema = parameter["schema"]
        for each in schema.pop("anyOf", []):
            if each.get("type") != "null":
                schema.update(each)
        schema.pop("description", None)
        if parameter["name"] == "min_position":
            schema["pattern"] = f"^{one}(,{one}){{0,{shards - 1}}}$"


def _ref(type_: Any) -> dict[str, Any]:
    several = get_args(type_)
    if several:
        return {"oneOf": [_ref(each) for each in several]}
    return {"$ref": REF.format(name=type_.__name__)}


def _answer(answer: Any, example: Any, operation: Operation) -> dict[str, Any]:
    headers = COMMON_HEADERS | (ETAG_HEADER if operation.tagged else {})
    if answer is None:
        return {"description": "Done.", "headers": headers}
    if answer is bytes:
        return {
            "description": "Binary, as the description says.",
            "headers": headers,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    return {
        "description": " ".join(
            " ".join((each.__doc__ or "").split()) for each in get_args(answer) or [answer]
        ),
        "headers": headers,
        "content": {"application/json": {"schema": _ref(answer), "example": example}},
    }


def _problem(status: int, reasons: list[str]) -> dict[str, Any]:
    schema = {
        "allOf": [_ref(ProblemAnswer)],
        "properties": {"reason": {"enum": reasons}, "status": {"const": status}},
    }
    return {
        "description": f"{TITLES[status]}: {', '.join(f'`{reason}`' for reason in reasons)}.",
        "headers": COMMON_HEADERS | (RETRY_AFTER_HEADER if status in (429, 503) else {}),
        "content": {
            "application/problem+json": {
                "schema": schema,
                "examples": {
                    reason: {"$ref": EXAMPLE_REF.format(name=reason)} for reason in reasons
                },
            }
        },
    }


def _problem_example(reason: str) -> dict[str, Any]:
    status, detail = of_reason(reason)
    return {
        "type": PROBLEM_TYPE + reason,
        "title": TITLES[status],
        "status": status,
        "detail": detail,
        "reason": reason,
        "request_id": "5f0c2a9d3b7e4f61a8c05d9e1b2f3a4c",
    }
