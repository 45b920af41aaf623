"""What stands before the routes refuses a GraphQL request in the shape that its client reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from api.middleware import BODY_BYTES_MAX, RequestIdMiddleware
from api.rates.enforce import Rates, RateSettings
from tests.unit.api.small_app import small_app

pytestmark = pytest.mark.anyio
QUERY = {"query": "{ __typename }"}
REFUSED: dict[str, tuple[int, dict[str, Any]]] = {
    "body_too_large": (413, {"content": b" " * (BODY_BYTES_MAX + 1)}),
    "uri_too_long": (414, {"json": QUERY, "params": {"x": "y" * 5_000}}),
    "headers_too_large": (431, {"json": QUERY, "headers": {"x-much": "y" * 20_000}}),
}


@pytest.fixture
def anyio_backend() -> str:
    """asyncio alone: the product runs on nothing else."""
    return "asyncio"


def client_of(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("10.0.0.1", 1))
    return httpx.AsyncClient(transport=transport, base_url="http://x")


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The one error of an answer that has nothing else."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"data", "errors"} and body["data"] is None
    [error] = body["errors"]
    assert error["message"]
    extensions: dict[str, Any] = error["extensions"]
    assert extensions["status"] == answer.status_code
    return extensions


async def test_an_address_that_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    rates = Rates(RateSettings(address_requests_per_s=1))
    with small_app(tmp_path, rates=rates) as made:
        async with client_of(made.app) as client:
            assert (await client.post("/graphql", json=QUERY)).json() == {
                "data": {"__typename": "Query"}
            }
            answer = await client.post("/graphql", json=QUERY)
            assert answer.status_code == 429 and answer.headers["ratelimit"]
            after = int(answer.headers["retry-after"])
            expected = {"code": "rate_limited", "status": 429, "retryAfterS": after}
            assert error_of(answer) == expected
            elsewhere = await client.get("/v1/instruments")
            assert elsewhere.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("code", REFUSED)
async def test_what_is_too_large_is_refused_as_graphql(tmp_path: Path, code: str) -> None:
    status, request = REFUSED[code]
    with small_app(tmp_path) as made:
        async with client_of(made.app) as client:
            answer = await client.post("/graphql", **request)
            assert answer.status_code == status
            assert error_of(answer) == {"code": code, "status": status}


async def test_what_nobody_expected_is_told_as_graphql() -> None:
    async def failing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("secret")

    async with client_of(RequestIdMiddleware(failing)) as client:
        answer = await client.post("/graphql", json=QUERY)
        assert error_of(answer) == {
            "code": "internal_error",
            "status": 500,
            "requestId": answer.headers["x-request-id"],
        }
        assert "secret" not in answer.text
