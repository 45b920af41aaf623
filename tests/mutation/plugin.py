"""pytest as the mutation run wants it: frozen streams first, in their order; memory and CPU time
bounded.

mutmut names the tests of a mutant in no order; what kills most and fastest must come first. Its own
bound on time is by the clock on the wall, which on a busy machine would count what merely waits as
killed.
"""

from __future__ import annotations

import os
import resource

import pytest

from tests.mutation.streams import STREAMS

MEMORY_BYTES_MAX = 3 << 30  # a mutant that grows for ever dies of it


def pytest_configure() -> None:
    """Bound this process and all that it forks."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))


def pytest_runtest_setup() -> None:
    """Where a mutant runs, each test has so many seconds of CPU time from here on."""
    seconds = int(os.environ.get("CROSSBOOK_MUTANT_CPU_SECONDS", "0"))
    if seconds and "__mutmut_" in os.environ.get("MUTANT_UNDER_TEST", ""):
        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Frozen streams, then stories, then boundary values, then the rest."""
    streams = [f"[{name}]" for name in STREAMS]
    order = [*streams, "test_matching", "test_boundaries"]

    def rank(item: pytest.Item) -> int:
        return next((at for at, name in enumerate(order) if name in item.nodeid), len(order))

    items.sort(key=rank)
