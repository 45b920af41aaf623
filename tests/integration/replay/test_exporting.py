"""Commands and events as JSON lines and as Parquet: every one, with every field, in bounded
memory.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cli.replay import ReplayOptions, replay
from cli.replay_export import FRAME_ROWS, ExportError, ParquetExport
from cli.replay_rows import rfc3339
from domain.batch import EventBatch
from domain.codes import BUY
from domain.commands import Command, SubmitOrder
from tests.integration.replay.written import (
    AAPL,
    BATCHES,
    Written,
    drop,
    limit,
    order_id,
    record_at,
    write,
)


def exported(folder: Path, what: str, output: Path, **options: Any) -> int:
    form = "parquet" if output.suffix == ".parquet" else "jsonl"
    asked = ReplayOptions(export=what, form=form, output=str(output), **options)
    rows = replay(folder, asked).export_rows
    assert rows is not None
    return rows


def lines_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_event_is_a_line(written: Written, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    count = exported(written.folder, "events", path)
    lines = lines_in(path)
    batches = [
        EventBatch(record_at(written.folder, "events", position))
        for position in range(1, written.end + 1)
    ]
    assert count == len(lines) == sum(len(batch.events()) for batch in batches)
    names = Counter(type(event).__name__ for batch in batches for event in batch.events())
    assert Counter(line["event"].title().replace("_", "") for line in lines) == names
    assert len(names) >= 12
    traded = next(line for line in lines if line["event"] == "order_executed")
    assert traded == {
        "position": 4,
        "event_index": 1,
        "event": "order_executed",
        "command_index": 0,
        "trading_time": rfc3339(written.times_ns[4]),
        "gateway_time": "1970-01-01T00:00:00.000000004Z",
        "instrument": 1,
        "symbol": "AAPL",
        "aggressor_side": "sell",
        "aggressor_order_id": str(order_id(4, 0)),
        "aggressor_account": 2,
        "aggressor_leaves": 0,
        "resting_order_id": str(order_id(2, 0)),
        "resting_account": 1,
        "resting_leaves": 70,
        "price_ticks": 9_900,
        "price": "0.9900",
        "quantity": 30,
        "match_number": "1",
        "book_sequence": traded["book_sequence"],
    }


def test_every_command_is_a_line_with_what_became_of_its_batch(
    written: Written, tmp_path: Path
) -> None:
    path = tmp_path / "commands.jsonl"
    exported(written.folder, "commands", path)
    lines = lines_in(path)
    assert len(lines) == sum(len(batch) for batch in BATCHES)
    submits = [line for line in lines if line["command"] == "submit_order"]
    assert submits[0]["order_id"] == str(order_id(2, 0))
    assert submits[0]["client_order_id"] == "bid-1"
    assert (submits[0]["side"], submits[0]["time_in_force"]) == ("buy", "gtc")
    assert {line["status"] for line in lines} == {"applied"}
    ticks = [line["time"] for line in lines if line["command"] == "clock_tick"]
    assert ticks[1] == "2026-09-21T14:13:21.000000000Z"


def test_an_undecodable_batch_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "log", raw=[b"garbage"])
    path = tmp_path / "commands.jsonl"
    exported(tmp_path / "log", "commands", path, from_position=12)
    assert [(line["status"], "command" in line) for line in lines_in(path)] == [
        ("undecodable", False)
    ]


def test_wide_numbers_are_strings_in_json(tmp_path: Path) -> None:
    write(tmp_path / "log", shard=200)
    path = tmp_path / "events.jsonl"
    exported(tmp_path / "log", "events", path, shard=200)
    accepted = next(line for line in lines_in(path) if line["event"] == "order_accepted")
    assert accepted["order_id"] == str(order_id(2, 0, shard=200))
    assert int(accepted["order_id"]) > 2**53


@pytest.mark.parametrize("what", ["commands", "events"])
def test_parquet_holds_the_same_rows(written: Written, tmp_path: Path, what: str) -> None:
    count = exported(written.folder, what, tmp_path / "rows.parquet")
    exported(written.folder, what, tmp_path / "rows.jsonl")
    frame = pl.read_parquet(tmp_path / "rows.parquet")
    lines = lines_in(tmp_path / "rows.jsonl")
    assert frame.height == count == len(lines)
    for row, line in zip(frame.iter_rows(named=True), lines, strict=True):
        told = {name: value for name, value in row.items() if value is not None}
        for name, value in line.items():
            if name in ("trading_time", "gateway_time", "time"):
                assert f"{told.pop(name):%Y-%m-%dT%H:%M:%S.%f}" == value[:26]
            elif name != "price" and name != "previous_price":
                assert str(told.pop(name)) == str(value)
        assert told == {}
    assert frame.schema["trading_time"] == pl.Datetime("ns", "UTC")


def test_rows_begin_where_they_were_asked_to(written: Written, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    exported(written.folder, "commands", path, from_position=4, to_position=6)
    assert sorted({line["position"] for line in lines_in(path)}) == [4, 5, 6]


def test_many_frames_come_in_order(tmp_path: Path) -> None:
    orders: list[Command] = [
        SubmitOrder(1, AAPL, BUY, 0, 0, 9_000, 1 + number) for number in range(10_000)
    ]
    write(tmp_path / "log", [*BATCHES, *[orders] * 6])
    path = tmp_path / "many.parquet"
    count = exported(tmp_path / "log", "commands", path, from_position=12)
    assert count == 60_000 > 2 * FRAME_ROWS
    frame = pl.read_parquet(path)
    assert frame["quantity"].to_list() == [1 + number for number in range(10_000)] * 6
    assert frame["position"].is_sorted()


# --- when it goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_no_file_is_left_when_the_log_breaks_off(copy: Path, tmp_path: Path, name: str) -> None:
    drop(copy, "commands", 5)
    (tmp_path / "out").mkdir()
    with pytest.raises(Exception, match="position 5 is missing"):
        exported(copy, "events", tmp_path / "out" / name)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_full_disk_is_told(written: Written, form: str) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    options = ReplayOptions(export="events", form=form, output="/dev/full")
    with pytest.raises(ExportError, match="cannot write the export"):
        replay(written.folder, options)
    assert not os.path.isfile("/dev/full")


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_folder_that_is_not_there_is_told(written: Written, tmp_path: Path, form: str) -> None:
    options = ReplayOptions(export="events", form=form, output=str(tmp_path / "no" / "file"))
    with pytest.raises(ExportError, match="No such file"):
        replay(written.folder, options)


def test_an_older_file_stays_until_the_new_one_is_whole(copy: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("older\n")
    drop(copy, "commands", 5)
    with pytest.raises(Exception, match="position 5 is missing"):
        exported(copy, "events", path)
    assert path.read_text() == "older\n"


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    export = ParquetExport("commands", tmp_path / "rows.parquet")
    waiting = 0
    for _ in range(8):
        export.write([{"position": 1, "command": "clock_tick"}] * FRAME_ROWS)
        waiting = max(waiting, export.waiting_frames)
    export.finish()
    assert waiting <= 2
    assert pl.scan_parquet(tmp_path / "rows.parquet").select(pl.len()).collect().item() == (
        8 * FRAME_ROWS
    )


def test_an_abandoned_export_ends_at_once(tmp_path: Path) -> None:
    export = ParquetExport("commands", tmp_path / "rows.parquet")
    for _ in range(4):
        export.write([{"position": 1}] * FRAME_ROWS)
    export.abandon()
    assert list(tmp_path.iterdir()) == []


def test_names_no_symbol_that_is_not_listed(tmp_path: Path) -> None:
    stray = SubmitOrder(1, 77, BUY, 0, 0, 9_000, 1)
    write(tmp_path / "log", [*BATCHES, [stray, limit(BUY, 9_000, 1)]])
    path = tmp_path / "rows.jsonl"
    exported(tmp_path / "log", "commands", path, from_position=12)
    assert [line.get("symbol") for line in lines_in(path)] == [None, "AAPL"]
