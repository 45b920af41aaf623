"""The order ticket: every order type and time in force, with what each does in plain words. What is
typed is checked in the browser; what the exchange says about it is shown as it says it."""

from __future__ import annotations

from typing import Any, Final

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
    return panel(
        "Order ticket",
        html.Div(
            [
                _replacing(),
                _choice("side", "Side", ("buy", "sell"), size="sm", className="cb-side"),
                _choice("type", "Order type", ("limit", "market"), size="xs"),
                html.Div(
                    [_quantity(), html.Div([_price(), _prices_of_the_book()])], className="cb-pair"
                ),
                _time_in_force(),
                html.P(id="ticket-explains", className="cb-explains"),
                html.Dl(id="ticket-preview", className="cb-rows"),
                _send(),
                html.Div(id="ticket-outcome", className="cb-outcome", role="status"),
            ],
            className="cb-ticket-fields",
        ),
        name="ticket",
        live=False,
    )


def _replacing() -> html.Div:
    """Which order is being replaced, and the way back to a new one."""
    return html.Div(
        [
            live_text("ticket-replacing-text"),
            html.Button("Back to a new order", id="ticket-replace-end", type="button"),
        ],
        id="ticket-replacing",
        className="cb-held",
        hidden=True,
    )


def _choice(field: str, label: str, values: tuple[str, ...], **terms: Any) -> dmc.SegmentedControl:
    """One of a few values; the first is chosen."""
    return dmc.SegmentedControl(
        id=f"ticket-{field}",
        data=[{"value": value, "label": value.capitalize()} for value in values],
        value=values[0],
        fullWidth=True,
        **terms,
        **{"aria-label": label},
    )


def _quantity() -> dmc.NumberInput:
    return dmc.NumberInput(
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


def _price() -> dmc.NumberInput:
    """The price; step and decimals become those of the instrument (assets/66_trade.js)."""
    return dmc.NumberInput(
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


def _prices_of_the_book() -> html.Div:
    """Buttons that fill in the price."""
    return html.Div(
        [
            html.Button(word, id=f"ticket-at-{name}", type="button", className="cb-chip")
            for name, word in (("bid", "Bid"), ("middle", "Mid"), ("ask", "Ask"))
        ],
        className="cb-chips",
        role="group",
        **{"aria-label": "Take the price from the book"},
    )


def _time_in_force() -> dmc.Select:
    return dmc.Select(
        id="ticket-tif",
        label="Time in force",
        data=list(TIMES_IN_FORCE),
        value="day",
        allowDeselect=False,
        size="xs",
    )


def _send() -> html.Button:
    """The button that sends, in the side's colour; its text says what."""
    return html.Button(
        "Buy",
        id="ticket-send",
        type="button",
        className="cb-send",
        title="Ctrl + Enter",
        **{"data-side": "buy"},
    )


def ticket_callbacks() -> None:
    """Every change of a field goes to assets/65_trade_ticket.js."""
    clientside_callback(
        ClientsideFunction("trade", "typed"),
        *(Input(f"ticket-{field}", "value") for field in FIELDS),
    )
