"""pytest as the mutation run wants it: frozen streams first, in their order, and bounded memory.

mutmut names the tests of a mutant in no order; what kills most and fastest must come first.
"""

from __future__ import annotations

import resource

import pytest

MEMORY_BYTES_MAX = 3 << 30  # a mutant that grows for ever dies of it


def pytest_configure() -> None:
    """Bound this process and all that it forks."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Frozen streams, then boundary values, then stories."""
    order = ["test_kills", "test_boundaries", "test_matching"]

    def rank(item: pytest.Item) -> int:
        return next((at for at, name in enumerate(order) if name in item.nodeid), len(order))

    items.sort(key=rank)
