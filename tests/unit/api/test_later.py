"""GraphQL is loaded when it is first wanted, once, and its first callers wait for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from api.later import Once, in_daemon_thread
from tests.unit.api.small_app import small_app
from tests.unit.api.test_heads import client_of

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[3]
LOADED = "import sys, cli.roles.api; print([name for name in sys.modules if 'strawberry' in name])"


def test_an_api_begins_without_graphql() -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert told.stdout == "[]\n"


async def test_the_first_callers_wait_and_share_one_endpoint(tmp_path: Path) -> None:
    query = {"query": "{ __typename }"}
    with small_app(tmp_path) as made:
        async with client_of(made.app) as client:
            posts = [client.post("/graphql", json=query) for _ in range(5)]
            later = made.app.state.graphql
            endpoint, *answers = await asyncio.gather(later.made(), *posts)
            assert [answer.json()["data"] for answer in answers] == [{"__typename": "Query"}] * 5
            assert await later.made() is endpoint


async def test_who_stops_waiting_does_not_stop_the_making() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    times = 0

    async def make() -> str:
        nonlocal times
        times += 1
        begun.set()
        await go_on.wait()
        return await in_daemon_thread(lambda: "made", "making")

    once = Once(make, "making")
    impatient = asyncio.create_task(once.made())
    await begun.wait()
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    go_on.set()
    assert [await once.made(), await once.made(), times] == ["made", "made", 1]
