"""Time travel: an instrument's book as it stood after any of its events, played forward, and the
life of each of its orders."""

from __future__ import annotations

from typing import Any, Final

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, clientside_callback, html

from ui.charts import chart
from ui.grids import column, grid, number
from ui.page import Page, page_root
from ui.parts import empty_state, icon_button, live_text, panel, stat

SPEEDS: Final = ("1", "5", "20", "100")
BOOK_COLUMNS: Final = (
    number("bidCount", "Orders", "cbBlank", width=62, sortable=False),
    number(
        "bidQuantity",
        "Quantity",
        "cbBlank",
        width=84,
        sortable=False,
        cellStyle={"function": "cbBar(params, 'buy')"},
    ),
    number(
        "bid",
        "Bid",
        "cbTravelPrice",
        width=88,
        sortable=False,
        cellClass="cb-up",
        cellClassRules={"cb-changed": "params.data.bidChanged"},
    ),
    number(
        "ask",
        "Ask",
        "cbTravelPrice",
        width=88,
        sortable=False,
        cellClass="cb-down cb-left",
        cellClassRules={"cb-changed": "params.data.askChanged"},
    ),
    number(
        "askQuantity",
        "Quantity",
        "cbBlank",
        width=84,
        sortable=False,
        cellStyle={"function": "cbBar(params, 'sell')"},
    ),
    number("askCount", "Orders", "cbBlank", width=62, sortable=False),
)
QUEUE_COLUMNS: Final = (
    number("place", "#", width=44, sortable=False),
    column("orderId", "Order", width=150, sortable=False, cellClass="cb-num"),
    number("quantity", "Quantity", width=84, sortable=False),
    number("ahead", "Ahead", "cbQuantity", width=76, sortable=False),
    column("own", "", width=48, sortable=False, cellClass="cb-own"),
)
STEP_COLUMNS: Final = (
    number("sequence", "Sequence", width=78, sortable=False),
    column(
        "text",
        "What happened",
        width=214,
        sortable=False,
        tooltipField="text",
        cellClassRules={
            "cb-up": "params.data.side === 'BUY'",
            "cb-down": "params.data.side === 'SELL'",
        },
    ),
    column("time", "Time", valueFormatter={"function": "cbClock(params)"}, width=76),
    column("position", "Log", width=76, headerTooltip="position of the command in its shard's log"),
)


def _figures() -> html.Div:
    symbol = dmc.Select(
        id="travel-symbol",
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
    figures = (
        stat("Book after event", "travel-sequence", hint="the book's sequence that is shown"),
        stat("of", "travel-newest", hint="the newest event of the book"),
        stat("At (exchange's clock)", "travel-clock"),
        stat("Log position", "travel-position"),
        stat("Trading", "travel-state"),
        stat("Bid", "travel-bid", classes="cb-up"),
        stat("Ask", "travel-ask", classes="cb-down"),
        stat("Spread", "travel-spread"),
        stat("Last trade", "travel-last"),
    )
    return html.Div([symbol, *figures], className="cb-strip")


def _scrubber() -> html.Section:
    buttons = html.Div(
        [
            icon_button("travel-first", "first", "To the first event (Home)"),
            icon_button("travel-trade-back", "trade-back", "To the trade before ([)"),
            icon_button("travel-back", "back", "A step back (←)"),
            html.Button("Play", id="travel-play", type="button", className="cb-play"),
            icon_button("travel-step", "step", "A step forward (→)"),
            icon_button("travel-trade-next", "trade-next", "To the next trade (])"),
            icon_button("travel-last-event", "last", "To the newest event (End)"),
        ],
        className="cb-transport",
        role="group",
        **{"aria-label": "Play"},
    )
    speed = dmc.SegmentedControl(
        id="travel-speed",
        data=[{"value": each, "label": f"{each}/s"} for each in SPEEDS],
        value="5",
        size="xs",
        **{"aria-label": "Steps a second"},
    )
    jump = dmc.DateTimePicker(
        id="travel-time",
        placeholder="Go to a time",
        size="xs",
        w=190,
        withSeconds=True,
        clearable=True,
        valueFormat="D MMM YYYY, HH:mm:ss",
        **{"aria-label": "Go to a time of the exchange's clock"},
    )
    goto = dmc.NumberInput(
        id="travel-goto",
        placeholder="Event no.",
        size="xs",
        w=104,
        min=0,
        hideControls=True,
        thousandSeparator=",",
        **{"aria-label": "Go to an event of the book, by its sequence"},
    )
    track = html.Div(
        [
            html.Div(id="travel-overview", className="cb-overview"),
            html.Div(id="travel-slider", className="cb-slider"),
        ],
        className="cb-track",
    )
    return panel(
        "Scrubber",
        html.Div([buttons, speed, html.Div(className="cb-grow"), goto, jump], className="cb-row"),
        track,
        name="scrubber",
        live=False,
        actions=live_text("travel-window"),
    )


def _book() -> html.Section:
    return panel(
        "Book",
        grid(
            "travel-book",
            BOOK_COLUMNS,
            row_key="row",
            label="The book as it stood: bids and asks, best first",
            empty="there was no order in the book",
            options={"rowHeight": 22},
        ),
        empty_state("travel-loading", "Loading the past", "the book is made again", hidden=False),
        name="travel-book-panel",
        live=False,
        fill=True,
        actions=live_text("travel-depth"),
    )


def _middle() -> html.Div:
    around = panel(
        "Around this moment",
        chart("travel-around", "Best bid, best ask and trades, by the book's sequence"),
        name="travel-around-panel",
        live=False,
        fill=True,
        actions=html.Span("click to go there", className="cb-hint"),
    )
    depth = panel(
        "Depth",
        chart("travel-depth", "Cumulative quantity of bids and asks by price, as it stood"),
        name="travel-depth-panel",
        live=False,
        fill=True,
        actions=live_text("travel-balance"),
    )
    queue = panel(
        "Orders at a price",
        grid(
            "travel-queue",
            QUEUE_COLUMNS,
            row_key="orderId",
            label="Orders at the chosen price, in the order in which they trade",
            empty="choose a price in the book",
            options={"rowHeight": 22, "rowSelection": {"mode": "singleRow", "checkboxes": False}},
        ),
        name="travel-queue-panel",
        live=False,
        fill=True,
        actions=live_text("travel-queue-of"),
    )
    below = html.Div([depth, queue], className="cb-travel-below")
    return html.Div([around, below], className="cb-travel-middle")


def _right() -> html.Div:
    steps = panel(
        "What happened",
        grid(
            "travel-steps",
            STEP_COLUMNS,
            row_key="sequence",
            label="What happened to the book, step by step",
            empty="nothing happened here",
            options={"rowHeight": 22, "rowSelection": {"mode": "singleRow", "checkboxes": False}},
        ),
        name="travel-steps-panel",
        live=False,
        fill=True,
        actions=live_text("travel-steps-count"),
    )
    life = panel(
        "An order's life",
        html.Div(id="travel-life", className="cb-life"),
        empty_state(
            "travel-life-empty",
            "Choose an order",
            "in the queue of a price, or give its id above. With its owner's key you see all of "
            "its life; without one what the book showed of it.",
            hidden=False,
        ),
        name="travel-life-panel",
        live=False,
        actions=dmc.TextInput(
            id="travel-order",
            placeholder="Order id, then Enter",
            size="xs",
            w=170,
            debounce=False,
            **{"aria-label": "Order id"},
        ),
    )
    return html.Div([steps, life], className="cb-travel-right")


def layout(**query: Any) -> html.Div:
    """The page; `?symbol=` and `?sequence=` say where to begin."""
    return page_root(
        "travel",
        "Time travel",
        _figures(),
        _scrubber(),
        html.Div([_book(), _middle(), _right()], className="cb-travel-body"),
        symbol=query.get("symbol", ""),
        sequence=query.get("sequence", ""),
        order=query.get("order", ""),
    )


def add_callbacks(_app: dash.Dash, _api_url: str) -> None:
    """All of them are in the browser (assets/8*_travel*.js)."""
    for name, element in (("choose", "symbol"), ("speed", "speed"), ("time", "time")):
        clientside_callback(
            ClientsideFunction("travel", name),
            Input(f"travel-{element}", "value"),
            prevent_initial_call=True,
        )
    clientside_callback(
        ClientsideFunction("travel", "goto"),
        Output("travel-goto", "error"),
        Input("travel-goto", "n_submit"),
        State("travel-goto", "value"),
        prevent_initial_call=True,
    )
    clientside_callback(
        ClientsideFunction("travel", "order"),
        Output("travel-order", "error"),
        Input("travel-order", "n_submit"),
        State("travel-order", "value"),
        prevent_initial_call=True,
    )


PAGE = Page("travel", "/travel", "Time travel", "i", layout, add_callbacks)
