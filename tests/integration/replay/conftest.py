"""One folder of logs a session; the tests damage copies of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.replay.written import Written, copy_of, write


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Sound logs of eleven batches. Not to be changed."""
    return write(tmp_path_factory.mktemp("replay") / "log")


@pytest.fixture
def copy(written: Written, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return copy_of(written, tmp_path / "copy")
