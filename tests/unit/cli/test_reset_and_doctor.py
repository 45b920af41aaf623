"""Reset deletes what is ours and asks first; doctor's checks stand alone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import doctor
from cli.addresses import NoPortError, free_port, url_of
from cli.main import app
from cli.reset import what_would_go
from cli.run_state import AlreadyRunningError, RunFolder
from cli.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    # Named servers, so that a reset has none of its own to stop.
    return Settings(
        data_dir=tmp_path / "data", redis_url="redis://x", postgres_dsn="postgresql://x"
    )


@pytest.fixture
def filled(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    folder = RunFolder(settings.data_dir)
    folder.prepare()
    (folder.data_dir / "log").mkdir()
    (folder.data_dir / "log" / "commands-0.sqlite").write_text("x")
    (folder.data_dir / "thesis.txt").write_text("mine")
    folder.credentials_path.write_text("{}")
    monkeypatch.setenv("CROSSBOOK_DATA_DIR", str(folder.data_dir))
    monkeypatch.setenv("CROSSBOOK_REDIS_URL", "redis://x")
    monkeypatch.setenv("CROSSBOOK_POSTGRES_DSN", "postgresql://x")
    return folder


def test_reset_asks_first_and_takes_no_for_an_answer(filled: RunFolder) -> None:
    answer = CliRunner().invoke(app, ["reset"], input="n\n")
    assert answer.exit_code == 1
    assert "Delete all of it?" in answer.output
    assert (filled.data_dir / "log" / "commands-0.sqlite").exists()


def test_reset_deletes_what_is_ours_and_nothing_else(filled: RunFolder) -> None:
    answer = CliRunner().invoke(app, ["reset", "--yes"])
    assert answer.exit_code == 0, answer.output
    assert sorted(path.name for path in filled.data_dir.iterdir()) == ["thesis.txt"]
    again = CliRunner().invoke(app, ["reset", "--yes"])
    assert "nothing to delete" in again.output


def test_reset_refuses_while_the_exchange_runs(filled: RunFolder, settings: Settings) -> None:
    with filled.lock():
        with pytest.raises(AlreadyRunningError, match="stop it first"):
            what_would_go(settings)
        answer = CliRunner().invoke(app, ["reset", "--yes"])
        assert answer.exit_code == 1
        assert "Traceback" not in answer.output
    assert (filled.data_dir / "log").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["status"], 1, "crossbook up"),
        (["simulate"], 1, "crossbook up"),
        (["play", "nowhere.csv"], 1, "no file nowhere.csv"),
        (["play", __file__], 1, "LOBSTER"),
        (["play", "x.csv", "--speed", "fast"], 2, "--speed"),
        (["role", "cook"], 2, "no role 'cook'"),
        (["up", "--port", "99999"], 2, "CROSSBOOK_PORT"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.setenv("CROSSBOOK_DATA_DIR", str(tmp_path / "none"))
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == code, answer.output
    assert said in answer.output
    assert len(answer.output.strip().splitlines()) == 1


def test_doctor_finds_loose_keys_and_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(data_dir=tmp_path, port=port)
        folder = RunFolder(tmp_path)
        folder.prepare()
        folder.credentials_path.write_text("{}")
        os.chmod(folder.credentials_path, 0o644)
        assert doctor.credentials(folder).verdict == "warn"
        (finding,) = doctor.exchange(settings, folder)
        assert (finding.verdict, finding.subject) == ("warn", "port")
        assert free_port("127.0.0.1", port) > port


def test_doctor_names_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = doctor.data_folder(RunFolder(tmp_path / "file" / "data"))
    assert finding.verdict == "fail"
    assert "CROSSBOOK_DATA_DIR" in finding.advice


def test_doctor_reads_the_end_of_the_logs(tmp_path: Path) -> None:
    from domain.wire import encode_batch
    from streams.logs import SQLiteCommandLog

    settings = Settings(data_dir=tmp_path)
    (finding,) = doctor.logs(settings)
    assert finding.found == "empty"
    log = SQLiteCommandLog(settings.logs, 0)
    log.append(b"s" * 16, 1, encode_batch(b"s" * 16, 1, 0, []))
    (finding,) = doctor.logs(settings)
    assert finding.verdict == "ok"
    log.append(b"s" * 16, 2, b"no batch")
    log.close()
    (finding,) = doctor.logs(settings)
    assert finding.verdict == "fail"


def test_no_port_left_is_said() -> None:
    with pytest.raises(NoPortError, match="no free port"):
        free_port("203.0.113.1", 8000)


def test_urls_are_for_this_machine() -> None:
    assert url_of("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert url_of("::1", 80) == "http://[::1]:80"
    assert url_of("exchange.local", 80) == "http://exchange.local:80"
