"""`crossbook ui`: the dashboard by itself, with the API handed on under its own address."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.browser.exchange import ROOT, WAIT_S, Exchange, until


@pytest.fixture(scope="module")
def alone(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard of its own before the session's exchange."""
    output: Path = tmp_path_factory.mktemp("alone") / "ui.log"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "ui", "--url", exchange.url, "--port", "8460"],
            cwd=ROOT,
            stdout=out,
            stderr=out,
        )
    try:
        until(lambda: "/ui/" in output.read_text(), output.read_text())
        url = output.read_text().split()[1].removesuffix("/ui/")
        until(lambda: _answers(url), "the dashboard answers")
        yield url
    finally:
        process.terminate()
        process.wait(WAIT_S)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ui/", timeout=WAIT_S).status_code == 200
    except httpx.TransportError:
        return False


def test_it_trades_through_its_own_address(
    alone: str, browser: Browser, exchange: Exchange
) -> None:
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    key = exchange.key("demo")
    page.add_init_script(f"sessionStorage.setItem('crossbook.key', '{key}')")
    page.goto(f"{alone}/ui/trade?symbol=BA")
    expect(page.locator("#bar-feed")).to_have_text("Live, with key")
    page.fill("#ticket-price", "155.00")
    page.click("#ticket-send")
    expect(page.locator("#ticket-outcome")).to_contain_text("In the book")
    with exchange.client("demo") as client:
        (order,) = client.orders(symbol="BA", state="active").orders
        client.cancel(order.order_id)
    expect(page.locator(f'#orders [row-id="{order.order_id}"]')).to_have_count(0)
    context.close()
    assert errors == []


def test_it_hands_on_answers_and_refusals_as_they_are(alone: str, exchange: Exchange) -> None:
    for path in ("/v1/instruments", "/v1/books/AAPL?depth=0", "/v1/orders"):
        direct, handed = httpx.get(exchange.url + path), httpx.get(alone + path)
        assert (handed.status_code, handed.headers["content-type"]) == (
            direct.status_code,
            direct.headers["content-type"],
        )
    assert httpx.get(alone + "/v1/instruments").json()["instruments"]


def test_pages_of_another_origin_get_no_stream(alone: str) -> None:
    address = alone.replace("http", "ws") + "/v1/stream"
    with connect(address) as socket:
        socket.send('{"op": "ping", "id": 7}')
        assert '"pong"' in socket.recv(timeout=WAIT_S)
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, origin="http://other.test")
