"""Swagger UI and the GraphQL console: everything from the exchange itself, and sound examples."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from api.graphql import SDL_PATH
from api.pages import ASSETS, CONSOLE_PATH, DOCS_PATH
from tests.unit.api.small_app import small_app
from tests.unit.api.test_heads import client_of

pytestmark = pytest.mark.anyio
LINK = re.compile(r"""(?:src|href)=["']([^"']+)["']""")


@pytest.mark.parametrize("path", [DOCS_PATH, CONSOLE_PATH])
async def test_a_page_has_its_files_and_loads_nothing_from_elsewhere(
    tmp_path: Path, path: str
) -> None:
    with small_app(tmp_path) as made:
        async with client_of(made.app) as client:
            page = await client.get(path)
            assert page.status_code == 200
            assert page.headers["content-type"].startswith("text/html")
            policy = page.headers["content-security-policy"]
            assert "http" not in policy and "'unsafe-inline'" not in policy.split("style-src")[0]
            links = [link for link in LINK.findall(page.text) if not link.startswith("data:")]
            assert len(links) >= 2
            for link in links:
                answer = await client.get(page.url.join(link), headers={"Accept": "text/html"})
                assert answer.status_code == 200, link
                if link.endswith((".js", ".css")):
                    kind = "javascript" if link.endswith(".js") else "css"
                    assert kind in answer.headers["content-type"]


async def test_the_only_inline_script_is_allowed_by_its_hash(tmp_path: Path) -> None:
    with small_app(tmp_path) as made:
        async with client_of(made.app) as client:
            page = await client.get(DOCS_PATH)
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in page.headers["content-security-policy"]


async def test_graphiql_is_guarded_and_the_schema_is_there_to_read(tmp_path: Path) -> None:
    with small_app(tmp_path) as made:
        async with client_of(made.app) as client:
            page = (await client.get("/graphql", headers={"Accept": "text/html"})).text
            schema = await client.get("/graphql/schema.graphql")
            missing = await client.get("/graphql/assets/nothing.js")
    assert "graphql/assets/guard.js" in page.split("<link")[0], "the guard comes first"
    assert schema.text == SDL_PATH.read_text()
    assert (missing.status_code, missing.json()["reason"]) == (404, "no_such_path")


def test_every_example_of_the_console_is_of_the_schema() -> None:
    schema = build_schema(SDL_PATH.read_text())
    script = (ASSETS / "console.js").read_text()
    examples = re.search(r"const EXAMPLES = \{(.*?)\n  \};", script, re.DOTALL)
    assert examples is not None
    queries = re.findall(r"`(.*?)`", examples[1], re.DOTALL)
    assert len(queries) >= 8
    for query in queries:
        assert validate(schema, parse(query)) == [], query
