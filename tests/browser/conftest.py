"""The dashboard in Debian's Chromium, driven by Playwright, on one exchange for all the tests.

A machine without Chromium skips these; with CI=true that is a failure. Every page that a test opens
must write no error to its console.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.exchange import WAIT_S, Exchange

LACKING = "the browser tests need Chromium: install Debian's package chromium"
WIDE = {"width": 1440, "height": 900}

OpenPage = Callable[..., Page]
expect.set_options(timeout=WAIT_S * 1_000)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Chromium is; skips, and with CI=true fails, where it is not."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(LACKING)
        pytest.skip(LACKING)
    return found


@pytest.fixture(scope="package")
def exchange(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """The exchange of all these tests, with a simulator on some of its instruments. It ends with
    the last of them, so that no other test shares the machine with it."""
    running = Exchange(tmp_path_factory.mktemp("browser"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """The module's browser. Not the session's: Playwright holds the thread's event loop, which the
    tests after these need."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def console_errors() -> list[str]:
    """What the test's pages wrote to their consoles as errors; a test may take expected ones."""
    return []


@pytest.fixture
def open_page(
    browser: Browser, exchange: Exchange, console_errors: list[str]
) -> Iterator[OpenPage]:
    """Opens `path` below the exchange's address, in a session of its own: light or dark, with the
    key of `account` where one is named. At the end there must be no error on its console."""
    contexts: list[BrowserContext] = []

    def open_one(path: str, *, scheme: str = "dark", account: str | None = None) -> Page:
        context = browser.new_context(viewport=WIDE, color_scheme=scheme, reduced_motion="reduce")
        context.set_default_timeout(WAIT_S * 1_000)
        contexts.append(context)
        page = context.new_page()
        if account is not None:
            key = exchange.key(account)
            page.add_init_script(f"sessionStorage.setItem('crossbook.key', '{key}')")
        page.on("console", lambda said: _note(console_errors, said.type, said.text))
        page.on("pageerror", lambda error: console_errors.append(str(error)))
        page.goto(exchange.url + path)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not console_errors


def _note(errors: list[str], kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        errors.append(f"{kind}: {text}")
