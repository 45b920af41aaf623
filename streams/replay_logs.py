"""The logs of one shard, read only: of an exchange that runs, of one that stopped, or of a copy.

Guarantees: not a byte of a log is written; what is read at a time is bounded in rows and bytes, and
no transaction outlasts it; whatever is no log of ours raises `LogUnreadableError`, which says why.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote

from domain.wire import COMMAND_MAGIC, EVENT_CHAIN_AT, EVENT_HEADER_BYTES, EVENT_MAGIC
from streams.logs import COMMAND_TOPIC, EVENT_TOPIC, PARTS_BITS, shard_id
from streams.replay_wal import loses_frames

SQLITE_MAGIC: Final = b"SQLite format 3\x00"
PAGE_ROWS_MAX: Final = 512
PAGE_BYTES_MAX: Final = 4 << 20
BUSY_WAIT_S: Final = 10.0
COMPLAINTS_MAX: Final = 10

READ_COMMANDS: Final = (
    "SELECT rowid, originator_id, originator_version, topic, state FROM stored_events"
    " WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?"
)
READ_EVENTS: Final = (
    "SELECT originator_version, topic, state FROM stored_events WHERE originator_id = ?"
    " AND originator_version > ? AND originator_version <= ? ORDER BY originator_version LIMIT ?"
)


class LogUnreadableError(Exception):
    """A log that cannot be read: not there, not SQLite, damaged, or of a newer release."""


class CommandRow(NamedTuple):
    """One row of a command log. `filed_session` and `filed_number` are the row's own key, which the
    batch repeats; a damaged column is `b""` or -1.
    """

    position: int
    filed_session: bytes
    filed_number: int
    topic: bytes
    batch: bytes


class EventRow(NamedTuple):
    """One row of an event log: one part of the EventBatch of `position`."""

    position: int
    part: int
    topic: bytes
    record: bytes


class LogFile:
    """One log file. Not for several threads at once."""

    topic = b""
    magic = b""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wal = path.with_name(path.name + "-wal")
        self._check_head()
        self._connect()
        self._check_rows()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def complaints(self) -> list[str]:
        """What SQLite itself finds wrong with the file's structure and its index, a few at most."""
        try:
            rows = self._connection.execute(f"PRAGMA integrity_check({COMPLAINTS_MAX})").fetchall()
        except sqlite3.Error as error:
            return [str(error)]
        said = [_text(row[0]).strip() for row in rows]
        return [] if said == ["ok"] else said

    def loses_its_end(self) -> bool:
        """Whether its write-ahead file is damaged, and holds more of this log than can be read."""
        try:
            return loses_frames(self.path)
        except OSError as error:
            raise LogUnreadableError(f"{self.path}-wal: {error.strerror}") from error

    # --- opening ----------------------------------------------------------------------------------

    def _check_head(self) -> None:
        try:
            with self.path.open("rb") as file:
                head = file.read(len(SQLITE_MAGIC))
        except FileNotFoundError:
            raise LogUnreadableError(f"there is no {self.path}") from None
        except OSError as error:
            raise LogUnreadableError(f"{self.path}: {error.strerror}") from error
        if head != SQLITE_MAGIC:
            raise LogUnreadableError(f"{self.path} is not an SQLite file")

    def _connect(self) -> None:
        """Without a write-ahead file nobody has the log open, and SQLite need not make one either
        (`immutable`); `_settled` notices when somebody comes.
        """
        self._alone = not self._wal.exists()
        mode = "mode=ro&immutable=1" if self._alone else "mode=ro"
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(self.path.absolute()))}?{mode}",
                uri=True,
                isolation_level=None,
                timeout=BUSY_WAIT_S,
                check_same_thread=False,  # polars writes Parquet from a thread of its own
            )
        except sqlite3.Error as error:
            raise LogUnreadableError(f"{self.path}: {error}") from error
        self._connection.text_factory = bytes  # damaged text need not be UTF-8

    def _check_rows(self) -> None:
        """The first row tells whether it is a log of this kind at all."""
        rows = self._rows("SELECT topic, state FROM stored_events LIMIT 1", ())
        if rows and _bytes(rows[0][0]) != self.topic and _bytes(rows[0][1])[:4] != self.magic:
            raise LogUnreadableError(
                f"{self.path} holds {_text(rows[0][0])!r}, not {self.topic.decode()!r}"
            )

    # --- reading ----------------------------------------------------------------------------------

    def _rows(self, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The first rows that fit a page, and at least one, if any."""
        while True:
            found: list[tuple[Any, ...]] = []
            try:
                self._fill(found, statement, parameters)
            except sqlite3.Error as error:
                # Rows before the damage are sound; whoever asks for those behind it meets it again.
                if self._settled() and not found:
                    raise LogUnreadableError(f"{self.path}: {error}{self._hint()}") from error
            if self._settled():
                return found

    def _fill(
        self, found: list[tuple[Any, ...]], statement: str, parameters: tuple[Any, ...]
    ) -> None:
        size = 0
        with closing(self._connection.execute(statement, parameters)) as cursor:
            for row in cursor:
                found.append(row)
                state = row[-1]
                size += len(state) if isinstance(state, bytes) else 0
                if size > PAGE_BYTES_MAX:
                    return

    def _hint(self) -> str:
        if self._alone or os.access(self.path.parent, os.W_OK):
            return ""
        return " (it has a write-ahead file, which takes a folder that can be written: copy it)"

    def _settled(self) -> bool:
        """Whether what was just read stands. False where an exchange has opened the log meanwhile:
        from here on it is read along with it.
        """
        if not self._alone or not self._wal.exists():
            return True
        self._connection.close()
        self._connect()
        return False


class CommandLogFile(LogFile):
    """A command log."""

    topic = COMMAND_TOPIC.encode()
    magic = COMMAND_MAGIC

    def __init__(self, folder: Path, shard: int) -> None:
        super().__init__(folder / f"commands-{shard}.sqlite")
        self.shard = shard

    def end(self) -> int:
        """The last position, 0 where the log is empty."""
        return _integer(self._rows("SELECT max(rowid) FROM stored_events", ())[0][0], 0)

    def read(self, after: int, until: int) -> Iterator[CommandRow]:
        """The rows after a position, in order, up to `until`; missing positions are left out."""
        while rows := self._rows(READ_COMMANDS, (after, until, PAGE_ROWS_MAX)):
            for position, session, number, topic, batch in rows:
                yield CommandRow(
                    position, _bytes(session), _integer(number), _bytes(topic), _bytes(batch)
                )
            if rows[-1][0] <= after:
                raise LogUnreadableError(f"{self.path}: its rows are out of order")
            after = rows[-1][0]


class EventLogFile(LogFile):
    """An event log."""

    topic = EVENT_TOPIC.encode()
    magic = EVENT_MAGIC

    def __init__(self, folder: Path, shard: int) -> None:
        super().__init__(folder / f"events-{shard}.sqlite")
        self.shard = shard
        self._originator = shard_id(shard).hex

    def end(self) -> int:
        """The last position, 0 where the log is empty."""
        found = self._rows(
            "SELECT max(originator_version) FROM stored_events WHERE originator_id = ?",
            (self._originator,),
        )
        return _integer(found[0][0], 0) >> PARTS_BITS

    def strangers(self) -> tuple[int, int]:
        """How many rows are filed under another shard, or none, and the position of the first."""
        found = self._rows(
            "SELECT count(*), min(originator_version) FROM stored_events"
            " WHERE originator_id IS NOT ?",
            (self._originator,),
        )
        return int(found[0][0]), _integer(found[0][1], 0) >> PARTS_BITS

    def read(self, after: int, until: int) -> Iterator[EventRow]:
        """The rows after a position, in order, up to `until`, found as every follower finds them:
        by the index.
        """
        last = (until << PARTS_BITS) | 0xFFFF
        at = (after << PARTS_BITS) | 0xFFFF
        while rows := self._rows(READ_EVENTS, (self._originator, at, last, PAGE_ROWS_MAX)):
            for version, topic, record in rows:
                filed = _integer(version)
                yield EventRow(filed >> PARTS_BITS, filed & 0xFFFF, _bytes(topic), _bytes(record))
            following = _integer(rows[-1][0])
            if following <= at:
                raise LogUnreadableError(f"{self.path}: its index is out of order")
            at = following

    def batch(self, position: int) -> list[bytes]:
        """The records of one position, in order; empty where the log has none."""
        return [row.record for row in self.read(position - 1, position)]

    def chain_at(self, position: int) -> bytes | None:
        """The running hash that the log tells at a position, None where it has none there."""
        if position == 0:
            return bytes(32)
        records = self.batch(position)
        return records[0][EVENT_CHAIN_AT:EVENT_HEADER_BYTES] if records else None


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _integer(value: object, otherwise: int = -1) -> int:
    return value if isinstance(value, int) else otherwise


def _text(value: object) -> str:
    return _bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
