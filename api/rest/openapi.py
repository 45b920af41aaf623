"""The OpenAPI document: what FastAPI reads off the routes, with the bodies, answers and errors that
it cannot see.

Bodies and answers are msgspec Structs, so their schemas are msgspec's own. Guarantees: every route
has an entry in `api.rest.operations` (a test walks them), each with its answers, its errors and,
where it takes a body, an example.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.errors import TITLES
from api.keys import Needs
from api.rest.operations import OPERATIONS, Operation, ProblemAnswer

REF: Final = "#/components/schemas/{name}"
SECURITY_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: cbk_…"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
REQUEST_ID_HEADER: Final = {
    "X-Request-ID": {
        "description": "The request's id, its own where it sent a sane one.",
        "schema": {"type": "string"},
    }
}
RETRY_AFTER_HEADER: Final = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
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
    for route in app.routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            operation = OPERATIONS[method, route.path_format]
            place = document["paths"][route.path_format][method.lower()]
            _describe(place, operation, scope_of(route))
            types.update(dict.fromkeys(operation.types()))
    _, components = msgspec.json.schema_components(list(types), ref_template=REF)
    document["components"] = {"schemas": components, "securitySchemes": SECURITY_SCHEMES}
    return document


def _describe(place: dict[str, Any], operation: Operation, scope: str | None) -> None:
    place["tags"] = [operation.tag]
    if operation.body is not None:
        content: dict[str, Any] = {"schema": _ref(operation.body)}
        if operation.examples:
            content["examples"] = {
                name: {"value": value} for name, value in operation.examples.items()
            }
        place["requestBody"] = {"required": True, "content": {"application/json": content}}
    if operation.prefer:
        place.setdefault("parameters", []).append(PREFER)
    errors = set(operation.errors) | {400, 500}
    if scope is not None:
        place["security"] = [{"bearer": []}, {"apiKey": []}]
        place["description"] = f"{place.get('description', '')}\n\nScope: `{scope}`."
        errors |= {401, 403, 503}
    if operation.body is not None:
        errors.add(413)
    place["responses"] = {
        str(status): _answer(answer, example)
        for status, (answer, example) in sorted(operation.answers.items())
    } | {str(status): _problem(status) for status in sorted(errors)}


def _ref(type_: Any) -> dict[str, Any]:
    return {"$ref": REF.format(name=type_.__name__)}


def _answer(answer: Any, example: Any) -> dict[str, Any]:
    if answer is None:
        return {"description": "Done.", "headers": REQUEST_ID_HEADER}
    content: dict[str, Any] = {"schema": _ref(answer)}
    if example is not None:
        content["example"] = example
    return {
        "description": (answer.__doc__ or "").split("\n")[0],
        "headers": REQUEST_ID_HEADER,
        "content": {"application/json": content},
    }


def _problem(status: int) -> dict[str, Any]:
    headers = REQUEST_ID_HEADER | (RETRY_AFTER_HEADER if status in (429, 503) else {})
    return {
        "description": TITLES[status],
        "headers": headers,
        "content": {"application/problem+json": {"schema": _ref(ProblemAnswer)}},
    }
