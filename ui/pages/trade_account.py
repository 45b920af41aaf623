"""What belongs to the account: its orders, executions and positions, each a tab of one panel."""

from __future__ import annotations

from typing import Any, Final

import dash_mantine_components as dmc
from dash import html

from ui.grids import column, grid, number, trend
from ui.parts import empty_state, panel

SIDE_RULES: Final = {"cb-up": "params.value === 'buy'", "cb-down": "params.value === 'sell'"}


def _side(width: int = 66) -> dict[str, Any]:
    formatter = {"function": "cbSide(params)"}
    return column("side", "Side", valueFormatter=formatter, cellClassRules=SIDE_RULES, width=width)


ORDER_COLUMNS: Final = (
    column(
        "time",
        "Time",
        valueFormatter={"function": "cbClock(params)"},
        width=78,
        minWidth=74,
        sort="desc",
    ),
    column("symbol", "Symbol", width=66, minWidth=62, cellClass="cb-symbol"),
    _side(),
    number("quantity", "Qty", width=56),
    number("executed", "Filled", width=58),
    number("price", "Price", "cbPrice", width=74),
    number("average", "Average", "cbPrice", width=78),
    column("tif", "TIF", valueFormatter={"function": "cbCapitals(params)"}, width=48),
    column("stateText", "State", width=90, tooltipField="stateText"),
    column(
        "state",
        "",
        cellRenderer="CbOrderButtons",
        width=138,
        minWidth=138,
        sortable=False,
        resizable=False,
    ),
)
EXECUTION_COLUMNS: Final = (
    column("time", "Time", valueFormatter={"function": "cbClock(params)"}, width=80),
    column("symbol", "Symbol", width=80, cellClass="cb-symbol"),
    _side(80),
    number("quantity", "Quantity", width=90),
    number("price", "Price", "cbPrice", width=100),
    number("leaves", "Left open", width=90),
    column("liquidity", "Liquidity", width=90, headerTooltip="maker: it rested; taker: it came"),
    number("number", "Match", sort="desc", width=90),
)
POSITION_COLUMNS: Final = (
    column("symbol", "Symbol", width=90, cellClass="cb-symbol"),
    trend("quantity", "Position", "cbSigned", width=100),
    number("average", "Average cost", "cbPrice", width=110),
    number("mark", "Last", "cbPrice", width=100),
    trend("unrealised", "Unrealised", "cbProfit", width=120),
    trend("realised", "Realised", "cbProfit", width=120),
    trend("total", "Total", "cbProfit", width=120, sort="desc"),
)


def _tab(value: str, table: Any, empty: html.Div) -> dmc.TabsPanel:
    return dmc.TabsPanel([table, empty], value=value, className="cb-tab-panel")


def account_panel() -> html.Section:
    """The panel with the three tabs."""
    orders = grid(
        "orders",
        ORDER_COLUMNS,
        row_key="orderId",
        label="Your orders",
        empty="no orders",
        options={"rowHeight": 26},
    )
    executions = grid(
        "executions",
        EXECUTION_COLUMNS,
        row_key="key",
        label="Your executions, newest first",
        empty="no executions",
    )
    positions = grid(
        "positions",
        POSITION_COLUMNS,
        row_key="symbol",
        label="Your positions with profit and loss",
        empty="no positions",
    )
    without_key = "Press k and give a key: crossbook up prints a demo key"
    tabs = dmc.Tabs(
        [
            dmc.TabsList(
                [
                    dmc.TabsTab(["Orders ", html.Span(id="orders-count")], value="orders"),
                    dmc.TabsTab(
                        ["Executions ", html.Span(id="executions-count")], value="executions"
                    ),
                    dmc.TabsTab(["Positions ", html.Span(id="positions-count")], value="positions"),
                ]
            ),
            _tab("orders", orders, empty_state("orders-empty", "Read-only", without_key)),
            _tab("executions", executions, empty_state("fills-empty", "Read-only", without_key)),
            _tab("positions", positions, empty_state("positions-empty", "Read-only", without_key)),
        ],
        id="account-tabs",
        value="orders",
        keepMounted=True,
        className="cb-tabs",
    )
    shown = dmc.SegmentedControl(
        id="orders-shown",
        data=[{"value": "working", "label": "Working"}, {"value": "all", "label": "All"}],
        value="working",
        size="xs",
        **{"aria-label": "Which orders"},
    )
    cancel_all = html.Button(
        "Cancel all", id="cancel-all", type="button", className="cb-row-button", title="Shift + X"
    )
    return panel(
        "Account",
        tabs,
        name="account",
        fill=True,
        live=False,
        actions=[shown, cancel_all],
    )


def cancel_dialog() -> html.Dialog:
    """What asks before everything is cancelled."""
    return html.Dialog(
        [
            html.P("Which of your open orders should be cancelled?", id="cancel-question"),
            html.Div(
                [
                    html.Button("Cancel", id="cancel-symbol", type="button"),
                    html.Button("Cancel all", id="cancel-every", type="button"),
                    html.Button("Keep them", id="cancel-none", type="button"),
                ]
            ),
        ],
        id="cancel-dialog",
        className="cb-dialog",
        **{"aria-labelledby": "cancel-question"},
    )
