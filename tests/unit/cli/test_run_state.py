"""The data folder's lock, state and credentials, and the children's logs."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cli.children import LOG_BYTES_MAX, LOGS_KEPT, how_it_ended, last_line, rotate_log
from cli.run_state import (
    AlreadyRunningError,
    Credential,
    ExchangeState,
    NotRunningError,
    ProcessMark,
    RunFolder,
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "data")
    run.prepare()
    return run


def test_a_folder_is_held_by_one_supervisor_at_a_time(folder: RunFolder) -> None:
    assert not folder.is_locked()
    with folder.lock():
        assert folder.is_locked()
        with pytest.raises(AlreadyRunningError):
            folder.lock()
    assert not folder.is_locked()


def test_the_lock_dies_with_its_holder(folder: RunFolder) -> None:
    code = "import sys; from pathlib import Path; from cli.run_state import RunFolder\n"
    code += "held = RunFolder(Path(sys.argv[1])).lock(); print('held', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"held\n"
    assert folder.is_locked()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    holder.stdin.close()
    assert not folder.is_locked()


def test_state_comes_back_as_it_was_written(folder: RunFolder) -> None:
    mark = ProcessMark.of(os.getpid())
    state = ExchangeState("http://127.0.0.1:8000", mark, {"api": mark}, "unix:///x", "dsn", 1.5)
    folder.write_state(state)
    assert folder.read_state() == state
    with pytest.raises(NotRunningError, match="crossbook up"):
        folder.running()
    with folder.lock():
        assert folder.running() == state


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"roles": 3}'])
def test_a_damaged_state_is_as_none(folder: RunFolder, text: str) -> None:
    folder.state_path.write_text(text)
    assert folder.read_state() is None


def test_credentials_are_for_their_owner_alone(folder: RunFolder) -> None:
    assert folder.read_credentials() == {}
    folder.write_credentials({"demo": Credential(2, "demo", "cbk_x_y")})
    assert folder.read_credentials() == {"demo": Credential(2, "demo", "cbk_x_y")}
    assert stat.S_IMODE(folder.credentials_path.stat().st_mode) == 0o600
    assert not list(folder.data_dir.glob(".credentials*"))


def test_a_reused_pid_is_not_the_process_that_was_marked() -> None:
    mark = ProcessMark.of(os.getpid())
    assert mark.process() == psutil.Process()
    assert ProcessMark(mark.pid, mark.started_at - 60).process() is None
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended_mark = ProcessMark.of(ended.pid)
    ended.wait()
    assert ended_mark.process() is None


def test_logs_rotate_at_start_and_stay_few(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("short")
    rotate_log(log)
    assert log.exists()
    for number in range(LOGS_KEPT + 2):
        log.write_bytes(bytes([number]) * LOG_BYTES_MAX)
        rotate_log(log)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [f"api.log.{number}" for number in range(1, LOGS_KEPT + 1)]
    assert (tmp_path / "api.log.1").read_bytes()[0] == LOGS_KEPT + 1


def test_the_reason_of_a_death_is_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("before\n")
    began = log.stat().st_size
    assert last_line(log, began) == ""
    log.write_text("before\nTraceback\nValueError: no\n\n")
    assert last_line(log, began) == "ValueError: no"
    assert how_it_ended(-9) == "killed by SIGKILL"
    assert how_it_ended(3) == "ended with exit code 3"
