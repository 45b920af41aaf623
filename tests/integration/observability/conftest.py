"""One watched exchange for the folder's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.observability.watched import Watched, until


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A running exchange with JSON logs."""
    watched = Watched(tmp_path_factory.mktemp("watched"))
    try:
        until(watched.is_up, "up")
        yield watched
    finally:
        watched.stop()
