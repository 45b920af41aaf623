"""What holds for every endpoint: keys and scopes, request ids, problems, health, and OpenAPI."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from api.rest.operations import OPERATIONS
from tests.integration.api.exchange import Exchange

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer cbk_000000000000_" + "0" * 48},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer"},
        {"X-API-Key": "é".encode("latin-1")},
        {"X-API-Key": ""},
        {},
    ],
)
async def test_what_is_no_key_is_401(exchange: Exchange, headers: dict[str, Any]) -> None:
    answer = await exchange.client.get("/v1/orders", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["reason"] in ("no_key", "invalid_key")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_both_headers_take_a_key(exchange: Exchange) -> None:
    for headers in (
        {"Authorization": f"bearer {exchange.keys['alice']}"},
        {"X-API-Key": exchange.keys["alice"]},
    ):
        assert (await exchange.client.get("/v1/orders", headers=headers)).status_code == 200


async def test_keys_are_refused_while_they_cannot_be_checked(exchange: Exchange) -> None:
    view = exchange.services.directory_view
    fresh = view._refreshed_at
    with view._refreshing:  # nobody refreshes meanwhile
        view._refreshed_at = float("-inf")
        try:
            answer = await exchange.call("GET", "/v1/orders")
            ready = await exchange.call("GET", "/readyz", key=None)
        finally:
            view._refreshed_at = fresh
    assert (answer.status_code, answer.json()["reason"]) == (503, "directory_stale")
    assert (ready.status_code, ready.json()["behind"]) == (503, ["directory"])


async def test_request_ids(exchange: Exchange) -> None:
    answer = await exchange.call("GET", "/livez", headers={"X-Request-ID": "my-id.7_A"})
    assert answer.headers["x-request-id"] == "my-id.7_A"
    for odd in ("a b", "x" * 65, "", "<script>"):
        answer = await exchange.call("GET", "/livez", headers={"X-Request-ID": odd})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/nowhere", 404, "no_such_path"),
        ("GET", "/", 404, "no_such_path"),
        ("GET", "/v1", 404, "no_such_path"),
        ("GET", "/v1/orders/batch/", 400, "invalid_order_id"),
        ("PUT", "/v1/orders", 405, "method_not_allowed"),
        ("POST", "/v1/books/AAPL", 405, "method_not_allowed"),
        ("DELETE", "/livez", 405, "method_not_allowed"),
    ],
)
async def test_paths_and_methods_that_are_not(
    exchange: Exchange, method: str, path: str, status: int, reason: str
) -> None:
    answer = await exchange.call(method, path)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    if status == 405:
        assert answer.headers["allow"]


async def test_what_nobody_expected_is_a_logged_500(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode() -> None:
        raise RuntimeError("a secret inside")

    monkeypatch.setattr(exchange.services.directory_view, "instruments", explode)
    answer = await exchange.call("GET", "/v1/instruments", key=None)
    assert (answer.status_code, answer.json()["reason"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in caplog.text
    assert "a secret inside" in caplog.text


async def test_health(exchange: Exchange) -> None:
    assert (await exchange.call("GET", "/livez", key=None)).json() == {"status": "live"}
    last = await exchange.submit("AAPL", "buy", 1, price="1.00")
    query = {"min_position": last.json()["position"]}
    await exchange.call("GET", "/v1/books/AAPL", params=query)
    ready = await exchange.call("GET", "/readyz", key=None)
    assert ready.status_code == 200, ready.text
    shards = ready.json()["shards"]
    assert [found["shard"] for found in shards] == list(range(exchange.settings.shards))
    assert all(found["written"] >= found["matched"] > 0 for found in shards)


async def test_openapi_describes_every_endpoint(exchange: Exchange) -> None:
    document = (await exchange.call("GET", "/openapi.json", key=None)).json()
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert described == set(OPERATIONS)
    schemas = document["components"]["schemas"]
    for reference in re.findall(r'"#/components/schemas/(\w+)"', str(document).replace("'", '"')):
        assert reference in schemas
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert "422" not in operation["responses"] or (
                "application/problem+json" in operation["responses"]["422"]["content"]
            ), where
            assert operation["summary"] and operation["description"], where
            for status, answer in operation["responses"].items():
                kinds = set(answer.get("content", {}))
                expected = {"application/problem+json"} if status >= "400" else {"application/json"}
                if status == "200" and path == "/v1/feed/{shard}/messages":
                    expected = {"application/octet-stream"}
                assert kinds == (set() if status in ("204", "304") else expected), where
                for kind, content in answer.get("content", {}).items():
                    if kind == "application/octet-stream":
                        continue
                    assert "example" in content or content["examples"], where
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                assert content["examples"], where


async def test_examples_are_of_their_shape() -> None:
    for operation in OPERATIONS.values():
        for example in operation.examples.values():
            msgspec.json.decode(msgspec.json.encode(example), type=operation.body)
        for answer, example in operation.answers.values():
            if answer is not None and example is not None:
                msgspec.json.decode(msgspec.json.encode(example), type=answer)
