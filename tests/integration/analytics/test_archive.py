"""The archive: whole files, one history, nothing twice, nothing lost."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from cli.main import app
from domain.batch import ForkError, SinkError
from domain.commands import ListInstrument
from projections.archive import MANIFEST, SCHEMAS, Archive
from streams.logs import SQLiteEventLog
from tests.integration.projections.flow import Flow
from tests.integration.projections.history_oracle import HistoryOracle
from tests.integration.projections.test_postgres_sink import another_history

TABLES = tuple(SCHEMAS)


def filled(folder: Path, flow: Flow, group: int) -> Archive:
    archive = Archive(folder)
    at = archive.position(0).position
    while at < flow.at.position:
        archive.add(0, flow.batches[at : at + group])
        at = archive.position(0).position
    return archive


def rows(archive: Archive, table: str, symbol: str) -> list[tuple[object, ...]]:
    return sorted(archive.scan(table, symbol).collect().rows(), key=str)


def test_rows_are_those_of_the_events_however_grouped(tmp_path: Path) -> None:
    flow = Flow(seed=4)
    flow.go_wild(30)
    flow.open_all()
    flow.go(3, 120)
    flow.run([ListInstrument(4, b"BRK/A", 100, 1)])
    one, all_at_once = filled(tmp_path / "one", flow, 1), filled(tmp_path / "all", flow, 1000)
    assert one.symbols() == all_at_once.symbols() == ["BRK/A", "SYM1", "SYM2", "SYM3"]
    for table in TABLES:
        for symbol in one.symbols():
            assert rows(one, table, symbol) == rows(all_at_once, table, symbol)
    oracle = HistoryOracle.of(flow.batches)
    trades = pl.concat([one.scan("public/trades", name) for name in one.symbols()]).collect()
    assert sorted(trades["match_number"]) == [row["match_number"] for row in oracle.trades]
    value = (trades["price_ticks"] * trades["quantity"]).sum()
    assert value == sum(row["price_ticks"] * row["quantity"] for row in oracle.trades)
    levels = sum(rows_of(one, "public/level_changes"))
    assert levels == sum(len(row["changes"]) // 24 for row in oracle.levels.values())
    assert list(one.wrong()) == []


def rows_of(archive: Archive, table: str) -> list[int]:
    return [file.rows for file in archive.manifest.files if file.path.startswith(table)]


def test_public_tables_hold_no_account_and_no_order(tmp_path: Path) -> None:
    for table, schema in SCHEMAS.items():
        told = any("account" in name or "order_id" in name for name in schema)
        assert told == table.startswith("private/")


def test_it_goes_on_where_it_ended_and_repeats_nothing(tmp_path: Path) -> None:
    flow = Flow(seed=4)
    flow.go(5, 60)
    filled(tmp_path, flow, 3)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    filled(tmp_path, flow, 3)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    flow.go(2, 60)
    archive = filled(tmp_path, flow, 3)
    assert archive.position(0) == flow.at
    assert rows(archive, "public/trades", "SYM1") == rows(
        filled(tmp_path / "fresh", flow, 100), "public/trades", "SYM1"
    )


def test_a_run_that_stopped_before_its_manifest_left_nothing_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = Flow(seed=4)
    flow.go(5, 60)
    archive = Archive(tmp_path)
    archive.add(0, flow.batches[:2])

    def killed(self: Archive) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "_write_manifest", killed)
        with pytest.raises(OSError, match="no space"):
            archive.add(0, flow.batches[2:])
    again = filled(tmp_path, flow, 100)
    assert rows(again, "public/trades", "SYM2") == rows(
        filled(tmp_path / "fresh", flow, 100), "public/trades", "SYM2"
    )
    assert list(again.wrong()) == []


def test_damage_is_told(tmp_path: Path) -> None:
    flow = Flow(seed=4)
    flow.go(5, 60)
    archive = filled(tmp_path, flow, 100)
    first, second = (tmp_path / archive.manifest.files[at].path for at in (0, 1))
    first.unlink()
    image = bytearray(second.read_bytes())
    image[40] ^= 1
    second.write_bytes(image)
    told = list(Archive(tmp_path).wrong())
    assert len(told) == 2 and "missing" in told[0] and "other bytes" in told[1]
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(SinkError, match="damaged"):
        Archive(tmp_path)


def test_a_gap_is_refused(tmp_path: Path) -> None:
    flow = Flow(seed=4)
    flow.go(5, 30)
    archive = Archive(tmp_path)
    archive.add(0, flow.batches[:2])
    with pytest.raises(ForkError, match="position 3"):
        archive.add(0, flow.batches[3:])


def written_log(folder: Path, flow: Flow) -> None:
    """The flow's events in an event log on disk."""
    log = SQLiteEventLog(folder / "log", 0)
    for batch in flow.batches[log.tail().position :]:
        log.append([(batch.position, [batch.record])])
    log.close()


def test_the_command_archives_verifies_and_analyses(tmp_path: Path) -> None:
    flow = Flow(seed=4)
    flow.go(5, 60)
    (tmp_path / "data").mkdir()
    written_log(tmp_path / "data", flow)
    place = ["--data-dir", str(tmp_path / "data")]
    out = tmp_path / "archive"
    done = CliRunner().invoke(app, ["archive", str(out), *place])
    assert done.exit_code == 0 and "positions 1 to 6" in done.output, done.output
    again = CliRunner().invoke(app, ["archive", str(out), *place])
    assert again.exit_code == 0 and " 0 rows" in again.output
    assert CliRunner().invoke(app, ["archive", str(out), "--verify", *place]).exit_code == 0
    question = ["--symbol", "SYM1", "--from", "1", "--to", "2000000000000000000"]
    question += ["--interval", "1d", "--from-archive", str(out)]
    asked = CliRunner().invoke(app, ["analyse", "volatility", *question, "--json"])
    assert asked.exit_code == 0 and '"volatility":null' in asked.output, asked.output
    bad = CliRunner().invoke(app, ["analyse", "profit", *question])
    assert bad.exit_code == 2
    next(out.rglob("*.parquet")).unlink()
    told = CliRunner().invoke(app, ["archive", str(out), "--verify", *place])
    assert told.exit_code == 1 and "missing" in told.output


def test_an_archive_of_another_history_is_left_alone(tmp_path: Path) -> None:
    flow = Flow(seed=4)
    flow.go(5, 60)
    (tmp_path / "data").mkdir()
    written_log(tmp_path / "data", flow)
    archive = Archive(tmp_path / "archive")
    (tmp_path / "archive").mkdir()
    archive.add(0, another_history(flow.batches)[:3])
    place = ["--data-dir", str(tmp_path / "data")]
    done = CliRunner().invoke(app, ["archive", str(tmp_path / "archive"), *place])
    assert done.exit_code == 1
    assert archive.position(0) == Archive(tmp_path / "archive").position(0)
