"""Swagger UI and the GraphQL console in a browser that reaches nothing but the exchange."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.exchange import Exchange

ELSEWHERE = re.compile(r"^https?://(?!127\.0\.0\.1|localhost)")
OpenAlone = Callable[[str], Page]


@pytest.fixture
def asked_elsewhere() -> list[str]:
    """What pages asked of other hosts."""
    return []


@pytest.fixture
def open_alone(open_page: OpenPage, asked_elsewhere: list[str]) -> OpenAlone:
    """Opens a path in a browser for which there is no other host."""

    def refuse(route: Route) -> None:
        asked_elsewhere.append(route.request.url)
        route.abort()

    def open_one(path: str) -> Page:
        page = open_page("/livez")
        context: BrowserContext = page.context
        context.route(ELSEWHERE, refuse)
        page.goto(page.url.replace("/livez", path))
        return page

    return open_one


def answer(page: Page) -> object:
    """What the console shows."""
    return json.loads(page.locator("#answer").inner_text())


def test_rest_is_described_without_any_other_host(
    open_alone: OpenAlone, asked_elsewhere: list[str]
) -> None:
    page = open_alone("/docs")
    expect(page.locator("#operations-orders-submit_order, .opblock-post").first).to_be_visible()
    page.locator(".opblock-summary-path", has_text="/v1/books/").first.click()
    expect(page.locator(".opblock-body").first).to_be_visible()
    assert asked_elsewhere == []


def test_the_console_asks_and_shows_errors_and_the_schema(
    open_alone: OpenAlone, asked_elsewhere: list[str]
) -> None:
    page = open_alone("/graphql/console")
    page.locator("#run").click()
    expect(page.locator("#said")).to_contain_text("200 in")
    assert answer(page)["data"]["book"]["bids"]
    page.locator("#query").fill("query ($s: String!) { instrument(symbol: $s) { symbol state } }")
    page.locator("#variables").fill('{"s": "KO"')
    page.locator("#run").click()
    expect(page.locator("#said")).to_contain_text("no JSON")
    page.locator("#variables").fill('{"s": "KO"}')
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer")).to_contain_text('"KO"')
    page.locator("#variables").fill("")
    page.locator("#query").fill("{ nothing }")
    page.locator("#run").click()
    expect(page.locator("#answer")).to_contain_text("nothing")
    assert answer(page)["errors"]
    page.locator("#search").fill("candle")
    expect(page.locator("#schema")).to_contain_text("type Candle {")
    assert page.locator("#schema").inner_text().index("type Candle {") < 200
    page.locator("#search").fill("zzzz")
    expect(page.locator("#schema")).to_have_text("nothing is called that")
    assert asked_elsewhere == []


def test_the_console_subscribes_and_stops(open_alone: OpenAlone) -> None:
    page = open_alone("/graphql/console")
    page.locator("#examples").select_option("live quotes")
    page.locator("#run").click()
    expect(page.locator("#said")).to_contain_text("messages, newest first")
    expect(page.locator("#answer")).to_contain_text("quotes")
    page.locator("#stop").click()
    expect(page.locator("#said")).to_have_text("stopped")
    expect(page.locator("#stop")).to_be_hidden()
    page.wait_for_timeout(1_500)  # quotes come several times a second
    assert page.locator("#said").inner_text() == "stopped"
    query = '# a comment\nsubscription { trades(symbols: ["NONE"]) { price } }'
    page.locator("#query").fill(query)
    page.locator("#run").click()
    expect(page.locator("#answer")).to_contain_text("errors")
    expect(page.locator("#stop")).to_be_hidden()


def test_the_console_has_a_key(
    open_alone: OpenAlone, exchange: Exchange, console_errors: list[str]
) -> None:
    page = open_alone("/graphql/console")
    page.locator("#examples").select_option("my account (needs a key)")
    page.locator("#run").click()
    expect(page.locator("#answer")).to_contain_text("errors")
    page.locator("#key").fill(exchange.key("demo"))
    page.locator("#run").click()
    expect(page.locator("#answer")).to_contain_text('"demo"')
    page.reload()
    assert page.locator("#key").input_value() == exchange.key("demo")
    page.locator("#key").fill("cbk_wrong")
    page.locator("#run").click()
    expect(page.locator("#said")).to_contain_text("401")
    console_errors.clear()  # Chromium tells of the 401


def test_without_its_files_graphiql_leaves_for_the_console(
    open_alone: OpenAlone, asked_elsewhere: list[str], console_errors: list[str]
) -> None:
    page = open_alone("/graphql?q=%7B+__typename+%7D")
    page.wait_for_url("**/graphql/console?**")
    expect(page.locator("#notice")).to_be_visible()
    assert page.locator("#query").input_value() == "{ __typename }"
    page.locator("#run").click()
    expect(page.locator("#answer")).to_contain_text("Query")
    assert asked_elsewhere and all("unpkg.com" in url for url in asked_elsewhere)
    console_errors.clear()  # Chromium tells of what could not be loaded


def test_with_its_files_graphiql_stays(
    open_page: OpenPage, exchange: Exchange, console_errors: list[str]
) -> None:
    def without_digests(route: Route) -> None:
        page = route.fetch()
        route.fulfill(response=page, body=re.sub(r'integrity="[^"]*"', "", page.text()))

    def any_file(route: Route) -> None:
        kind = "text/css" if route.request.url.endswith(".css") else "text/javascript"
        headers = {"Access-Control-Allow-Origin": "*"}
        route.fulfill(status=200, content_type=kind, body="", headers=headers)

    page = open_page("/livez")
    page.context.route(ELSEWHERE, any_file)
    page.context.route("**/graphql", without_digests)
    page.goto(f"{exchange.url}/graphql")
    page.wait_for_load_state("load")
    assert page.url == f"{exchange.url}/graphql"
    assert page.title() == "Strawberry GraphiQL"
    console_errors.clear()  # an empty GraphiQL defines nothing
