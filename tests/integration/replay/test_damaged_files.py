"""Damage below the rows: any bit of SQLite's own files is found, or means nothing."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from cli.replay import ReplayOptions, replay
from domain.commands import Command
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from streams.replay_logs import LogUnreadableError
from tests.integration.replay.written import (
    BATCHES,
    BUY,
    SESSION,
    Written,
    first_of,
    limit,
    record_at,
    verify,
    write,
)


@pytest.mark.parametrize("log", ["commands", "events"])
def test_any_bit_of_the_file_is_found_or_means_nothing(
    copy: Path, written: Written, log: str
) -> None:
    path = copy / f"{log}-0.sqlite"
    sound = path.read_bytes()
    choose = random.Random(6)
    ways = set()
    for _ in range(120):
        at, bit = choose.randrange(len(sound)), choose.randrange(8)
        changed = bytearray(sound)
        changed[at] ^= 1 << bit
        path.write_bytes(changed)
        try:
            result = verify(copy)
        except LogUnreadableError:
            ways.add("unreadable")
            continue
        if result.equal and not result.unreadable:
            # What nobody reads: room that SQLite has not used.
            assert sound[at] == 0 or at < 4096, at
            ways.add("unused")
        else:
            ways.add("differs" if not result.equal else "unreadable")
    assert "differs" in ways


def with_write_ahead(folder: Path, target: Path) -> Path:
    """Logs that were copied while they were open: most of them is in the write-ahead files."""
    commands, events = SQLiteCommandLog(folder, 0), SQLiteEventLog(folder, 0)
    made = write(folder)
    target.mkdir()
    for path in folder.iterdir():
        if not path.name.endswith("-shm"):
            shutil.copy(path, target)
    commands.close()
    events.close()
    assert (target / "commands-0.sqlite-wal").stat().st_size > 4096
    assert made.end == 11
    return target


@pytest.mark.parametrize("log", ["commands", "events"])
def test_a_damaged_write_ahead_file_does_not_pass_for_a_shorter_log(
    tmp_path: Path, log: str
) -> None:
    folder = with_write_ahead(tmp_path / "live", tmp_path / "copy")
    assert verify(folder).equal
    path = folder / f"{log}-0.sqlite-wal"
    sound = path.read_bytes()
    for shm in folder.glob("*-shm"):
        shm.unlink()
    # In the middle: what lies before it is read, what lies behind it is not.
    changed = bytearray(sound)
    changed[len(sound) // 2] ^= 4
    path.write_bytes(changed)
    first = first_of(folder)
    assert (first.kind, first.log) == ("lost", log)
    result = replay(folder, ReplayOptions())
    assert bool(result.notes) == (log == "commands")


def test_what_a_killed_writer_did_not_commit_is_not_lost(tmp_path: Path) -> None:
    folder = with_write_ahead(tmp_path / "live", tmp_path / "copy")
    connection = sqlite3.connect(folder / "events-0.sqlite", isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    for number in range(40):  # more than the cache holds: it spills into the write-ahead file
        connection.execute(
            "INSERT INTO stored_events VALUES ('x', ?, 'x', zeroblob(8000))", (number,)
        )
    kept = tmp_path / "killed"
    kept.mkdir()
    for path in folder.iterdir():
        if not path.name.endswith("-shm"):
            shutil.copy(path, kept)
    connection.rollback()
    connection.close()
    assert (kept / "events-0.sqlite-wal").stat().st_size > 200_000
    assert verify(kept).equal


def test_damage_in_the_index_alone_is_unreadable(copy: Path) -> None:
    """Followers find batches by the index, a scan by the table: both must hold."""
    connection = sqlite3.connect(copy / "commands-0.sqlite")
    connection.execute("PRAGMA writable_schema = ON")
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index'").fetchone()[
        0
    ]
    connection.close()
    path = copy / "commands-0.sqlite"
    content = bytearray(path.read_bytes())
    at = content.index(SESSION.hex().encode(), (root - 1) * 4096)
    assert at < root * 4096
    content[at] ^= 1
    path.write_bytes(content)
    result = verify(copy)
    assert result.equal
    assert "SQLite finds commands-0.sqlite" in result.unreadable


def test_damage_to_the_table_ends_the_verification_with_what_was_read(
    tmp_path: Path,
) -> None:
    many: list[list[Command]] = [[limit(BUY, 9_900, 1)] * 50 for _ in range(60)]
    write(tmp_path, [*BATCHES, *many])
    path = tmp_path / "events-0.sqlite"
    content = bytearray(path.read_bytes())
    record = record_at(tmp_path, "events", 60)
    at = content.index(record[:100])
    page = at // 4096 * 4096
    content[page : page + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(LogUnreadableError, match=r"malformed; up to position \d+ both logs were"):
        verify(tmp_path)
