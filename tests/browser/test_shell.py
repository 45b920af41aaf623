"""The frame around the pages: where it is, what it loads, the key, the theme, the shortcuts."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.exchange import Exchange


def test_the_root_leads_to_the_dashboard(exchange: Exchange) -> None:
    answer = httpx.get(exchange.url + "/")
    assert answer.status_code == 307
    assert answer.headers["location"] == "/ui/"


def test_everything_comes_from_the_exchange_itself(open_page: OpenPage, exchange: Exchange) -> None:
    page = open_page("/ui/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(page.locator("#feed-state")).to_contain_text("Live")
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(exchange.url).netloc}


def test_scripts_are_the_pages_own(exchange: Exchange) -> None:
    policy = httpx.get(exchange.url + "/ui/").headers["content-security-policy"]
    scripts = next(rule for rule in policy.split("; ") if rule.startswith("script-src"))
    assert "unsafe" not in scripts and "http" not in scripts


def test_a_wrong_key_is_refused_in_words(open_page: OpenPage, console_errors: list[str]) -> None:
    page = open_page("/ui/")
    page.click("#key-open")
    page.fill("#key-input", "cbk_000000000000_nonsense")
    page.click("#key-save")
    expect(page.get_by_text("does not know this key")).to_be_visible()
    assert stored_key(page) is None
    # The browser itself writes every 401 to the console.
    console_errors[:] = [each for each in console_errors if "401" not in each]


def test_a_key_stays_in_the_tab_and_can_be_removed(open_page: OpenPage, exchange: Exchange) -> None:
    page = open_page("/ui/")
    sent: list[str] = []
    page.on("websocket", lambda socket: sent.append(socket.url))
    page.on("request", lambda request: sent.append(f"{request.url} {request.post_data or ''}"))
    key = exchange.key("demo")
    expect(page.locator("#feed-state")).to_contain_text("Live")
    page.keyboard.press("k")
    page.fill("#key-input", key)
    page.click("#key-save")
    expect(page.locator("#key-state")).to_contain_text("Key cbk_")
    expect(page.locator("#bar-feed")).to_have_text("Live, with key")
    assert stored_key(page) == key
    assert page.evaluate("JSON.stringify(localStorage)").find(key) == -1
    assert not [each for each in sent if key in each]
    page.click("#key-open")
    page.click("#key-remove")
    expect(page.locator("#key-state")).to_have_text("Read-only")
    assert stored_key(page) is None


def stored_key(page: Page) -> str | None:
    stored: str | None = page.evaluate("sessionStorage.getItem('crossbook.key')")
    return stored


def test_shortcuts_are_shown_and_switch_the_scheme(open_page: OpenPage) -> None:
    page = open_page("/ui/", scheme="light")
    expect(page.locator("#feed-state")).to_contain_text("Live")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
    page.keyboard.press("d")
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
