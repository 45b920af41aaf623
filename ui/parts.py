"""Small components that every page is made of. Elements with live text are leaves with an id, whose
text belongs to the scripts in assets/ alone."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import html


def panel(
    title: str,
    *children: Any,
    name: str,
    actions: Any = None,
    live: bool = True,
    fill: bool = False,
) -> html.Section:
    """A titled box. `name` becomes its CSS class `cb-NAME`; `live`: greyed while the feed is stale;
    `fill`: the body has no padding, for grids and charts."""
    heading = html.Header(
        [html.H2(title, id=f"{name}-title"), html.Div(actions, className="cb-panel-actions")],
        className="cb-panel-head",
    )
    body = html.Div(list(children), className="cb-panel-body" + (" cb-fill" if fill else ""))
    classes = f"cb-panel cb-{name}" + (" cb-live" if live else "")
    return html.Section([heading, body], className=classes, **{"aria-labelledby": f"{name}-title"})


def live_text(element_id: str, text: str = "–", classes: str = "") -> html.Span:
    """A piece of text that scripts keep up to date."""
    return html.Span(text, id=element_id, className=f"cb-num {classes}".strip())


def stat(label: str, element_id: str, *, classes: str = "", hint: str | None = None) -> html.Div:
    """A label over a live figure. `hint` explains it to who points at it."""
    return html.Div(
        [
            html.Span(label, className="cb-stat-label"),
            live_text(element_id, classes=f"cb-stat-value {classes}"),
        ],
        className="cb-stat",
        title=hint,
    )


def empty_state(element_id: str, title: str, detail: str, *, hidden: bool = True) -> html.Div:
    """What a panel says where it has nothing to show, and what to do about it."""
    return html.Div(
        [html.Strong(title), html.Span(detail)],
        id=element_id,
        className="cb-empty-state",
        hidden=hidden,
    )


def icon(name: str) -> html.Span:
    """A picture of assets/shell.css, hidden from screen readers: label what holds it."""
    return html.Span(className=f"cb-icon cb-icon-{name}", **{"aria-hidden": "true"})


def icon_button(element_id: str, name: str, label: str) -> dmc.ActionIcon:
    """A small button with a picture, a label for screen readers and the same as a tooltip."""
    return dmc.ActionIcon(
        icon(name),
        id=element_id,
        variant="subtle",
        color="gray",
        size="md",
        **{"aria-label": label},
    )
