"""Market: every instrument, live."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.exchange import Exchange


def cell(page: Page, symbol: str, field: str) -> str:
    return page.locator(f'#watchlist [row-id="{symbol}"] [col-id="{field}"]').inner_text()


def test_the_watchlist_shows_every_instrument_and_its_quotes(
    open_page: OpenPage, exchange: Exchange
) -> None:
    with exchange.client("demo") as client:
        listed = client.instruments()
        client.submit("KO", "buy", 70, price="60.01")
        client.submit("KO", "sell", 80, price="60.05")
    page = open_page("/ui/")
    expect(page.locator("#market-open")).to_have_text(f"{len(listed)} of {len(listed)}")
    page.fill("#watch-filter", "KO")
    expect(page.locator('#watchlist [row-id="KO"] [col-id="bid"]')).to_have_text("60.01")
    assert cell(page, "KO", "ask") == "60.05"
    assert cell(page, "KO", "spread") == "0.04"
    assert cell(page, "KO", "bidQuantity") == "70"


def test_a_trade_moves_price_volume_and_change_at_once(
    open_page: OpenPage, exchange: Exchange
) -> None:
    page = open_page("/ui/")
    expect(page.locator('#watchlist [row-id="AAPL"] [col-id="bid"]')).not_to_have_text("–")
    page.fill("#watch-filter", "DIS")
    expect(page.locator('#watchlist [row-id="DIS"]')).to_be_visible()
    with exchange.client("demo") as client, exchange.client("player") as other:
        for price in ("100.00", "101.00"):
            client.submit("DIS", "sell", 30, price=price)
            other.submit("DIS", "buy", 30, price=price)
    expect(page.locator('#watchlist [row-id="DIS"] [col-id="last"]')).to_have_text("101.00")
    expect(page.locator('#watchlist [row-id="DIS"] [col-id="percent"]')).to_have_text("▲ +1.00%")
    assert cell(page, "DIS", "volume") == "60"


WATCH_COLOURS = """(cells) => {
  window.seen = {up: 0, down: 0, wrong: []};
  let last = "";
  const look = () => {
    for (const cell of document.querySelectorAll(cells)) {
      const text = cell.innerText.trim();
      const part = cell.querySelector("[data-trend]") || cell;
      const worn = ["up", "down"].find((each) => part.matches(`[data-trend=${each}], .cb-${each}`));
      const said = text.startsWith("▲") ? "up" : text.startsWith("▼") ? "down" : undefined;
      if (worn !== said) window.seen.wrong.push(`${text} is ${worn}`);
      if (said && said !== last) window.seen[last = said] += 1;
    }
    requestAnimationFrame(() => setTimeout(look));
  };
  look();
}"""


def test_a_change_has_the_colour_of_its_sign_in_every_frame(
    open_page: OpenPage, exchange: Exchange
) -> None:
    page = open_page("/ui/")
    expect(page.locator('#watchlist [row-id="AAPL"] [col-id="bid"]')).not_to_have_text("–")
    page.fill("#watch-filter", "PFE")
    change = page.locator('#watchlist [row-id="PFE"] [col-id="change"]')
    with exchange.client("demo") as client, exchange.client("player") as other:

        def trade(price: str, shown: str) -> None:
            client.submit("PFE", "sell", 10, price=price)
            other.submit("PFE", "buy", 10, price=price)
            expect(change).to_have_text(shown)

        trade("30.00", "0.00")
        page.evaluate(WATCH_COLOURS, '#watchlist [row-id="PFE"] [col-id="change"]')
        for _ in range(4):
            trade("30.50", "▲ +0.50")
            trade("29.50", "▼ −0.50")
    seen = page.evaluate("window.seen")
    assert seen["wrong"] == []
    assert seen["up"] == seen["down"] == 4


def test_a_page_asks_again_for_instruments_that_it_did_not_get(
    open_page: OpenPage, console_errors: list[str]
) -> None:
    page = open_page("/ui/system")
    expect(page.locator("#nav-market")).to_be_visible()
    page.route("**/v1/instruments*", lambda route: route.abort(), times=1)
    page.click("#nav-market")
    expect(page.locator('#watchlist [row-id="AAPL"] [col-id="bid"]')).not_to_have_text("–")
    assert any("ERR_FAILED" in each for each in console_errors), "nothing failed"
    console_errors.clear()


def test_movers_activity_and_status_are_alive(open_page: OpenPage) -> None:
    page = open_page("/ui/")
    expect(page.locator("#movers-up .ag-row").first).to_be_visible()
    expect(page.locator("#exchange-state")).to_have_text("Caught up")
    expect(page.locator("#exchange-rows")).to_contain_text("Matcher")
    expect(page.locator("#activity-chart .bars path").first).to_be_attached()
    expect(page.locator("#market-rate")).not_to_have_text("0.0")
