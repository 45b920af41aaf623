"""Servers are started again beside the loop that tends them, and end with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli import server_keeper
from cli.server_keeper import ServerKeeper
from cli.servers import EmbeddedRedis, ServerError
from cli.servers.own import OwnServer

WAIT_S = 30.0


class SlowServer(OwnServer):
    """Takes as long to start as the test likes: what a PostgreSQL in recovery does."""

    name = "slow"
    program = "none"
    start_wait_s = WAIT_S
    stop_steps = leftover_steps = ((signal.SIGKILL, 1.0),)

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.starting = threading.Event()
        self.answering = threading.Event()

    def _recorded_pid(self) -> int | None:
        return None

    def _adopt(self) -> bool:
        return False

    def _begin(self) -> None:
        self.starting.set()
        deadline = time.monotonic() + WAIT_S
        while not self.answering.wait(0.01):
            if not self._may_wait(deadline):
                raise ServerError("never answered")


@pytest.fixture
def real(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path / "redis", tmp_path / "run")
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_keeper, "LOOK_INTERVAL_S", 0.0)


def tend_until(keeper: ServerKeeper, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        keeper.tend()
        time.sleep(0.01)


def test_one_server_that_will_not_start_holds_up_no_other(
    real: EmbeddedRedis, tmp_path: Path
) -> None:
    said: list[str] = []
    slow = SlowServer(tmp_path / "slow")
    keeper = ServerKeeper([slow, real], said.append)
    tend_until(keeper, slow.starting.is_set)
    killed = real.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    tend_until(keeper, lambda: real.pid not in (None, killed))
    assert not slow.answering.is_set()
    keeper.stop()  # ends the start too
    assert real.pid is None
    assert said == ["slow ended; starting it again", "redis ended; starting it again"]


def test_a_server_that_cannot_start_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_keeper, "PAUSE_FIRST_S", 0.01)
    monkeypatch.setattr(SlowServer, "_may_wait", lambda _self, _deadline: False)
    said: list[str] = []
    keeper = ServerKeeper([SlowServer(tmp_path / "slow")], said.append)
    tend_until(keeper, lambda: len(said) >= 4)
    assert said[0] == said[2] == "slow ended; starting it again"
    assert said[1].startswith("slow: never answered; again in")
    keeper.stop()


def test_servers_begin_at_the_same_time(real: EmbeddedRedis, tmp_path: Path) -> None:
    real.stop()
    slow = SlowServer(tmp_path / "slow")
    keeper = ServerKeeper([slow, real], [].append)
    keeper.begin()
    assert slow.starting.wait(WAIT_S)
    deadline = time.monotonic() + WAIT_S
    while real.pid is None:
        assert time.monotonic() < deadline, "it waits for the slow one"
        time.sleep(0.01)
    waiting = threading.Thread(target=keeper.wait, daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive(), "it did not wait for the slow one"
    slow.answering.set()
    waiting.join(WAIT_S)
    assert not waiting.is_alive()
    keeper.stop()
    assert real.pid is None


def test_a_server_that_does_not_begin_is_told_of_and_the_others_end(
    real: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.stop()
    monkeypatch.setattr(SlowServer, "_may_wait", lambda _self, _deadline: False)
    keeper = ServerKeeper([SlowServer(tmp_path / "slow"), real], [].append)
    keeper.begin()
    with pytest.raises(ServerError, match="never answered"):
        keeper.wait()
    keeper.stop()
    assert real.pid is None


def test_a_server_that_is_beginning_can_be_stopped(tmp_path: Path) -> None:
    slow = SlowServer(tmp_path / "slow")
    keeper = ServerKeeper([slow], [].append)
    keeper.begin()
    assert slow.starting.wait(WAIT_S)
    began = time.monotonic()
    keeper.stop()
    assert time.monotonic() - began < WAIT_S / 2
    with pytest.raises(ServerError, match="never answered"):
        keeper.wait()
