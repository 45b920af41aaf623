"""A publisher of the tests' own, on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.feed.market import Market
from tests.feed.publisher import Publisher, publishing

NewPublisher = Callable[..., Publisher]


@pytest.fixture
def new_publisher() -> Iterator[NewPublisher]:
    """Makes publishers that end with the test, of a market of three symbols."""
    with ExitStack() as opened:

        def make(market: Market | None = None, **more: Any) -> Publisher:
            return opened.enter_context(publishing(market or Market(1), **more))

        yield make
