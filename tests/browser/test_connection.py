"""What the pages do while the exchange is away, and when it comes back."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.exchange import Exchange, until


def test_a_killed_api_greys_the_page_which_comes_back_by_itself(
    open_page: OpenPage, exchange: Exchange, console_errors: list[str]
) -> None:
    page = open_page("/ui/trade?symbol=IBM", account="demo")
    expect(page.locator("#bar-feed")).to_have_text("Live, with key")
    with exchange.client("demo") as client:
        order = client.submit("IBM", "buy", 25, price="224.00")
    row = page.locator(f'#orders [row-id="{order.order_id}"]')
    expect(row).to_be_visible()
    expect(page.locator('#ladder [col-id="ownBid"]').filter(has_text="25")).to_have_count(1)
    with exchange.without_api():
        expect(page.locator("body")).to_have_attribute("data-feed", "offline")
        expect(page.locator("#feed-state")).to_contain_text("Reconnecting")
        assert "STALE since" in stale_label(page)
        assert body_filter(page) == "grayscale(1)"
    exchange.until_ready()
    expect(page.locator("#bar-feed")).to_have_text("Live, with key")
    assert body_filter(page) == "none"
    with exchange.client("demo") as client:
        last = client.submit("IBM", "buy", 10, price="223.90")
        book = client.book("IBM", depth=50, min_position=last.position)
        until(
            lambda: page.evaluate("Crossbook.feed.books.get('IBM').sequence") == str(book.sequence),
            "the page follows the new process",
        )
        expect(page.locator("#orders-count")).to_have_text("(2)")
        client.mass_cancel("IBM")
    expect(page.locator("#orders-count")).to_have_text("")
    # While nobody listens on the port, the browser itself writes that to the console.
    away = ("WebSocket", "ERR_", "503")
    console_errors[:] = [each for each in console_errors if not any(w in each for w in away)]


def stale_label(page: Page) -> str:
    label: str = page.evaluate(
        "getComputedStyle(document.querySelector('.cb-ladder .cb-panel-head'), '::after').content"
    )
    return label


def body_filter(page: Page) -> str:
    shown: str = page.evaluate(
        "getComputedStyle(document.querySelector('.cb-ladder .cb-panel-body')).filter"
    )
    return shown


# Every state the feed goes through, whenever it does; each connection is deaf until one was stale.
DEAFEN = """() => {
  const feed = Crossbook.feed;
  window.states = [];
  feed.onState(() => {
    window.states.push([feed.state, feed.lastClosed]);
    const stale = window.states.some(([state]) => state === "stale");
    if (feed._socket && !stale) feed._socket.onmessage = () => {};
  });
}"""


def test_a_connection_that_only_falls_silent_is_noticed(open_page: OpenPage) -> None:
    page = open_page("/ui/")
    expect(page.locator("body")).to_have_attribute("data-feed", "live")
    page.evaluate(DEAFEN)

    been_stale = "window.states.some(([state]) => state === 'stale')"
    until(lambda: page.evaluate(been_stale), "silence is noticed")
    until(lambda: page.evaluate("window.states.at(-1)[0] === 'live'"), "it connects again")
    told = page.evaluate("window.states")
    assert [state for state, _ in told][-4:] == ["live", "stale", "offline", "live"], told
    assert told[-1][1] == "nothing came"
    lost = [state for state, _ in told].count("offline")
    expect(page.locator("#bar-reconnects")).to_have_text(str(lost))
    expect(page.locator("#bar-reconnects")).to_have_attribute("title", "the last one: nothing came")


def test_a_gap_in_a_chain_begins_it_anew(open_page: OpenPage) -> None:
    page = open_page("/ui/trade?symbol=AAPL")
    expect(page.locator("#bar-checksum")).to_contain_text("✓")
    page.evaluate("Crossbook.feed.subscriptions.get('level2 AAPL').sequence = '1'")
    expect(page.locator("#bar-resyncs")).to_have_text("1")
    page.evaluate("Crossbook.feed.books.get('AAPL').bids.take([['1.0000', 5, 1]])")
    page.evaluate("Crossbook.feed.books.get('AAPL').asks.clear()")
    expect(page.locator("#bar-resyncs")).to_have_text("2")
    until(lambda: page.evaluate("Crossbook.feed.books.get('AAPL').asks.levels.size") > 0, "asks")
