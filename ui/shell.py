"""What surrounds every page: navigation, the feed's badge, the key, the theme, shortcuts and the
status bar. Pages are put into Dash's page container."""

from __future__ import annotations

from typing import Any, Final

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, clientside_callback, dcc, html

from ui.page import Page
from ui.parts import icon, icon_button, live_text

FONT: Final = (
    'Inter, "Segoe UI", system-ui, -apple-system, "Helvetica Neue", "Noto Sans", Arial, sans-serif'
)
MONO: Final = 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, monospace'
# fmt: off
THEME: Final[dict[str, Any]] = {
    "fontFamily": FONT,
    "fontFamilyMonospace": MONO,
    "primaryColor": "blue",
    "colors": {
        "dark": [
            "#dce3ec", "#b9c3d0", "#94a1b3", "#6b788a", "#333e4c",
            "#242d39", "#171d26", "#11161d", "#0d1218", "#0a0d12",
        ],
    },
    "defaultRadius": "sm",
    "fontSizes": {"xs": "11px", "sm": "12px", "md": "13px", "lg": "15px", "xl": "18px"},
    "headings": {"fontWeight": "600"},
    "autoContrast": True,
}
# fmt: on
SHORTCUTS: Final = (
    (
        "Everywhere",
        (
            ("?", "show these shortcuts"),
            ("g then m, t, h, i, s", "go to Market, Trade, History, Time travel, System"),
            ("/", "find a symbol"),
            ("k", "enter or remove the API key"),
            ("d", "dark or light"),
            ("Esc", "close, deselect"),
        ),
    ),
    (
        "Trade",
        (
            ("b, s", "ticket: buy, sell"),
            ("l, m", "ticket: limit, market"),
            ("q, p", "ticket: go to quantity, price"),
            ("Ctrl + Enter", "send the ticket"),
            ("c", "click-to-trade on or off"),
            ("r", "centre the ladder"),
            ("Shift + X", "cancel all orders of the symbol (asks first)"),
        ),
    ),
    (
        "Time travel",
        (
            ("Space", "play, pause"),
            ("← →", "a step back, forward"),
            ("[ ]", "to the trade before, the next trade"),
            ("Home End", "to the first event, the newest"),
        ),
    ),
    ("History", (("r", "ask again"),)),
)  # fmt: skip


def shell(pages: tuple[Page, ...]) -> dmc.MantineProvider:
    """The layout around every page, and its callbacks, all of them in the browser."""
    _add_callbacks()
    return dmc.MantineProvider(
        [
            dmc.NotificationContainer(id="notices", position="bottom-right", limit=4),
            dcc.Store(
                id="shell-boot", data={"pages": {page.shortcut: page.path for page in pages}}
            ),
            html.A("Skip to the page", href="#page", className="cb-skip"),
            dmc.AppShell(
                [
                    dmc.AppShellHeader(_header(pages)),
                    dmc.AppShellMain(html.Div(dash.page_container, id="page", tabIndex=-1)),
                    dmc.AppShellFooter(_status_bar()),
                ],
                header={"height": 44},
                footer={"height": 26},
                padding=0,
                id="shell",
            ),
            _key_modal(),
            _shortcuts_modal(),
        ],
        theme=THEME,
        defaultColorScheme="auto",
    )


def _header(pages: tuple[Page, ...]) -> html.Div:
    links = [
        dcc.Link(
            page.title,
            href=dash.get_relative_path(page.path),
            className="cb-nav-link",
            id=f"nav-{page.name}",
        )
        for page in pages
    ]
    tools = [
        html.Button(
            [html.Span(className="cb-dot"), live_text("feed-state", "Connecting")],
            id="feed-badge",
            className="cb-badge",
            type="button",
            **{"data-feed": "connecting", "aria-live": "polite"},
        ),
        dmc.Button(
            live_text("key-state", "Read-only"),
            id="key-open",
            size="xs",
            variant="default",
            leftSection=icon("key"),
        ),
        dmc.ColorSchemeToggle(
            lightIcon=icon("sun"),
            darkIcon=icon("moon"),
            id="scheme-toggle",
            variant="subtle",
            color="gray",
            size="md",
            **{"aria-label": "Dark or light"},
        ),
        icon_button("help-open", "help", "Keyboard shortcuts"),
    ]
    brand = html.Div([icon("mark"), html.Span("Crossbook")], className="cb-brand")
    return html.Div(
        [
            brand,
            html.Nav(links, className="cb-nav", **{"aria-label": "Pages"}),
            html.Div(tools, className="cb-tools"),
        ],
        className="cb-header",
    )


def _status_bar() -> html.Div:
    """Connection, sequence and lag, for every page."""
    fields = (
        ("Feed", "bar-feed", "state of the connection to the stream"),
        ("Sequence", "bar-sequence", "the newest book sequence of the symbol on screen"),
        ("Book", "bar-checksum", "whether the book agrees with the exchange's checksum"),
        ("Lag", "bar-lag", "half a round trip to the stream, plus drawing"),
        ("Messages/s", "bar-rate", "messages that came in the last second"),
        ("Resyncs", "bar-resyncs", "chains that were begun anew, for a gap or a wrong checksum"),
        ("Reconnects", "bar-reconnects", "connections that were lost"),
    )
    cells = [
        html.Span([html.Span(label, className="cb-bar-label"), live_text(name)], title=hint)
        for label, name, hint in fields
    ]
    return html.Div([*cells, live_text("bar-clock", classes="cb-bar-clock")], className="cb-bar")


def _key_modal() -> dmc.Modal:
    return dmc.Modal(
        dmc.Stack(
            [
                dmc.Text(
                    "The key stays in this browser tab and is sent to the exchange alone. It is "
                    "gone when the tab is closed. Without one you can read all market data.",
                    size="sm",
                ),
                dmc.PasswordInput(
                    id="key-input",
                    label="API key",
                    description="crossbook up prints a demo key when it starts",
                    placeholder="cbk_…",
                    autoComplete="off",
                    debounce=False,
                ),
                dmc.Group(
                    [
                        dmc.Button("Remove the key", id="key-remove", variant="default"),
                        dmc.Button("Use this key", id="key-save"),
                    ],
                    justify="flex-end",
                ),
            ],
            gap="sm",
        ),
        id="key-modal",
        title="Trade with a key",
        centered=True,
        opened=False,
        closeButtonProps={"aria-label": "Close"},
    )


def _shortcuts_modal() -> dmc.Modal:
    groups = [
        html.Section(
            [
                html.H3(title),
                html.Dl(
                    [
                        html.Div([html.Dt(dmc.Kbd(keys)), html.Dd(what)], className="cb-key-row")
                        for keys, what in rows
                    ]
                ),
            ],
        )
        for title, rows in SHORTCUTS
    ]
    return dmc.Modal(
        html.Div(groups, className="cb-keys"),
        id="help-modal",
        title="Keyboard shortcuts",
        centered=True,
        size="lg",
        opened=False,
        closeButtonProps={"aria-label": "Close"},
    )


def _add_callbacks() -> None:
    """Everything of the shell happens in the browser (assets/50_shell.js)."""
    clientside_callback(ClientsideFunction("shell", "boot"), Input("shell-boot", "data"))
    clientside_callback(
        ClientsideFunction("shell", "toggleKey"),
        Output("key-modal", "opened"),
        Input("key-open", "n_clicks"),
        prevent_initial_call=True,
    )
    clientside_callback(
        ClientsideFunction("shell", "toggleHelp"),
        Output("help-modal", "opened"),
        Input("help-open", "n_clicks"),
        prevent_initial_call=True,
    )
    clientside_callback(
        ClientsideFunction("shell", "saveKey"),
        Output("key-input", "error"),
        Input("key-save", "n_clicks"),
        Input("key-input", "n_submit"),
        State("key-input", "value"),
        prevent_initial_call=True,
    )
    clientside_callback(
        ClientsideFunction("shell", "removeKey"),
        Output("key-input", "value"),
        Input("key-remove", "n_clicks"),
        prevent_initial_call=True,
    )
    clientside_callback(
        ClientsideFunction("shell", "navigated"),
        Output("page", "className"),
        Input("_pages_location", "pathname"),
    )
