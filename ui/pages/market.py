"""Market: every instrument at once, what moves, how much trades, and how the exchange is."""

from __future__ import annotations

from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, clientside_callback, html

from ui.charts import chart
from ui.grids import column, grid, number, trend
from ui.page import Page, page_root
from ui.parts import empty_state, live_text, panel, stat

WATCH_COLUMNS = (
    column("symbol", "Symbol", width=84, cellClass="cb-symbol"),
    number("last", "Last", "cbPrice", width=112),
    trend("change", "Change", "cbChange", width=100),
    trend("percent", "Change %", "cbPercent", width=118, sort="desc"),
    column(
        "spark",
        "Prices",
        cellDataType=False,
        cellRenderer="CbSparkline",
        width=100,
        sortable=False,
        headerTooltip="the last trades' prices, oldest first",
    ),
    number("bidQuantity", "Bid qty", width=76),
    number("bid", "Bid", "cbPrice", width=104),
    number("ask", "Ask", "cbPrice", width=104),
    number("askQuantity", "Ask qty", width=76),
    number("spread", "Spread", "cbPrice", width=72),
    number("volume", "Volume", "cbShort", width=72, headerTooltip="shares traded today"),
    number("trades", "Trades", "cbQuantity", width=64, headerTooltip="trades today"),
    column("state", "State", valueFormatter={"function": "cbWords(params)"}, width=66),
)


def _movers(name: str, title: str, order: str) -> html.Div:
    columns = (
        column("symbol", "Symbol", width=76, cellClass="cb-symbol"),
        number("last", "Last", "cbPrice", width=84),
        trend("percent", "Change %", "cbPercent", width=100, sort=order),
        number("volume", "Volume", "cbShort", width=76),
    )
    table = grid(
        f"movers-{name}",
        columns,
        row_key="symbol",
        label=f"{title} of today",
        empty="nothing has moved yet",
        options={"suppressCellFocus": True},
    )
    return html.Div([html.H3(title), html.Div(table, className="cb-mover-grid")])


def layout(**_query: Any) -> html.Div:
    """The page."""
    figures = (
        stat("Instruments open", "market-open", hint="open for trading, of all that are listed"),
        stat("Rising / falling", "market-breadth", hint="last price against the day's first"),
        stat("Trades today", "market-trades"),
        stat("Shares today", "market-volume"),
        stat("Turnover today", "market-turnover", hint="price times quantity of every trade"),
        stat("Trades/s", "market-rate", hint="mean of the last 10 seconds"),
        stat("Messages/s", "market-messages", hint="quotes and trades that came to this page"),
        stat("Exchange", "market-exchange", hint="whether everything is caught up"),
    )
    watch = panel(
        "Watchlist",
        grid(
            "watchlist",
            WATCH_COLUMNS,
            row_key="symbol",
            label="Watchlist: every instrument with its prices",
            empty="no instrument is listed",
            options={"rowSelection": {"mode": "singleRow", "checkboxes": False}},
        ),
        empty_state(
            "market-loading", "Loading the market", "instruments and today's trades", hidden=False
        ),
        name="watchlist",
        fill=True,
        actions=[
            html.Span("Enter or double click trades a symbol", className="cb-hint"),
            dmc.TextInput(
                id="watch-filter",
                placeholder="Find a symbol  /",
                size="xs",
                w=150,
                **{"aria-label": "Find a symbol", "data-find-symbol": "1"},
            ),
        ],
    )
    activity = panel(
        "Activity",
        chart(
            "activity",
            "Trades and shares a second, since this page was opened, five minutes at most",
        ),
        name="activity",
        fill=True,
        actions=live_text("activity-now"),
    )
    movers = panel(
        "Movers", _movers("up", "Rising", "desc"), _movers("down", "Falling", "asc"), name="movers"
    )
    status = panel(
        "Exchange status",
        html.Dl(id="exchange-rows", className="cb-rows"),
        name="exchange",
        actions=live_text("exchange-state"),
    )
    side = html.Div([activity, movers, status], className="cb-market-side")
    return page_root(
        "market",
        "Market",
        html.Div(figures, className="cb-strip cb-live-row"),
        html.Div([watch, side], className="cb-market-body"),
    )


def add_callbacks(_app: dash.Dash, _api_url: str) -> None:
    """All of them are in the browser (assets/60_market.js)."""
    clientside_callback(
        ClientsideFunction("market", "filter"),
        Input("watch-filter", "value"),
        prevent_initial_call=True,
    )


PAGE = Page("market", "/", "Market", "m", layout, add_callbacks)
