"""The dashboard as an ASGI application: Dash on its FastAPI backend, callbacks over a WebSocket.

Guarantees: everything that a page loads comes from this process, and its Content-Security-Policy
says so; no inline script but Dash's own, allowed by its hash. Making one takes about a second of
imports, so whoever mounts it does that beside what may not wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dash
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.page import mount_when_shown
from ui.pages import PAGES
from ui.shell import shell

PREFIX: Final = "/ui/"
ASSETS: Final = Path(__file__).parent / "assets"
INDEX: Final = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <title>{%title%}</title>
    {%favicon%}
    {%css%}
  </head>
  <body>
    {%app_entry%}
    <footer>
      {%config%}
      {%scripts%}
      {%renderer%}
    </footer>
  </body>
</html>"""


@dataclass(frozen=True)
class DashboardOptions:
    """What the dashboard is told. `api_url`: where this process reaches the API; the browser asks
    the address that it has the dashboard from."""

    api_url: str


def create_dashboard(options: DashboardOptions) -> FastAPI:
    """The dashboard's ASGI application, which answers below `/ui/`."""
    server = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app = dash.Dash(
        "ui",
        server=server,
        backend="fastapi",
        websocket_callbacks=True,
        use_pages=True,
        pages_folder="",
        assets_folder=str(ASSETS),
        routes_pathname_prefix=PREFIX,
        requests_pathname_prefix=PREFIX,
        serve_locally=True,
        suppress_callback_exceptions=True,
        title="Crossbook",
        update_title="",
        index_string=INDEX,
        add_log_handler=False,
    )
    for page in PAGES:
        title = f"{page.title} · Crossbook"
        dash.register_page(page.name, path=page.path, title=title, layout=page.layout)
        mount_when_shown(page.name)
        page.add_callbacks(app, options.api_url)
    app.layout = shell(PAGES)
    server.add_middleware(PolicyMiddleware, scripts=app.csp_hashes)
    return server


class PolicyMiddleware:
    """Adds the security headers of a page to every answer. `scripts` tells the hashes of the inline
    scripts, asked each time: Dash adds its own for pages with the first request."""

    def __init__(self, app: ASGIApp, *, scripts: Callable[[], Sequence[str]]) -> None:
        self._app = app
        self._scripts = scripts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; only the start of an answer is touched."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("x-content-type-options", "nosniff")
                headers.setdefault("referrer-policy", "same-origin")
                if headers.get("content-type", "").startswith("text/html"):
                    headers["content-security-policy"] = content_policy(self._scripts())
            await send(message)

        await self._app(scope, receive, with_headers)


def content_policy(scripts: Sequence[str]) -> str:
    """Everything from here alone; `scripts` are the hashes of Dash's inline scripts. Styles may be
    inline: Mantine, AG Grid and Plotly write them."""
    rules = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", *scripts]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
