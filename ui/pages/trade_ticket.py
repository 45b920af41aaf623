"""The order ticket: every order type and time in force, with what each does in plain words. What is
typed is checked in the browser; what the exchange says about it is shown as it says it."""

from __future__ import annotations

from typing import Final

import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, clientside_callback, html

from ui.parts import live_text, panel

TIMES_IN_FORCE: Final = (
    {"value": "day", "label": "Day"},
    {"value": "gtc", "label": "GTC · until cancelled"},
    {"value": "ioc", "label": "IOC · at once, rest cancelled"},
    {"value": "fok", "label": "FOK · all at once or nothing"},
)
FIELDS: Final = ("side", "type", "quantity", "price", "tif")


def ticket_panel() -> html.Section:
    """The panel with the ticket."""
    side = dmc.SegmentedControl(
        id="ticket-side",
        data=[{"value": "buy", "label": "Buy"}, {"value": "sell", "label": "Sell"}],
        value="buy",
        fullWidth=True,
        size="sm",
        className="cb-side",
        **{"aria-label": "Side"},
    )
    kind = dmc.SegmentedControl(
        id="ticket-type",
        data=[{"value": "limit", "label": "Limit"}, {"value": "market", "label": "Market"}],
        value="limit",
        fullWidth=True,
        size="xs",
        **{"aria-label": "Order type"},
    )
    quantity = dmc.NumberInput(
        id="ticket-quantity",
        label="Quantity",
        value=100,
        min=1,
        max=1_000_000_000,
        allowDecimal=False,
        allowNegative=False,
        thousandSeparator=",",
        size="xs",
        debounce=False,
    )
    price = dmc.NumberInput(
        id="ticket-price",
        label="Price",
        value="",
        min=0,
        decimalScale=4,
        allowNegative=False,
        step=0.01,
        size="xs",
        debounce=False,
    )
    fills = html.Div(
        [
            html.Button(word, id=f"ticket-at-{name}", type="button", className="cb-chip")
            for name, word in (("bid", "Bid"), ("middle", "Mid"), ("ask", "Ask"))
        ],
        className="cb-chips",
        role="group",
        **{"aria-label": "Take the price from the book"},
    )
    tif = dmc.Select(
        id="ticket-tif",
        label="Time in force",
        data=list(TIMES_IN_FORCE),
        value="day",
        allowDeselect=False,
        size="xs",
    )
    replacing = html.Div(
        [
            live_text("ticket-replacing-text"),
            html.Button("Back to a new order", id="ticket-replace-end", type="button"),
        ],
        id="ticket-replacing",
        className="cb-held",
        hidden=True,
    )
    send = html.Button(
        "Buy",
        id="ticket-send",
        type="button",
        className="cb-send",
        title="Ctrl + Enter",
        **{"data-side": "buy"},
    )
    return panel(
        "Order ticket",
        html.Div(
            [
                replacing,
                side,
                kind,
                html.Div([quantity, html.Div([price, fills])], className="cb-pair"),
                tif,
                html.P(id="ticket-explains", className="cb-explains"),
                html.Dl(id="ticket-preview", className="cb-rows"),
                send,
                html.Div(id="ticket-outcome", className="cb-outcome", role="status"),
            ],
            className="cb-ticket-fields",
        ),
        name="ticket",
        live=False,
    )


def ticket_callbacks() -> None:
    """Every change of a field goes to assets/65_trade_ticket.js."""
    clientside_callback(
        ClientsideFunction("trade", "typed"),
        *(Input(f"ticket-{field}", "value") for field in FIELDS),
    )
