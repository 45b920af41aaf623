"""axe-core finds no serious fault on any page, light or dark, nor in the dialogs."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from ui.pages import PAGES

SERIOUS = ("serious", "critical")
LOOKS_MAX = 8  # what fades in or is still loading is looked at again


def serious(page: Page) -> list[str]:
    """What is wrong, in a line each."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['help']}: {[node['target'] for node in fault['nodes'][:4]]}"
        for fault in found
        if fault["impact"] in SERIOUS
    ]


def settled_faults(page: Page) -> list[str]:
    """What is wrong with the page once it stands still."""
    faults: list[str] = []
    for _ in range(LOOKS_MAX):
        page.wait_for_timeout(1_000)  # charts and grids draw themselves after the data
        faults = serious(page)
        if not faults:
            break
    return faults


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", [page.path for page in PAGES])
def test_no_page_has_a_serious_fault(open_page: OpenPage, path: str, scheme: str) -> None:
    page = open_page(f"/ui{path}", scheme=scheme, account="demo")
    expect(page.locator("#bar-feed")).to_have_text("Live, with key")
    expect(page.locator(".cb-page h1")).to_be_attached()
    assert settled_faults(page) == []


@pytest.mark.parametrize("button", ["#key-open", "#help-open"])
def test_no_dialog_has_a_serious_fault(open_page: OpenPage, button: str) -> None:
    page = open_page("/ui/")
    expect(page.locator("#feed-state")).to_contain_text("Live")
    page.click(button)
    expect(page.get_by_role("dialog")).to_be_visible()
    assert settled_faults(page) == []
