"""What every fault test needs: a seed that it prints, exchanges that are ended, and on a failure
the end of what they said."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.faults.exchange import FaultExchange
from tests.faults.options import SEED, SEED_VARIABLE, NewExchange

_running: list[FaultExchange] = []


@pytest.fixture
def seed() -> int:
    """What random instants and loads are made from."""
    print(f"{SEED_VARIABLE}={SEED}")
    return SEED


@pytest.fixture
def new_exchange(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NewExchange]:
    """Makes exchanges that end with the test; a failed one leaves its folder."""

    def make(**settings: str) -> FaultExchange:
        exchange = FaultExchange(tmp_path, **settings)
        _running.append(exchange)
        return exchange

    yield make
    failed = getattr(request.node, "failed", False)
    while _running:
        _running.pop().end(keep=failed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what its exchanges said."""
    report = yield
    if report.failed and _running:
        item.failed = True  # type: ignore[attr-defined]
        report.sections += [(str(each.folder), each.said()) for each in _running]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the seed, whatever came of the tests."""
    terminalreporter.write_line(f"fault tests: {SEED_VARIABLE}={SEED}")
