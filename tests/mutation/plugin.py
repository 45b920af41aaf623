"""pytest as the mutation run wants it: frozen streams first, in their order, and bounded memory.

mutmut names the tests of a mutant in no order; what kills most and fastest must come first.
"""

from __future__ import annotations

import resource

import pytest

from tests.mutation.streams import STREAMS

MEMORY_BYTES_MAX = 3 << 30  # a mutant that grows for ever dies of it


def pytest_configure() -> None:
    """Bound this process and all that it forks."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Frozen streams, then stories, then boundary values, then the rest."""
    streams = [f"[{name}]" for name in STREAMS]
    order = [*streams, "test_matching", "test_boundaries"]

    def rank(item: pytest.Item) -> int:
        return next((at for at, name in enumerate(order) if name in item.nodeid), len(order))

    items.sort(key=rank)
