"""What every answer carries, what pages of other origins may do, and bounds of a request's head."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from api.heads import guarded
from api.http_socket import HEAD_BYTES_MAX, BoundedHttp
from api.services import ApiSettings
from tests.unit.api.small_app import small_app

pytestmark = pytest.mark.anyio
DESK = "https://desk.example"


def client_of(app: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://x")


@pytest.mark.parametrize(
    "path", ["/livez", "/nowhere", "/v1/orders", "/v1/instruments", "/docs", "/openapi.json"]
)
async def test_every_answer_is_guarded(tmp_path: Path, path: str) -> None:
    with small_app(tmp_path) as made:
        async with client_of(made.app) as client:
            headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] in ("no-store", "no-cache")
    assert "access-control-allow-origin" not in headers
    is_page = headers["content-type"].startswith("text/html")
    assert is_page == (path == "/docs")
    assert ("script-src" in headers["content-security-policy"]) == is_page


def test_a_page_may_load_what_its_part_of_the_site_needs() -> None:
    page = [(b"content-type", b"text/html; charset=utf-8")]
    policies = {
        path: dict(guarded(page, path))[b"content-security-policy"]
        for path in ("/graphql", "/graphql/more", "/graphqlx", "/elsewhere")
    }
    assert b"https://unpkg.com" in policies["/graphql"]
    assert policies["/graphql"] == policies["/graphql/more"] != policies["/graphqlx"]
    assert policies["/graphqlx"] == policies["/elsewhere"]
    own = [*page, (b"content-security-policy", b"default-src 'self'")]
    assert guarded(own, "/docs").count((b"content-security-policy", b"default-src 'self'")) == 1


async def test_other_origins_are_let_in_by_name_alone(tmp_path: Path) -> None:
    settings = ApiSettings(cors_origins=(DESK,))
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    with small_app(tmp_path, settings=settings) as made:
        async with client_of(made.app) as client:
            answer = await client.options("/v1/orders", headers={"Origin": DESK, **ask})
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == DESK
            assert "access-control-allow-credentials" not in answer.headers
            answer = await client.get("/v1/orders", headers={"Origin": DESK})
            assert answer.status_code == 401
            assert answer.headers["access-control-allow-origin"] == DESK
            assert "Retry-After" in answer.headers["access-control-expose-headers"]
            for origin in ("https://evil.example", "https://desk.example.evil", "null"):
                answer = await client.get("/v1/instruments", headers={"Origin": origin})
                assert "access-control-allow-origin" not in answer.headers
                answer = await client.options("/v1/orders", headers={"Origin": origin, **ask})
                assert answer.status_code == 400


@pytest.mark.parametrize(
    ("path", "headers", "status", "reason"),
    [
        ("/v1/books/" + "A" * 2_100, {}, 414, "uri_too_long"),
        ("/livez?x=" + "a" * 5_000, {}, 414, "uri_too_long"),
        ("/livez", {"X-Large": "a" * 17_000}, 431, "headers_too_large"),
        ("/livez", {f"X-{number}": "a" for number in range(120)}, 431, "headers_too_large"),
    ],
)
async def test_heads_that_are_too_large(
    tmp_path: Path, path: str, headers: dict[str, str], status: int, reason: str
) -> None:
    with small_app(tmp_path) as made:
        async with client_of(made.app) as client:
            answer = await client.get(path, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


class Quick(BoundedHttp):
    """Which waits for a head no longer than a test may."""

    head_wait_s = 0.2


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A server of its own, with sockets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    with small_app(tmp_path) as made:
        config = uvicorn.Config(
            made.app, port=number, lifespan="off", log_config=None, http=Quick, access_log=False
        )
        server = uvicorn.Server(config)
        server.capture_signals = lambda: _nothing()  # type: ignore[method-assign]
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield number
        server.should_exit = True
        await serving


def _nothing() -> object:
    from contextlib import nullcontext

    return nullcontext()


async def exchange_bytes(port: int, *parts: bytes) -> bytes:
    """Send the parts and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_head_without_end_is_refused_before_it_is_large(port: int) -> None:
    piece = b"a" * 8_192
    answer = await exchange_bytes(
        port, b"GET /livez HTTP/1.1\r\nX-Long: ", *([piece] * (HEAD_BYTES_MAX // 8_192 + 1))
    )
    assert answer.startswith(b"HTTP/1.1 431 ") and b"headers_too_large" in answer
    assert b"nosniff" in answer


async def test_a_head_that_never_ends_is_not_waited_for(port: int) -> None:
    assert await exchange_bytes(port, b"GET /livez HTTP/1.1\r\nHost: x\r\n") == b""
    assert await exchange_bytes(port, b"") == b""


async def test_what_is_no_http_is_a_problem_too(port: int) -> None:
    answer = await exchange_bytes(port, b"\x16\x03\x01 hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ") and b'"reason":"malformed_http"' in answer


async def test_good_requests_follow_one_another(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(3):
            assert (await client.get("/livez")).status_code == 200
            await asyncio.sleep(0.3)  # longer than a head is waited for
        large = await client.post("/v1/orders", content=b"[" * 200_000)
        assert large.status_code == 401
