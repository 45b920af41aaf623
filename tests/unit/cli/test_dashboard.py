"""An API that stops while its dashboard is being made does not wait for it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from starlette.responses import PlainTextResponse

from cli import dashboard
from cli.dashboard import Dashboard


def test_a_stop_does_not_wait_for_the_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def make_slowly(api_url: str) -> PlainTextResponse:
        begun.set()
        assert go_on.wait(60)
        return PlainTextResponse(api_url)

    async def stop_meanwhile() -> None:
        made = asyncio.create_task(Dashboard("http://here").made())
        while not begun.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.01)
        made.cancel()

    monkeypatch.setattr(dashboard, "_make", make_slowly)
    timer = threading.Timer(20, go_on.set)
    timer.start()
    began = time.monotonic()
    asyncio.run(stop_meanwhile())
    assert time.monotonic() - began < 10
    timer.cancel()
    go_on.set()


def test_what_making_it_raises_reaches_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(api_url: str) -> PlainTextResponse:
        raise ImportError(f"no module for {api_url}")

    monkeypatch.setattr(dashboard, "_make", refuse)
    with pytest.raises(ImportError, match="no module for http://here"):
        asyncio.run(Dashboard("http://here").made())
