"""`crossbook replay` and `crossbook explain` as they are typed: output and exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from projections.snapshots import SnapshotStore
from tests.integration.replay.written import (
    OPENING_NS,
    Written,
    drop,
    flip,
    order_id,
)

ROOT = Path(__file__).resolve().parents[3]


def crossbook(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def replayed(folder: Path, *arguments: object) -> dict[str, Any]:
    result = crossbook("replay", "--log-dir", folder, "--json", *arguments)
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found | {"exit_code": result.exit_code}


def test_prints_the_state_hash_and_agrees(written: Written) -> None:
    result = crossbook("replay", "--log-dir", written.folder)
    assert result.exit_code == 0, result.output
    assert f"state      {written.state_hashes[-1]}" in result.stdout
    assert "event log  agrees at 11 (same chain)" in result.stdout


def test_finds_the_logs_in_the_data_folder(written: Written, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log").symlink_to(written.folder)
    result = crossbook("replay", "--data-dir", tmp_path / "data", "--verify")
    assert result.exit_code == 0, result.output
    assert "event log  equal, all 11 batches byte for byte" in result.stdout


def test_json_says_it_all(written: Written) -> None:
    found = replayed(written.folder, "--verify", "--book", "AAPL", "--to-position", 3)
    assert found["exit_code"] == 0
    assert (found["position"], found["log_end"]) == (3, 11)
    assert found["state_hash"] == written.state_hashes[3]
    assert found["trading_time_ns"] == str(written.times_ns[3])
    assert found["verify"] == {
        "equal": True,
        "compared": 3,
        "unmatched": 0,
        "differing": 0,
        "first": None,
        "mended": [],
        "structure": [],
    }
    assert found["book"]["bids"][0] == {
        "price_ticks": 9_900,
        "price": "0.9900",
        "quantity": 100,
        "order_count": 1,
    }


@pytest.mark.parametrize("text", [str(OPENING_NS + 10**9), "2026-09-21T14:13:21Z"])
def test_times_are_iso_or_nanoseconds(written: Written, text: str) -> None:
    assert replayed(written.folder, "--to-time", text)["position"] == 4


def test_a_flipped_bit_is_exit_code_1_and_a_place(copy: Path) -> None:
    flip(copy, "events", 4, 200, 3)
    result = crossbook("replay", "--log-dir", copy, "--verify")
    assert result.exit_code == 1
    assert "DIFFERS at the events of position 4, byte 200, bit 3" in result.stdout
    found = replayed(copy, "--verify")
    assert (found["exit_code"], found["equal"]) == (1, False)
    first = found["verify"]["first"]
    assert (first["log"], first["position"], first["byte"], first["bit"]) == ("events", 4, 200, 3)


def test_a_flipped_bit_of_a_command_is_exit_code_1_and_a_place(copy: Path) -> None:
    flip(copy, "commands", 7, 60, 5)
    result = crossbook("replay", "--log-dir", copy, "--verify")
    assert result.exit_code == 1
    assert "DIFFERS at the commands of position 7, byte 60, bit 5" in result.stdout
    plain = crossbook("replay", "--log-dir", copy)
    assert plain.exit_code == 1
    assert "--verify tells where" in plain.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to-position", "3", "--to-time", "5"], "not both"),
        (["--to-position", "12"], "past the log's end, 11"),
        (["--to-time", "noon"], "ISO 8601"),
        (["--verify", "--from-snapshot"], "--from-snapshot leaves out"),
        (["--export", "trades", "--output", "x"], "--export is commands or events"),
        (["--export", "events"], "--output FILE"),
        (["--export", "events", "--output", "-", "--format", "parquet"], "needs a name"),
        (["--export", "events", "--output", "x", "--format", "csv"], "--format is"),
        (["--output", "x"], "go with --export"),
        (["--from-position", "2"], "go with --export"),
        (["--print", "3", "--verify"], "--print goes with"),
        (["--print", "99"], "no position 99"),
        (["--book", "ZZZ"], "no instrument ZZZ"),
        (["--shard", "-1"], ""),
        (["--depth", "0"], ""),
        (["--what"], ""),
    ],
)
def test_wrong_usage_is_exit_code_2(written: Written, arguments: list[str], said: str) -> None:
    result = crossbook("replay", "--log-dir", written.folder, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_an_export_does_not_go_among_the_logs(copy: Path) -> None:
    target = copy / "rows.jsonl"
    result = crossbook("replay", "--log-dir", copy, "--export", "events", "--output", target)
    assert (result.exit_code, target.exists()) == (2, False)


@pytest.mark.parametrize("log", ["commands", "events"])
def test_an_unreadable_log_is_exit_code_3(copy: Path, log: str) -> None:
    (copy / f"{log}-0.sqlite").write_text("a shopping list")
    result = crossbook("replay", "--log-dir", copy, "--verify")
    assert result.exit_code == 3
    assert "is not an SQLite file" in result.stderr
    assert crossbook("replay", "--log-dir", copy).exit_code == 3
    (copy / f"{log}-0.sqlite").unlink()
    assert crossbook("replay", "--log-dir", copy, "--verify").exit_code == 3


def test_a_gap_in_the_commands_is_exit_code_3_and_1_when_verified(copy: Path) -> None:
    drop(copy, "commands", 5)
    assert crossbook("replay", "--log-dir", copy).exit_code == 3
    result = crossbook("replay", "--log-dir", copy, "--verify")
    assert result.exit_code == 1
    assert "the commands of position 5" in result.stdout


def test_prints_a_batch_as_json(written: Written) -> None:
    result = crossbook("replay", "--log-dir", written.folder, "--print", 4)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["shard"], found["position"]) == (0, 4)
    assert [each["command"] for each in found["command_batch"]["commands"]] == ["submit_order"] * 4
    assert found["command_batch"]["batch_number"] == "4"
    assert found["event_batch"]["chain"] == written.chains[4]
    assert found["event_batch"]["events"][1]["event"] == "order_executed"


def test_prints_what_is_damaged_or_not_matched(copy: Path) -> None:
    flip(copy, "commands", 4, 100, 0)
    drop(copy, "events", 4)
    found = json.loads(crossbook("replay", "--log-dir", copy, "--print", 4).stdout)
    assert found["command_batch"]["undecodable"] == "the checksum does not match"
    assert found["event_batch"] is None


def test_exports_to_standard_output_and_reports_beside_it(written: Written) -> None:
    result = crossbook("replay", "--log-dir", written.folder, "--export", "events", "--output", "-")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert all(json.loads(line)["position"] for line in lines)
    assert f"exported   {len(lines):,} rows" in result.stderr


def test_the_format_follows_the_name(written: Written, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    asked = ("--export", "commands", "--output", path)
    assert crossbook("replay", "--log-dir", written.folder, *asked).exit_code == 0
    assert path.read_bytes()[:4] == b"PAR1"


def test_a_reader_that_leaves_ends_it_quietly(written: Written) -> None:
    command = [sys.executable, "-m", "cli.main", "replay", "--log-dir", str(written.folder)]
    asked = ["--export", "events", "--output", "-"]
    process = subprocess.Popen(
        [*command, *asked], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    process.wait(60)
    assert "Error" not in said and "Traceback" not in said


def test_a_terminal_sees_how_far_it_is(written: Written) -> None:
    """The bar is on standard error; what is printed is the same."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cli.main", "replay", "--log-dir", str(written.folder)]
    process = subprocess.run(
        [*command, "--json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, check=True
    )
    os.close(theirs)
    drawn = os.read(ours, 65_536)
    os.close(ours)
    assert json.loads(process.stdout)["position"] == 11
    assert b"replay" in drawn


def test_begins_at_a_snapshot_when_asked_to(
    written: Written, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore(postgres_dsn)
    at, chunks = written.snapshots[6]
    store.save(0, at, chunks)
    store.close()
    monkeypatch.setenv("CROSSBOOK_POSTGRES_DSN", postgres_dsn)
    found = replayed(written.folder, "--from-snapshot")
    assert (found["began_at"], found["state_hash"]) == (6, written.state_hashes[-1])
    assert found["equal"] and found["event_log_compared_at"] == 11
    before = replayed(written.folder, "--from-snapshot", "--to-position", 5)
    assert (before["began_at"], before["state_hash"]) == (0, written.state_hashes[5])
    assert "no snapshot serves" in before["notes"][0]


def test_snapshots_need_a_server(written: Written, tmp_path: Path) -> None:
    result = crossbook(
        "replay", "--log-dir", written.folder, "--data-dir", tmp_path, "--from-snapshot"
    )
    assert result.exit_code == 2
    assert "start the exchange" in result.stderr


# --- explain --------------------------------------------------------------------------------------


def test_explains_an_order(written: Written) -> None:
    result = crossbook("explain", order_id(2, 0), "--log-dir", written.folder)
    assert result.exit_code == 0, result.output
    assert "0-4" in result.stdout and "bought 30 at 0.9900" in result.stdout
    asked = ("client:bid-1", "--account", 1, "--symbol", "aapl", "--json")
    found = json.loads(crossbook("explain", *asked, "--log-dir", written.folder).stdout)
    assert found["order_id"] == str(order_id(2, 0))
    assert found["same_client_order_id"] == [
        {"order_id": str(order_id(4, 3)), "event": "order_repeated"}
    ]


def test_explain_has_exit_codes_too(written: Written, tmp_path: Path) -> None:
    assert crossbook("explain", order_id(2, 9), "--log-dir", written.folder).exit_code == 1
    assert crossbook("explain", "bid-1", "--log-dir", written.folder).exit_code == 2
    assert crossbook("explain", 131_072, "--log-dir", tmp_path).exit_code == 3
    (tmp_path / "commands-0.sqlite").write_text("nothing")
    assert crossbook("explain", 131_072, "--log-dir", tmp_path).exit_code == 3
