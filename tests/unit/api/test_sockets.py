"""What only a real connection shows: large bodies are answered, not reset, and raw paths arrive."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from tests.unit.api.small_app import SmallApp, small_app

MEBIBYTE = 1_048_576


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[SmallApp, int]]:
    """The app on a free port of the loopback."""
    with small_app(tmp_path) as made, socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(made.app, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield made, listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


def reason_of(answer: http.client.HTTPResponse) -> tuple[int, str]:
    return answer.status, json.loads(answer.read())["reason"]


def test_ten_megabytes_get_their_answer(served: tuple[SmallApp, int]) -> None:
    made, port = served
    connection = connect(port)
    body = b" " * (10 * MEBIBYTE)
    connection.request("POST", "/v1/orders", body, {"X-API-Key": made.key})
    assert reason_of(connection.getresponse()) == (413, "body_too_large")


def test_so_do_they_in_chunks(served: tuple[SmallApp, int]) -> None:
    made, port = served
    connection = connect(port)
    chunks = (b" " * 65_536 for _ in range(160))
    connection.request(
        "POST", "/v1/orders/batch", chunks, {"X-API-Key": made.key}, encode_chunked=True
    )
    assert reason_of(connection.getresponse()) == (413, "body_too_large")


def test_who_asks_before_sending_need_not_send(served: tuple[SmallApp, int]) -> None:
    _, port = served
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 999999999999\r\n\r\n"
        )
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("length", [b"-1", b"x", b"9" * 400])
def test_odd_lengths_are_refused(served: tuple[SmallApp, int], length: bytes) -> None:
    _, port = served
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n"
        )
        assert connection.recv(65_536).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("path", ["S0", "S%30", "%530"])
def test_quoted_symbols_arrive(served: tuple[SmallApp, int], path: str) -> None:
    _, port = served
    connection = connect(port)
    connection.request("GET", f"/v1/instruments/{path}")
    assert json.loads(connection.getresponse().read())["symbol"] == "S0"


def test_a_key_of_odd_bytes_is_no_key(served: tuple[SmallApp, int]) -> None:
    _, port = served
    connection = connect(port)
    connection.request("GET", "/v1/orders", headers={"X-API-Key": "cbk_é"})
    assert reason_of(connection.getresponse()) == (401, "invalid_key")
