"""System: the pipeline as it is, and what was refused."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from crossbook_client import ApiError
from tests.browser.conftest import OpenPage
from tests.browser.exchange import Exchange

STAGES = ("gateway", "commands", "matcher", "events", "redis", "postgres")


def shown(page: Page, element: str) -> str:
    return page.locator(f"#{element}").inner_text()


def test_every_stage_tells_its_rate_lag_and_health(open_page: OpenPage) -> None:
    page = open_page("/ui/system")
    for stage in STAGES:
        expect(page.locator(f"#stage-{stage}")).to_have_attribute("data-health", "good")
        expect(page.locator(f"#stage-{stage}-rate")).not_to_have_text(re.compile(r"^(–|0\.0)$"))
    for stage in ("matcher", "redis", "postgres"):
        expect(page.locator(f"#stage-{stage}-lag")).not_to_have_text("–")
    expect(page.locator("#stage-events-position")).to_have_text(re.compile(r"^[\d,]{2,}$"))
    expect(page.locator("#flow-matcher")).to_have_attribute("data-flows", "yes")


def test_what_is_refused_is_counted_by_reason(open_page: OpenPage, exchange: Exchange) -> None:
    page = open_page("/ui/system")
    expect(page.locator("#stage-matcher")).to_have_attribute("data-health", "good")
    total = page.locator('#rejects [row-id="engine unknown_order"] [col-id="total"]')
    with exchange.client("demo") as client:
        for _ in range(3):
            try:
                client.cancel("4294967296001")
            except ApiError as refused:
                assert refused.reason == "unknown_order"
    expect(total).to_be_visible()
    expect(page.locator("#rejects-rate")).to_contain_text("since start")


def test_shards_and_state_hashes_are_those_of_the_status(
    open_page: OpenPage, exchange: Exchange
) -> None:
    page = open_page("/ui/system")
    matcher = page.locator('#stages [row-id="0 Matcher"]')
    expect(matcher).to_contain_text("healthy")
    expect(page.locator('#stages [row-id="0 PostgreSQL"]')).to_contain_text("healthy")
    expect(page.locator("#system-ready")).to_have_text("✓ Caught up")
    expect(page.locator("#system-instruments")).to_have_text("50")


def test_an_exchange_that_does_not_answer_is_said_to(
    open_page: OpenPage, console_errors: list[str]
) -> None:
    page = open_page("/ui/system")
    expect(page.locator("#stage-matcher")).to_have_attribute("data-health", "good")
    page.route(re.compile(r"/(metrics|graphql)$"), lambda route: route.abort())
    expect(page.locator("#system-trouble")).to_contain_text("did not answer")
    page.unroute_all()
    expect(page.locator("#system-trouble")).to_be_hidden()
    console_errors[:] = [each for each in console_errors if "ERR_FAILED" not in each]
