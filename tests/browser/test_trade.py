"""Trade: orders sent, filled, replaced and cancelled from the ticket, the ladder and the list, each
checked at the exchange itself."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from crossbook_client import Crossbook, Order
from tests.browser.conftest import OpenPage
from tests.browser.exchange import Exchange, until


@pytest.fixture(autouse=True)
def no_orders(exchange: Exchange) -> None:
    """No order of other tests rests when one begins."""
    for account in ("demo", "player"):
        with exchange.client(account) as client:
            client.mass_cancel()


def trade_page(open_page: OpenPage, symbol: str, *, account: str | None = "demo") -> Page:
    """The page of one symbol, its book and its account there."""
    page = open_page(f"/ui/trade?symbol={symbol}", account=account)
    expect(page.locator("#bar-sequence")).to_contain_text(symbol)
    if account is not None:
        expect(page.locator("#bar-feed")).to_have_text("Live, with key")
    return page


def fill_ticket(page: Page, side: str, quantity: int, price: str) -> None:
    """Type an order; nothing is sent."""
    page.locator("#ticket-side").get_by_text(side, exact=True).click()
    page.fill("#ticket-quantity", str(quantity))
    page.fill("#ticket-price", price)
    expect(page.locator("#ticket-send")).to_contain_text(f"{side} {quantity}")


def until_working(client: Crossbook, symbol: str, *expected: tuple[str, int, str]) -> list[Order]:
    """Wait until the account's open orders of a symbol are these: (side, leaves, price), newest
    first."""
    found: list[Order] = []

    def same() -> bool:
        found[:] = client.orders(symbol=symbol, state="active").orders
        return [(each.side, each.leaves_quantity, f"{each.price:.2f}") for each in found] == [
            *expected
        ]

    until(same, f"open orders of {symbol}: {expected}")
    return found


def ladder_cell(page: Page, price_ticks: int, column: str) -> Locator:
    return page.locator(f'#ladder [row-id="{price_ticks}"] [col-id="{column}"]')


def test_without_a_key_all_is_shown_and_nothing_can_be_sent(open_page: OpenPage) -> None:
    page = trade_page(open_page, "AAPL", account=None)
    expect(page.locator("#tape .ag-row").first).to_be_visible()
    expect(page.locator("#trade-bid")).not_to_have_text("–")
    expect(
        page.locator("#candles-chart .candlesticklayer path, #candles-chart .boxes path").first
    ).to_be_attached()
    expect(page.locator("#depth-chart .scatterlayer path").first).to_be_attached()
    expect(page.locator("#orders-empty")).to_be_visible()
    expect(page.locator("#ticket-send")).to_have_text("Give a key to trade (k)")


def test_the_book_on_screen_is_the_exchanges_own(open_page: OpenPage, exchange: Exchange) -> None:
    page = trade_page(open_page, "CSCO")
    with exchange.client("player") as client:
        for number in range(40):  # past the 16th message of the chain, which has a checksum
            client.submit("CSCO", "buy", 10 + number, price=f"{54.90 - (number % 20) / 100:.2f}")
            price = f"{55.10 + (number % 20) / 100:.2f}"
            last = client.submit("CSCO", "sell", 20 + number, price=price)
        book = client.book("CSCO", depth=1000, min_position=last.position)
    until(lambda: shown_book(page, "CSCO")["sequence"] == str(book.sequence), "the newest sequence")
    shown = shown_book(page, "CSCO")
    for side, levels in (("bids", book.bids), ("asks", book.asks)):
        assert shown[side] == [[f"{each.price:.4f}", each.quantity] for each in levels]
    assert int(shown["verified"]) > int(book.sequence) - 80
    expect(page.locator("#bar-resyncs")).to_have_text("0")


def shown_book(page: Page, symbol: str) -> dict[str, Any]:
    shown: dict[str, Any] = page.evaluate(
        "(symbol) => { const book = Crossbook.feed.books.get(symbol); const side = (levels) =>"
        " levels.best().map((level) => [level.price, level.quantity]); return {sequence:"
        " book.sequence, verified: book.verified, bids: side(book.bids), asks: side(book.asks)}; }",
        symbol,
    )
    return shown


def test_a_ticket_is_sent_partly_filled_replaced_and_cancelled(
    open_page: OpenPage, exchange: Exchange
) -> None:
    page = trade_page(open_page, "NVDA")
    with exchange.client("demo") as client, exchange.client("player") as other:
        fill_ticket(page, "Buy", 100, "130.05")
        page.click("#ticket-send")
        expect(page.locator("#ticket-outcome")).to_contain_text("In the book")
        (order,) = until_working(client, "NVDA", ("buy", 100, "130.05"))
        row = page.locator(f'#orders [row-id="{order.order_id}"]')
        expect(row).to_contain_text("open")
        expect(ladder_cell(page, 1_300_500, "ownBid")).to_have_text("100")
        other.submit("NVDA", "sell", 40, price="130.05", time_in_force="ioc")
        expect(row).to_contain_text("partly filled")
        expect(row.locator('[col-id="executed"]')).to_have_text("40")
        page.get_by_role("tab", name="Executions").click()
        filled = page.locator("#executions .ag-row", has_text="130.05")
        expect(filled.first).to_contain_text("40")
        page.get_by_role("tab", name="Orders").click()
        row.get_by_role("button", name="Replace").click()
        page.fill("#ticket-price", "130.02")
        page.fill("#ticket-quantity", "90")
        page.click("#ticket-send")
        expect(page.locator("#ticket-outcome")).to_contain_text("Replaced")
        until_working(client, "NVDA", ("buy", 50, "130.02"))
        row.get_by_role("button", name="Cancel").click()
        expect(page.locator(f'#orders [row-id="{order.order_id}"]')).to_have_count(0)
        until_working(client, "NVDA")


def test_the_ladder_sends_moves_and_cancels(open_page: OpenPage, exchange: Exchange) -> None:
    with exchange.client("player") as other:
        other.submit("PG", "buy", 10, price="169.95")
        other.submit("PG", "sell", 10, price="170.05")
    page = trade_page(open_page, "PG")
    page.fill("#ticket-quantity", "30")
    page.locator("#ladder-armed").check(force=True)
    with exchange.client("demo") as client:
        ladder_cell(page, 1_699_800, "bid").click()
        expect(ladder_cell(page, 1_699_800, "ownBid")).to_have_text("30")
        (order,) = until_working(client, "PG", ("buy", 30, "169.98"))
        ladder_cell(page, 1_699_800, "ownBid").click()
        expect(page.locator("#ladder-held")).to_be_visible()
        ladder_cell(page, 1_699_600, "bid").click()
        expect(ladder_cell(page, 1_699_600, "ownBid")).to_have_text("30")
        (moved,) = until_working(client, "PG", ("buy", 30, "169.96"))
        assert moved.order_id == order.order_id
        ladder_cell(page, 1_699_600, "ownBid").click()
        page.click("#ladder-held-cancel")
        expect(ladder_cell(page, 1_699_600, "ownBid")).to_have_text("")
        until_working(client, "PG")


def test_an_unarmed_ladder_only_fills_the_ticket(open_page: OpenPage, exchange: Exchange) -> None:
    with exchange.client("player") as other:
        other.submit("WMT", "buy", 10, price="79.95")
        other.submit("WMT", "sell", 10, price="80.05")
    page = trade_page(open_page, "WMT")
    ladder_cell(page, 800_300, "ask").click()
    expect(page.locator("#ticket-price")).to_have_value("80.03")
    expect(page.locator("#ticket-send")).to_contain_text("Sell 100 WMT at 80.03")
    with exchange.client("demo") as client:
        until_working(client, "WMT")


@pytest.mark.parametrize(
    ("price", "quantity", "words"),
    [
        ("130.055", 100, "A multiple of the tick, 0.01"),
        ("", 100, ""),
        ("130.05", "", "A whole number from 1"),
    ],
)
def test_what_cannot_be_sent_is_said_beside_the_field(
    open_page: OpenPage, price: str, quantity: int | str, words: str
) -> None:
    page = trade_page(open_page, "F")
    page.evaluate("dash_clientside.set_props('ticket-price', {decimalScale: 4})")
    page.fill("#ticket-quantity", str(quantity))
    page.fill("#ticket-price", price)
    expect(page.locator("#ticket-send")).to_be_disabled()
    if words:
        expect(page.locator(".cb-ticket")).to_contain_text(words)


def test_a_refusal_of_the_exchange_is_told_with_what_to_do(
    open_page: OpenPage, exchange: Exchange, console_errors: list[str]
) -> None:
    page = trade_page(open_page, "F")
    fill_ticket(page, "Buy", 10, "11.05")
    with exchange.client("admin") as admin:
        admin.admin.set_state("F", "halted")
        try:
            expect(page.locator("#trade-state")).to_have_text("halted")
            page.click("#ticket-send")
            expect(page.locator("#ticket-outcome")).to_contain_text("wait until it opens again")
        finally:
            admin.admin.set_state("F", "open")
    console_errors[:] = [each for each in console_errors if "422" not in each]


def test_fok_and_market_orders_say_what_came_of_them(
    open_page: OpenPage, exchange: Exchange
) -> None:
    with exchange.client("player") as other:
        other.submit("KO", "sell", 20, price="70.05")
    page = trade_page(open_page, "KO")
    page.locator("#ticket-type").get_by_text("Market", exact=True).click()
    page.fill("#ticket-quantity", "50")
    expect(page.locator("#ticket-preview")).to_contain_text("30 cancelled")
    page.click("#ticket-send")
    expect(page.locator("#ticket-outcome")).to_contain_text("20 filled at 70.05")
    expect(page.locator("#ticket-outcome")).to_contain_text("no liquidity")
    page.get_by_role("tab", name="Positions").click()
    expect(page.locator('#positions [row-id="KO"]')).to_contain_text("20")


def test_all_orders_are_cancelled_after_asking(open_page: OpenPage, exchange: Exchange) -> None:
    with exchange.client("demo") as client:
        client.submit("T", "buy", 5, price="21.50")
        client.submit("T", "buy", 5, price="21.51")
        page = trade_page(open_page, "T")
        expect(page.locator("#orders-count")).to_have_text("(2)")
        page.locator("#page").click(position={"x": 5, "y": 5})
        page.keyboard.press("Shift+X")
        page.click("#cancel-symbol")
        expect(page.locator("#orders-count")).to_have_text("")
        until_working(client, "T")


def test_an_order_sent_elsewhere_shows_and_goes(open_page: OpenPage, exchange: Exchange) -> None:
    with exchange.client("demo") as client:
        order = client.submit("GE", "buy", 15, price="178.00")
        page = trade_page(open_page, "GE")
        expect(page.locator(f'#orders [row-id="{order.order_id}"]')).to_contain_text("178.00")
        client.cancel(order.order_id)
        expect(page.locator(f'#orders [row-id="{order.order_id}"]')).to_have_count(0)
