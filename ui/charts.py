"""Plotly as the dashboard uses it: empty charts whose data the scripts in assets/ draw."""

from __future__ import annotations

from typing import Any, Final

from dash import dcc, html

CONFIG: Final[dict[str, Any]] = {
    "displaylogo": False,
    "displayModeBar": False,
    "responsive": True,
    "scrollZoom": False,
    "doubleClick": "reset",
}
CLEAR: Final = "rgba(0,0,0,0)"
BLANK: Final[dict[str, Any]] = {
    "autosize": True,
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    "paper_bgcolor": CLEAR,
    "plot_bgcolor": CLEAR,
    "xaxis": {"visible": False},
    "yaxis": {"visible": False},
}


def chart(name: str, label: str, *, zoom: bool = False) -> html.Div:
    """A chart that fills its panel. `label` describes it to screen readers; `zoom` lets the wheel
    zoom."""
    return html.Div(
        dcc.Graph(
            id=f"{name}-chart",
            figure={"data": [], "layout": BLANK},
            config={**CONFIG, "scrollZoom": zoom},
            responsive=True,
            style={"height": "100%", "width": "100%"},
        ),
        className="cb-chart",
        role="img",
        **{"aria-label": label},
    )
