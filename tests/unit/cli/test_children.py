"""Children are started again after a pause that grows, with a line that says why."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cli import children
from cli.children import Child

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 10.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    made: list[Child] = []

    def child(code: str) -> Child:
        new = Child("role", tmp_path / "role.log", dict(os.environ), ROOT)
        new.arguments = [sys.executable, "-c", code]
        made.append(new)
        new.start()
        return new

    yield child
    for each in made:
        each.kill()


def test_a_death_is_told_with_its_last_line_and_mended(make: Callable[[str], Child]) -> None:
    child = make("print('first'); print('no room'); raise SystemExit(3)")
    said: list[str] = []
    until(lambda: not child.alive)
    assert not child.tend(said.append)
    assert said == ["role ended with exit code 3: no room; starting it again in 0.1 s"]
    until(lambda: child.tend(said.append))
    assert child.restarts == 1


def test_a_last_line_in_json_is_told_in_words(make: Callable[[str], Child]) -> None:
    line = '{"event": "ended by KeyError", "exception": "Traceback ...\\n  here\\nKeyError: 7"}'
    child = make(f"print({line!r}); print('╰──╯'); raise SystemExit(1)")
    said: list[str] = []
    until(lambda: not child.alive)
    child.tend(said.append)
    assert "exit code 1: ended by KeyError: KeyError: 7; starting it again" in said[0]


def test_the_pause_doubles_up_to_a_bound(make: Callable[[str], Child]) -> None:
    child = make("raise SystemExit(1)")
    pauses = []
    said: list[str] = []
    for _ in range(3):
        until(lambda: not child.alive)
        child.tend(said.append)
        pauses.append(float(said[-1].rsplit(" ", 2)[1]))
        until(lambda: child.tend(said.append))
    assert pauses == [0.1, 0.2, 0.4]
    assert children.PAUSE_MAX_S == 5.0


def test_a_killed_child_says_by_what(make: Callable[[str], Child]) -> None:
    child = make("import time; time.sleep(60)")
    mark = child.mark()
    assert mark is not None
    os.kill(mark.pid, signal.SIGKILL)
    said: list[str] = []
    until(lambda: not child.alive)
    child.tend(said.append)
    assert said[0].startswith("role killed by SIGKILL; starting it again")


def test_a_child_is_in_a_session_of_its_own(make: Callable[[str], Child]) -> None:
    child = make("import time; time.sleep(60)")
    mark = child.mark()
    assert mark is not None
    assert os.getsid(mark.pid) == mark.pid
    child.ask_to_stop()
    assert child.wait(time.monotonic() + WAIT_S)
    assert not child.alive
    assert child.mark() is None


def test_one_that_ignores_sigterm_is_killed(make: Callable[[str], Child], tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)\n"
    child = make(code + "time.sleep(60)")
    until(lambda: "deaf" in (tmp_path / "role.log").read_text())
    child.ask_to_stop()
    assert not child.wait(time.monotonic() + 0.05)
    child.kill()
    assert not child.alive


@pytest.mark.parametrize(
    ("name", "first"), [("matching", True), ("matching-1", True), ("api", False)]
)
def test_the_matcher_is_served_first_where_that_is_allowed(
    tmp_path: Path, name: str, first: bool
) -> None:
    child = Child(name, tmp_path / "role.log", dict(os.environ), ROOT)
    child.arguments = [sys.executable, "-c", "input()"]
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        child.start()
        mark = child.mark()
        assert mark is not None
        wanted = children.FIRST_NICENESS if first and os.geteuid() == 0 else ours
        assert psutil.Process(mark.pid).nice() == wanted
    finally:
        child.kill()
