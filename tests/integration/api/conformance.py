"""Holds every answer of the running app against the OpenAPI document that the app itself shows.

An answer must be of a documented status, with the documented headers and content type; its body
must be of the documented schema, and the reason of an error one of those that the document names
for this endpoint and status.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

import httpx
import jsonschema
from fastapi import FastAPI

from api.rest.operations import OPERATIONS

PLACE = re.compile(r"\{(\w+)\}")
ONE_SEGMENT = {"account", "key_id", "shard"}
# Answered before an endpoint is found, or where there is none.
OF_NO_ENDPOINT = {"no_such_path", "method_not_allowed"}


class Contract:
    """The document of one app."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.seen: set[tuple[str, str, str]] = set()

    @cached_property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = self._app.openapi()
        return document

    @cached_property
    def _paths(self) -> list[tuple[str, re.Pattern[str], str]]:
        found = []
        for method, path in OPERATIONS:
            parts = PLACE.split(path)
            pattern = "".join(
                re.escape(part) if at % 2 == 0 else "[^/]+" if part in ONE_SEGMENT else ".+"
                for at, part in enumerate(parts)
            )
            found.append((method, re.compile(pattern), path))
        # The one with the most fixed text first, as the app's own table has it.
        return sorted(found, key=lambda each: -len(PLACE.sub("", each[2])))

    def operation_of(self, method: str, path: str) -> tuple[str, dict[str, Any]] | None:
        """The documented endpoint of a request, None where there is none."""
        for known, pattern, template in self._paths:
            if known == method and pattern.fullmatch(path):
                operation: dict[str, Any] = self.document["paths"][template][method.lower()]
                return template, operation
        return None

    def check(self, answer: httpx.Response, content: bytes) -> None:
        """Raises AssertionError where the answer is not what the document says."""
        request = answer.request
        found = self.operation_of(request.method, request.url.path)
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        reason = httpx.Response(200, content=content).json()["reason"] if is_problem else ""
        if found is None or reason in OF_NO_ENDPOINT:
            return
        template, operation = found
        where = f"{request.method} {template}: {answer.status_code} {content[:300]!r}"
        documented = operation["responses"].get(str(answer.status_code))
        assert documented is not None, f"{where}: no such status is documented"
        for name, header in documented["headers"].items():
            assert name in answer.headers or not header.get("required"), f"{where}: no {name}"
        kinds = documented.get("content", {})
        if not kinds:
            assert not content, f"{where}: a body where none is documented"
            return
        kind = answer.headers["content-type"]
        assert kind in kinds, f"{where}: {kind} is not documented"
        if kind == "application/octet-stream":
            return
        schema = kinds[kind]["schema"]
        body = httpx.Response(200, content=content).json()
        whole = {**schema, "components": self.document["components"]}
        errors = list(jsonschema.Draft202012Validator(whole).iter_errors(body))
        assert not errors, f"{where}: {errors[0].message}"
        self.seen.add((request.method, template, reason))
