"""The client against a real HTTP server with scripted answers: paths, types, errors, retries."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from crossbook_client import (
    ApiError,
    AsyncCrossbook,
    BookSnapshot,
    CancelCommand,
    ConnectionLostError,
    Crossbook,
    Deltas,
    ReplaceCommand,
    Retries,
    SubmitCommand,
)

QUICK = Retries(total_s=5.0, first_s=0.001, most_s=0.002)
ACCEPTED = {"status": 201, "outcome": "accepted", "order_id": "81", "position": "0-3"}
Script = list[tuple[int, dict[str, Any] | None, dict[str, str]]]


class Server:
    """Answers from a script; `None` as a body closes the connection without an answer."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.script: Script = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.requests.append((self.command, self.path, body))
                status, answer, headers = server.script.pop(0)
                if answer is None:
                    self.close_connection = True
                    return
                content = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def say(self, body: dict[str, Any] | None, status: int = 200, **headers: str) -> None:
        self.script.append((status, body, {k.replace("_", "-"): v for k, v in headers.items()}))

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Crossbook]:
    with Crossbook(server.url, "cbk_a_b", retries=QUICK) as connected:
        yield connected


def test_submit_sends_strings_for_prices_and_makes_a_client_order_id(
    server: Server, client: Crossbook
) -> None:
    server.say({**ACCEPTED, "average_price": "187.2400", "executed_quantity": 40}, 201)
    result = client.submit("AAPL", "buy", 100, price=Decimal("1.8725E+2"))
    method, path, body = server.requests[0]
    sent = json.loads(body)
    assert (method, path) == ("POST", "/v1/orders")
    assert len(sent.pop("client_order_id")) == 32
    assert sent == {
        "symbol": "AAPL",
        "side": "buy",
        "quantity": 100,
        "price": "187.25",
        "type": "limit",
    }
    assert result.average_price == Decimal("187.24")
    assert result.order_id == "81"


@pytest.mark.parametrize(
    ("ask", "method", "path"),
    [
        (lambda c: c.book("BRK/A", depth=5), "GET", "/v1/books/BRK%2FA?depth=5"),
        (lambda c: c.book("^GSPC"), "GET", "/v1/books/%5EGSPC"),
        (
            lambda c: c.cancel(client_order_id="a/b?c#d", symbol="BRK/A"),
            "DELETE",
            "/v1/orders/client:a%2Fb%3Fc%23d?symbol=BRK%2FA",
        ),
        (lambda c: c.mass_cancel("AAPL", "buy"), "DELETE", "/v1/orders?symbol=AAPL&side=buy"),
        (lambda c: c.mass_cancel(), "DELETE", "/v1/orders"),
        (
            lambda c: c.trades("AAPL", before=7, min_position="0-1"),
            "GET",
            "/v1/trades/AAPL?before=7&min_position=0-1",
        ),
    ],
)
def test_each_call_reaches_its_path(
    server: Server,
    client: Crossbook,
    ask: Callable[[Crossbook], object],
    method: str,
    path: str,
) -> None:
    server.say({"symbol": "X", "sequence": "1", "bids": [], "asks": [], "trades": []})
    ask(client)
    assert server.requests[0][:2] == (method, path)


def test_replace_leaves_out_what_was_not_given(server: Server, client: Crossbook) -> None:
    server.say({"outcome": "replaced"})
    client.replace("81", quantity=50)
    assert server.requests[0] == ("PATCH", "/v1/orders/81", b'{"quantity":50}')


def test_a_batch_keeps_order_and_tells_items_apart(server: Server, client: Crossbook) -> None:
    server.say(
        {
            "position": "0-9",
            "results": [
                ACCEPTED,
                {"status": 404, "outcome": "rejected", "reason": "unknown_order"},
                {"status": 200, "outcome": "replaced", "leaves_quantity": 7},
            ],
        }
    )
    result = client.batch(
        [
            SubmitCommand("AAPL", "buy", 1, "1.5", client_order_id="a"),
            CancelCommand("AAPL", client_order_id="b"),
            ReplaceCommand("AAPL", order_id="81", quantity=7, requeue=True),
        ]
    )
    assert json.loads(server.requests[0][2])["commands"] == [
        {
            "op": "submit",
            "symbol": "AAPL",
            "side": "buy",
            "quantity": 1,
            "price": "1.5",
            "type": "limit",
            "client_order_id": "a",
        },
        {"op": "cancel", "symbol": "AAPL", "client_order_id": "b"},
        {"op": "replace", "symbol": "AAPL", "order_id": "81", "quantity": 7, "requeue": True},
    ]
    assert [item.refused for item in result.results] == [False, True, False]
    with pytest.raises(ValueError, match="1 to 1,000"):
        client.batch([])


def test_deltas_or_a_snapshot_instead(server: Server, client: Crossbook) -> None:
    level = {"price": "1.5000", "quantity": 3, "order_count": 1}
    server.say(
        {
            "symbol": "AAPL",
            "kind": "deltas",
            "since": "500",
            "sequence": "501",
            "deltas": [{"sequence": "501", "side": "buy", **level}],
        }
    )
    found = client.deltas("AAPL", 500)
    assert isinstance(found, Deltas)
    assert found.deltas[0].sequence == 501
    server.say(
        {
            "symbol": "AAPL",
            "kind": "snapshot",
            "fallback": "too_old",
            "sequence": "900",
            "bids": [level],
            "asks": [],
        }
    )
    snapshot = client.deltas("AAPL", 1)
    assert isinstance(snapshot, BookSnapshot)
    assert (snapshot.fallback, snapshot.bids[0].price) == ("too_old", Decimal("1.5"))


def test_a_refusal_carries_reason_status_and_request_id(server: Server, client: Crossbook) -> None:
    problem = {
        "status": 422,
        "reason": "price_not_on_tick",
        "detail": "no multiple",
        "refused_by": "engine",
        "order_id": "81",
        "position": "0-4",
        "request_id": "r1",
    }
    server.say(problem, 422)
    with pytest.raises(ApiError, match="422 price_not_on_tick: no multiple") as caught:
        client.submit("AAPL", "buy", 1, price="0.001")
    error = caught.value
    assert (error.reason, error.status, error.request_id) == ("price_not_on_tick", 422, "r1")
    assert (error.refused_by, error.order_id, error.position) == ("engine", "81", "0-4")


def test_an_answer_of_another_shape_is_an_api_error(server: Server, client: Crossbook) -> None:
    server.say({"results": 3})
    with pytest.raises(ApiError, match="unexpected_answer"):
        client.orders()


def test_what_was_not_written_is_sent_again_with_the_same_id(
    server: Server, client: Crossbook
) -> None:
    server.say({"reason": "not_written"}, 503)
    server.say({"reason": "outcome_unknown"}, 503)
    server.say(None)
    server.say(ACCEPTED, 201)
    assert client.submit("AAPL", "buy", 1, price="1").order_id == "81"
    bodies = {body for _, _, body in server.requests}
    assert len(server.requests) == 4
    assert len(bodies) == 1
    assert client.resent == 3


def test_retry_after_is_obeyed(server: Server) -> None:
    error = ApiError("behind", status=503, retry_after_s=3.0)
    assert QUICK.pause_s(1, error) == 3.0
    server.say({"reason": "behind"}, 503, Retry_After="60")
    with Crossbook(server.url, retries=QUICK) as client, pytest.raises(ApiError, match="behind"):
        client.book("AAPL")  # the next attempt would be past the deadline
    assert len(server.requests) == 1


def test_a_batch_without_client_order_ids_is_not_sent_twice(
    server: Server, client: Crossbook
) -> None:
    server.say(None)
    with pytest.raises(ConnectionLostError) as caught:
        client.batch([SubmitCommand("AAPL", "buy", 1, "1")])
    assert caught.value.sent
    server.say({"reason": "outcome_unknown"}, 503)
    with pytest.raises(ApiError, match="outcome_unknown"):
        client.batch([SubmitCommand("AAPL", "buy", 1, "1")])
    assert len(server.requests) == 2


def test_a_refusal_is_not_sent_again(server: Server, client: Crossbook) -> None:
    server.say({"reason": "unknown_order"}, 404)
    with pytest.raises(ApiError):
        client.order("81")
    assert len(server.requests) == 1


def test_nobody_there_is_told_as_not_sent() -> None:
    nobody = Retries(total_s=0.0)
    with Crossbook("http://127.0.0.1:1", retries=nobody) as client:
        with pytest.raises(ConnectionLostError) as caught:
            client.instruments()
        assert not caught.value.sent


def test_the_async_client_is_the_same_with_await(server: Server) -> None:
    async def go() -> None:
        async with AsyncCrossbook(server.url, "cbk_a_b", retries=QUICK) as client:
            server.say({"reason": "not_written"}, 503)
            server.say(ACCEPTED, 201)
            assert (await client.submit("AAPL", "buy", 1, price="1")).order_id == "81"
            server.say({"instruments": []})
            assert await client.instruments() == []

    asyncio.run(go())


@pytest.mark.parametrize("part", ["", "admin"])
def test_both_clients_offer_the_same_methods(part: str) -> None:
    one: Any = Crossbook("http://x")
    other: Any = AsyncCrossbook("http://x")
    if part:
        one, other = one.admin, other.admin
    for name, method in inspect.getmembers(type(one), inspect.isfunction):
        if not name.startswith("_"):
            twin = getattr(type(other), name)
            assert inspect.signature(method).parameters == inspect.signature(twin).parameters, name
            assert inspect.iscoroutinefunction(twin) or inspect.isasyncgenfunction(twin), name
            assert method.__doc__ == twin.__doc__
    if not part:
        one.close()
        asyncio.run(other.close())
