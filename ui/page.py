"""What every page is to the shell, and how it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dash
from dash import ClientsideFunction, Input, Output, clientside_callback, dcc, html


def no_callbacks(_app: dash.Dash, _api_url: str) -> None:
    """A page whose data comes by the stream alone."""


@dataclass(frozen=True)
class Page:
    """One page. `path` is below the dashboard's prefix; `layout` makes its components, by
    `page_root`; `add_callbacks` adds its callbacks: those on the server are async, and ask
    `api_url` by `AsyncCrossbook`. `shortcut` is the second key after `g`."""

    name: str
    path: str
    title: str
    shortcut: str
    layout: Callable[..., Any]
    add_callbacks: Callable[[dash.Dash, str], None] = no_callbacks


def page_root(name: str, title: str, *children: Any, **data: Any) -> html.Div:
    """The outermost element of a page, `NAME-page`, with its only heading of the first level. When
    it is on screen, what the scripts registered by `Crossbook.page(NAME, …)` is mounted, with
    `data`."""
    return html.Div(
        [
            dcc.Store(id=f"{name}-boot", data={"page": name, **data}),
            html.H1(title, className="cb-hidden"),
            *children,
        ],
        id=f"{name}-page",
    )


def mount_when_shown(name: str) -> None:
    """Have the scripts of a page mounted when its root comes on screen."""
    clientside_callback(
        ClientsideFunction("shell", "enter"),
        Output(f"{name}-page", "className"),
        Input(f"{name}-boot", "data"),
    )
