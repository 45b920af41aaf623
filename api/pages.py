"""Pages for people beside the API: Swagger UI at `/docs`, and a GraphQL console at
`/graphql/console`.

Guarantees: they load everything from this exchange, and their policies let them load nothing else;
of inline scripts they run the one of Swagger UI's page alone, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from api.errors import GRAPHQL_PATH
from api.graphql import SDL_PATH
from api.heads import OURSELVES

DOCS_PATH: Final = "/docs"
CONSOLE_PATH: Final = f"{GRAPHQL_PATH}/console"
ASSETS: Final = Path(__file__).with_name("assets")
# That package keeps Swagger UI up to date.
SWAGGER_UI: Final = Path(str(files("fastapi_offline"))) / "static"
OWN: Final = f"default-src 'none'; connect-src 'self'; img-src 'self' data:; {OURSELVES}"
CONSOLE_POLICY: Final = f"{OWN}; script-src 'self'; style-src 'self'"


def page_routes(title: str) -> list[BaseRoute]:
    """The pages, their files, and the schema that the console shows."""
    swagger, policy = _swagger_page(title)

    async def docs(_request: Request) -> Response:
        headers = {"Content-Security-Policy": policy}
        return Response(swagger, media_type="text/html", headers=headers)

    async def console(_request: Request) -> Response:
        headers = {"Content-Security-Policy": CONSOLE_POLICY}
        return FileResponse(ASSETS / "console.html", headers=headers)

    async def schema(_request: Request) -> Response:
        return FileResponse(SDL_PATH, media_type="text/plain; charset=utf-8")

    return [
        Route(DOCS_PATH, docs, include_in_schema=False),
        Mount(f"{DOCS_PATH}/assets", StaticFiles(directory=SWAGGER_UI)),
        Route(CONSOLE_PATH, console, include_in_schema=False),
        Route(f"{GRAPHQL_PATH}/schema.graphql", schema, include_in_schema=False),
        Mount(f"{GRAPHQL_PATH}/assets", StaticFiles(directory=ASSETS)),
    ]


def _swagger_page(title: str) -> tuple[bytes, str]:
    """FastAPI's page with its files taken from here, and its content security policy."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=f"{title} · REST",
        swagger_js_url="docs/assets/swagger-ui-bundle.js",
        swagger_css_url="docs/assets/swagger-ui.css",
        swagger_favicon_url="data:,",
    ).body
    body = bytes(page)
    hashes = [
        base64.b64encode(hashlib.sha256(script).digest()).decode()
        for script in re.findall(rb"<script>(.*?)</script>", body, re.DOTALL)
    ]
    scripts = " ".join(["'self'", *(f"'sha256-{each}'" for each in hashes)])
    # Swagger UI writes styles into elements.
    return body, f"{OWN}; script-src {scripts}; style-src 'self' 'unsafe-inline'"
