"""History: candles, trades and analytics of any instrument over any range, as plots and as tables
that can be taken away."""

from __future__ import annotations

from typing import Any, Final

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, clientside_callback, dcc, html

from ui.charts import chart
from ui.exports import add_export_callback
from ui.grids import grid
from ui.page import Page, page_root
from ui.pages.history_metrics import DATASETS, METRICS, Metric, columns_of
from ui.parts import empty_state, live_text, panel, stat

PRESETS: Final = ("15m", "1h", "4h", "1d", "7d", "30d", "all")
INTERVALS: Final = ("auto", "1m", "5m", "15m", "30m", "1h", "4h", "1d")


def _when(name: str, label: str) -> dmc.DateTimePicker:
    return dmc.DateTimePicker(
        id=f"history-{name}",
        placeholder=label,
        size="xs",
        w=186,
        withSeconds=True,
        valueFormat="D MMM YYYY, HH:mm:ss",
        **{"aria-label": label},
    )


def _controls() -> html.Div:
    symbol = dmc.Select(
        id="history-symbol",
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
    presets = dmc.SegmentedControl(
        id="history-preset",
        data=[*PRESETS, {"value": "own", "label": "range"}],
        value="1h",
        size="xs",
        **{"aria-label": "Range: the last …"},
    )
    interval = dmc.SegmentedControl(
        id="history-interval",
        data=list(INTERVALS),
        value="auto",
        size="xs",
        **{"aria-label": "Length of an interval"},
    )
    return html.Div(
        [
            symbol,
            presets,
            html.Div(
                [_when("since", "From"), html.Span("to"), _when("until", "To")], className="cb-row"
            ),
            html.Div([html.Span("every", className="cb-dim"), interval], className="cb-row"),
            html.Div(className="cb-grow"),
            dmc.Button("Ask again", id="history-refresh", size="xs", variant="default"),
        ],
        className="cb-strip cb-history-controls",
    )


def _figures() -> html.Div:
    figures = (
        stat("Open", "history-open"),
        stat("High", "history-high"),
        stat("Low", "history-low"),
        stat("Close", "history-close"),
        stat("Change", "history-change", hint="close less open of the range"),
        stat("VWAP", "history-vwap", hint="turnover divided by shares, over the range"),
        stat("Shares", "history-volume"),
        stat("Turnover", "history-turnover", hint="dollars: price times shares of each trade"),
        stat("Trades", "history-trades"),
        stat("Range", "history-range"),
    )
    return html.Div(figures, className="cb-strip")


def _candles() -> html.Section:
    return panel(
        "Price and volume",
        chart("history-candles", "Candles with volume over the chosen range", zoom=True),
        empty_state("history-candles-empty", "Loading", "candles of the range", hidden=False),
        name="history-candles-panel",
        live=False,
        fill=True,
        actions=live_text("history-candles-note"),
    )


def _table() -> html.Section:
    actions = html.Div(
        [
            dmc.Select(
                id="history-dataset",
                data=[{"value": name, "label": title} for name, title in DATASETS],
                value="trades",
                allowDeselect=False,
                size="xs",
                w=190,
                **{"aria-label": "Which table"},
            ),
            dmc.Button("CSV", id="export-csv", size="compact-xs", variant="default"),
            dmc.Button("Parquet", id="export-parquet", size="compact-xs", variant="default"),
        ],
        className="cb-row",
    )
    return panel(
        "Table",
        grid(
            "history-table",
            columns_of("trades"),
            row_key="key",
            label="The chosen table of the range",
            empty="nothing in this range",
            options={"rowHeight": 22},
        ),
        empty_state("history-table-empty", "Loading", "rows of the range", hidden=False),
        name="history-table-panel",
        live=False,
        fill=True,
        actions=actions,
    )


def _metric(metric: Metric) -> html.Section:
    name = f"metric-{metric.name}"
    return panel(
        metric.title,
        chart(name, metric.label),
        empty_state(f"{name}-empty", "Loading", metric.title.lower(), hidden=False),
        name=f"{name}-panel",
        live=False,
        fill=True,
        actions=html.Div(
            [
                live_text(f"{name}-now"),
                html.Button(
                    "Table",
                    type="button",
                    className="cb-row-button",
                    **{
                        "data-dataset": metric.name,
                        "aria-label": f"Show the table of: {metric.title}",
                    },
                ),
            ],
            className="cb-row",
            title=metric.formula,
        ),
    )


def layout(**query: Any) -> html.Div:
    """The page; `?symbol=` says which instrument to begin with."""
    return page_root(
        "history",
        "History and analytics",
        _controls(),
        _figures(),
        html.Div([_candles(), _table()], className="cb-history-top"),
        html.Div([_metric(metric) for metric in METRICS], className="cb-metrics"),
        dcc.Store(id="export-wanted"),
        dcc.Download(id="export-file"),
        symbol=query.get("symbol", ""),
        columns={name: columns_of(name) for name, _ in DATASETS},
        metrics=[metric.told() for metric in METRICS],
    )


def add_callbacks(app: dash.Dash, api_url: str) -> None:
    """Plots are drawn in the browser (assets/7*_history*.js); files are made here."""
    for name in ("symbol", "preset", "since", "until", "interval", "dataset"):
        clientside_callback(
            ClientsideFunction("history", name),
            Input(f"history-{name}", "value"),
            prevent_initial_call=True,
        )
    for kind in ("csv", "parquet"):
        clientside_callback(
            ClientsideFunction("history", f"export_{kind}"),
            Output("export-wanted", "data", allow_duplicate=True),
            Input(f"export-{kind}", "n_clicks"),
            prevent_initial_call=True,
        )
    add_export_callback(app, api_url)


PAGE = Page("history", "/history", "History", "h", layout, add_callbacks)
