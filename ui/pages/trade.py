"""Trade: one instrument's book, chart and trades, and the account's orders in it."""

from __future__ import annotations

from typing import Any, Final

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, clientside_callback, html

from ui.charts import chart
from ui.grids import column, grid, number
from ui.page import Page, page_root
from ui.pages.trade_account import account_panel, cancel_dialog
from ui.pages.trade_ticket import ticket_callbacks, ticket_panel
from ui.parts import empty_state, icon_button, live_text, panel, stat

INTERVALS: Final = ("10s", "1m", "5m", "15m", "1h", "1d")
LADDER_COLUMNS: Final = (
    number("ownBid", "Mine", "cbBlank", width=54, cellClass="cb-own", sortable=False),
    number(
        "bid",
        "Bids",
        "cbBlank",
        width=74,
        cellClass="cb-bid",
        sortable=False,
        cellStyle={"function": "cbBar(params, 'buy')"},
    ),
    number(
        "price",
        "Price",
        "cbPrice",
        width=84,
        sort="desc",
        sortable=True,
        cellClass="cb-ladder-price",
        cellClassRules={"cb-last": "params.data.last", "cb-inside": "params.data.inside"},
    ),
    number(
        "ask",
        "Asks",
        "cbBlank",
        width=74,
        cellClass="cb-ask",
        sortable=False,
        cellStyle={"function": "cbBar(params, 'sell')"},
    ),
    number("ownAsk", "Mine", "cbBlank", width=54, cellClass="cb-own", sortable=False),
)
TAPE_COLUMNS: Final = (
    column("time", "Time", valueFormatter={"function": "cbClock(params)"}, width=70),
    number(
        "price",
        "Price",
        "cbPrice",
        width=76,
        cellClassRules={
            "cb-up": "params.data.side === 'buy'",
            "cb-down": "params.data.side === 'sell'",
        },
    ),
    number("quantity", "Qty", width=56),
    column(
        "side",
        "Aggressor",
        valueFormatter={"function": "cbSide(params)"},
        width=72,
        cellClassRules={"cb-up": "params.value === 'buy'", "cb-down": "params.value === 'sell'"},
    ),
    number("number", "", hide=True, sort="desc"),
)


def _symbol_bar() -> html.Div:
    figures = (
        stat("Bid", "trade-bid", classes="cb-up"),
        stat("Ask", "trade-ask", classes="cb-down"),
        stat("Spread", "trade-spread"),
        stat("Day high", "trade-high"),
        stat("Day low", "trade-low"),
        stat("VWAP", "trade-vwap", hint="volume-weighted average price of the day"),
        stat("Volume", "trade-volume", hint="shares traded today"),
        stat("Tick / lot", "trade-terms", hint="prices and quantities are multiples of these"),
        stat("State", "trade-state"),
    )
    last = html.Div(
        [live_text("trade-last", classes="cb-last-price"), live_text("trade-change")],
        className="cb-last-box",
    )
    symbol = dmc.Select(
        id="trade-symbol",
        data=[],
        searchable=True,
        allowDeselect=False,
        size="sm",
        w=124,
        nothingFoundMessage="no such symbol",
        placeholder="Symbol",
        className="cb-symbol-select",
        **{"aria-label": "Symbol", "data-find-symbol": "1"},
    )
    return html.Div([symbol, last, *figures], className="cb-strip cb-live-row")


def _ladder() -> html.Section:
    armed = dmc.Switch(
        id="ladder-armed",
        label="Click to trade",
        size="xs",
        checked=False,
        persistence=False,
    )
    held = html.Div(
        [
            live_text("ladder-held-text"),
            html.Button("Cancel order", id="ladder-held-cancel", type="button"),
            html.Button("Keep", id="ladder-held-keep", type="button"),
        ],
        id="ladder-held",
        className="cb-held",
        hidden=True,
        role="status",
    )
    book = grid(
        "ladder",
        LADDER_COLUMNS,
        row_key="key",
        label="Ladder: bids and asks at each price, with your own orders",
        empty="waiting for the book",
        options={
            "rowHeight": 21,
            "alwaysShowVerticalScroll": False,
            "suppressScrollOnNewData": True,
        },
    )
    return panel(
        "Ladder",
        html.Div(book, id="ladder-frame", className="cb-ladder-frame"),
        held,
        html.Div(id="ladder-foot", className="cb-ladder-foot cb-num"),
        empty_state("ladder-empty", "The book is empty", "the first order makes it"),
        name="ladder",
        fill=True,
        actions=[
            live_text("ladder-step"),
            icon_button("ladder-centre", "centre", "Centre the ladder (r)"),
            armed,
        ],
    )


def _charts() -> html.Div:
    interval = dmc.SegmentedControl(
        id="candles-interval",
        data=list(INTERVALS),
        value="1m",
        size="xs",
        **{"aria-label": "Length of a candle"},
    )
    candles = panel(
        "Price",
        chart("candles", "Candles with volume and volume-weighted average price", zoom=True),
        empty_state("candles-empty", "No trades yet", "candles begin with the first trade"),
        name="candles",
        fill=True,
        actions=interval,
    )
    depth = panel(
        "Depth",
        chart("depth", "Cumulative quantity of bids and asks by price"),
        empty_state("depth-empty", "The book is empty", "there is nothing to add up"),
        name="depth",
        fill=True,
        actions=live_text("depth-balance"),
    )
    return html.Div([candles, depth], className="cb-trade-charts")


def _tape() -> html.Section:
    return panel(
        "Trades",
        grid(
            "tape",
            TAPE_COLUMNS,
            row_key="key",
            label="The last trades, newest first",
            empty="no trades yet",
            options={"rowHeight": 20, "suppressCellFocus": True},
        ),
        name="tape",
        fill=True,
        actions=live_text("tape-rate"),
    )


def layout(**_query: Any) -> html.Div:
    """The page."""
    return page_root(
        "trade",
        "Trade",
        _symbol_bar(),
        html.Div(
            [_ladder(), _charts(), ticket_panel(), account_panel(), _tape()],
            className="cb-trade-body",
        ),
        cancel_dialog(),
    )


def add_callbacks(_app: dash.Dash, _api_url: str) -> None:
    """All of them are in the browser (assets/6*_trade*.js)."""
    clientside_callback(
        ClientsideFunction("trade", "choose"),
        Input("trade-symbol", "value"),
        prevent_initial_call=True,
    )
    clientside_callback(
        ClientsideFunction("trade", "arm"),
        Output("ladder-frame", "className"),
        Input("ladder-armed", "checked"),
    )
    clientside_callback(
        ClientsideFunction("trade", "interval"),
        Input("candles-interval", "value"),
        prevent_initial_call=True,
    )
    clientside_callback(
        ClientsideFunction("trade", "showing"),
        Input("orders-shown", "value"),
        prevent_initial_call=True,
    )
    ticket_callbacks()


PAGE = Page("trade", "/trade", "Trade", "t", layout, add_callbacks)
