"""History: any symbol and range, as plots and as tables and files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
from playwright.sync_api import Page, expect

from crossbook_client import Trade
from tests.browser.conftest import OpenPage
from tests.browser.exchange import Exchange
from ui.pages.history_metrics import METRICS


def trade(exchange: Exchange, symbol: str, prices: tuple[str, ...], quantity: int) -> None:
    """Trades of one account with another."""
    with exchange.client("demo") as client, exchange.client("player") as other:
        for price in prices:
            client.submit(symbol, "sell", quantity, price=price)
            done = other.submit(symbol, "buy", quantity, price=price)
        other.trades(symbol, min_position=done.position)


def trades_of(exchange: Exchange, symbol: str) -> list[Trade]:
    with exchange.client("demo") as client:
        return client.trades(symbol, limit=1000).trades


def choose(page: Page, symbol: str) -> None:
    page.click("#history-symbol")
    page.fill("#history-symbol", symbol)
    page.get_by_role("option", name=symbol, exact=True).click()


def test_candles_figures_and_trades_are_those_of_the_range(
    open_page: OpenPage, exchange: Exchange
) -> None:
    trade(exchange, "GE", ("180.00", "182.00", "179.00", "181.00"), 25)
    page = open_page("/ui/history?symbol=GE")
    expect(page.locator("#history-open")).to_have_text("180.00")
    expect(page.locator("#history-high")).to_have_text("182.00")
    expect(page.locator("#history-low")).to_have_text("179.00")
    expect(page.locator("#history-change")).to_contain_text("▲ +1.00")
    expect(page.locator("#history-vwap")).to_have_text("180.5000")
    expect(page.locator("#history-trades")).to_have_text("4")
    expect(page.locator("#history-table .ag-row")).to_have_count(4)
    expect(page.locator("#history-table .ag-row").first).to_contain_text("181.00")
    expect(page.locator("#history-candles-chart .boxes path").first).to_be_attached()


def test_a_range_without_trades_says_so(open_page: OpenPage) -> None:
    page = open_page("/ui/history?symbol=MCD")
    expect(page.get_by_text("No trades in this range")).to_be_visible()
    expect(page.locator("#history-close")).to_have_text("–")


def test_another_symbol_is_another_history(open_page: OpenPage, exchange: Exchange) -> None:
    trade(exchange, "CAT", ("390.00",), 7)
    page = open_page("/ui/history?symbol=GE")
    expect(page.locator("#history-candles-note")).to_contain_text("candles of")
    choose(page, "CAT")
    expect(page.locator("#history-close")).to_have_text("390.00")
    expect(page.locator("#history-trades")).to_have_text("1")


def test_trades_are_taken_away_as_csv_and_parquet(open_page: OpenPage, exchange: Exchange) -> None:
    trade(exchange, "HD", ("400.00", "400.50", "399.75"), 11)
    page = open_page("/ui/history?symbol=HD")
    expect(page.locator("#history-table .ag-row")).to_have_count(3)
    known = [(each.price, each.quantity) for each in trades_of(exchange, "HD")]
    parquet = pl.read_parquet(exported(page, "parquet"))
    assert list(zip(parquet["price"], parquet["quantity"], strict=True)) == known
    assert parquet.schema["price"] == pl.Decimal(38, 4)
    assert parquet.schema["time"] == pl.Datetime("ns", "UTC")
    csv = pl.read_csv(exported(page, "csv"), schema_overrides={"price": pl.String})
    assert [Decimal(price) for price in csv["price"]] == [price for price, _ in known]


def exported(page: Page, kind: str) -> Path:
    with page.expect_download() as download:
        page.click(f"#export-{kind}")
    assert download.value.suggested_filename.endswith(f".{kind}")
    return Path(download.value.path())


def test_every_analytic_is_a_plot_with_a_table(open_page: OpenPage, exchange: Exchange) -> None:
    page = open_page("/ui/history?symbol=AAPL")
    for metric in METRICS:
        expect(page.locator(f"#metric-{metric.name}-empty")).to_be_hidden()
    page.locator('[data-dataset="volume-profile"]').click()
    expect(page.locator("#history-table .ag-header")).to_contain_text("Bought")
    expect(page.locator("#history-table .ag-row").first).to_be_visible()
    profile = pl.read_parquet(exported(page, "parquet"))
    assert profile["volume"].sum() == profile["bought"].sum() + profile["sold"].sum() > 0
