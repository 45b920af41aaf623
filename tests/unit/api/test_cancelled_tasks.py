"""Tasks that wait for news end when they are cancelled, also where news comes at that moment.

`asyncio.wait_for` swallows such a cancel before Python 3.12: whoever stops an API process would
wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from commands.directory.application import DirectoryApplication, sqlite_environment
from commands.directory.view import DirectoryView
from streams.directory_follower import DirectoryFollower
from streams.gateway import ProgressBoard

LOOP_TURNS_MAX = 6
SETTLED_S = 0.02  # long enough, most often, for a task to be waiting; none of it decides a pass
PATIENCE_S = 60


@pytest.fixture
def application(tmp_path: Path) -> Iterator[DirectoryApplication]:
    opened = DirectoryApplication(sqlite_environment(tmp_path / "directory.sqlite"))
    yield opened
    opened.close()


async def cancel_while_told(
    run: Callable[[], Coroutine[Any, Any, None]], tell: Callable[[], None]
) -> None:
    """Cancel a running task at each of the loop's turns in which what `tell` says reaches it."""
    for turns in range(LOOP_TURNS_MAX):
        task = asyncio.create_task(run())
        await asyncio.sleep(SETTLED_S)
        tell()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        assert done, f"told {turns} turns before, it swallowed the cancel"
        assert task.cancelled()


def test_a_view_of_the_directory_ends(application: DirectoryApplication) -> None:
    async def scenario() -> None:
        view = DirectoryView(application)
        await cancel_while_told(lambda: view.run(poll_s=600), view.wake)

    asyncio.run(scenario())


def test_a_follower_of_the_directory_ends(application: DirectoryApplication) -> None:
    class NoShards:
        def write_system(self, *batch: object) -> int:
            raise AssertionError(f"there is no shard to write {batch} to")

    async def scenario() -> None:
        follower = DirectoryFollower(application, NoShards(), [])
        await cancel_while_told(lambda: follower.run(poll_s=600), follower.wake)

    asyncio.run(scenario())


def test_whoever_waits_for_progress_ends() -> None:
    async def scenario() -> None:
        progress = ProgressBoard()

        async def follow() -> None:
            while True:
                position = progress.at("matcher", 0)
                await progress.reached("matcher", 0, position + 1, 600)

        def advance() -> None:
            progress.advance("matcher", 0, progress.at("matcher", 0) + 1)

        await cancel_while_told(follow, advance)

    asyncio.run(scenario())
