"""The pictures of the dashboard in README.md and docs/: each page, light and dark, of an exchange
that trades. `make screenshots` makes them.

An exchange of its own is started in a temporary folder and left trading for a while, so that the
pages have something to show; the demo account has orders, executions and positions.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from crossbook_client import Crossbook
from tests.browser.exchange import WAIT_S, Exchange

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SIZE = {"width": 1344, "height": 840}
BYTES_MAX = 400 * 1024
SYMBOL = "AAPL"


@dataclass(frozen=True)
class Shot:
    """One page. `ready` selects what is there once it can be shown; `prepare` does the rest."""

    name: str
    path: str
    ready: str
    prepare: Callable[[Page], None] = lambda _page: None


def _show_ladder(page: Page) -> None:
    page.locator("#ladder-armed").check(force=True)


def _show_minutes(page: Page) -> None:
    page.get_by_text("15m", exact=True).first.click()


def _show_life(page: Page) -> None:
    page.locator("#travel-trade-back").click()
    page.locator("#travel-queue .ag-row").first.click()
    page.locator("#travel-life .cb-life-event").first.wait_for()


SHOTS = (
    Shot("market", "/ui/", "#watchlist .ag-row"),
    Shot("trade", f"/ui/trade?symbol={SYMBOL}", "#orders .ag-row", _show_ladder),
    Shot("history", f"/ui/history?symbol={SYMBOL}", "#history-table .ag-row", _show_minutes),
    Shot("travel", f"/ui/travel?symbol={SYMBOL}", "#travel-queue .ag-row", _show_life),
    Shot("system", "/ui/system", '#stage-matcher[data-health="good"]'),
)


def trade_a_little(client: Crossbook) -> None:
    """Give the account something to show: a position in two symbols, and orders in the book."""
    client.submit(SYMBOL, "buy", 200)
    client.submit("MSFT", "sell", 120)
    book = client.book(SYMBOL, depth=1)
    middle = book.bids[0].price.quantize(book.bids[0].price.__class__("0.01"))
    for away, quantity in ((8, 150), (15, 300), (90, 250)):
        tick = middle.__class__("0.01")
        client.submit(SYMBOL, "buy", quantity, price=middle - away * tick, time_in_force="gtc")
        client.submit(SYMBOL, "sell", quantity, price=middle + away * tick, time_in_force="gtc")


def take(browser: Browser, exchange: Exchange, shot: Shot, scheme: str, settle_s: float) -> Path:
    """One picture."""
    context = browser.new_context(viewport=SIZE, color_scheme=scheme)
    context.set_default_timeout(WAIT_S * 1_000)
    page = context.new_page()
    key = exchange.key("demo")
    page.add_init_script(f"sessionStorage.setItem('crossbook.key', '{key}')")
    page.goto(exchange.url + shot.path)
    page.wait_for_selector(shot.ready)
    shot.prepare(page)
    time.sleep(settle_s)  # for the charts to have some of the present in them
    path = IMAGES / f"{shot.name}-{scheme}.png"
    page.screenshot(path=path)
    context.close()
    size = path.stat().st_size
    assert size <= BYTES_MAX, f"{path} has {size:,} bytes"
    return path


def main() -> None:
    """Make all of them, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="pages; default: all")
    parser.add_argument("--trade-s", type=float, default=90, help="how long to trade before")
    parser.add_argument("--settle-s", type=float, default=8, help="how long to look at each page")
    options = parser.parse_args()
    shots = [shot for shot in SHOTS if not options.names or shot.name in options.names]
    IMAGES.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="screenshots-"))
    exchange = Exchange(folder, symbols=(), rate=120)
    try:
        exchange.start()
        time.sleep(options.trade_s)
        with sync_playwright() as playwright, exchange.client("demo") as client:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for shot in shots:
                for scheme in ("dark", "light"):
                    trade_a_little(client)
                    print(take(browser, exchange, shot, scheme, options.settle_s))
            browser.close()
    finally:
        exchange.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
