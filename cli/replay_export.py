"""Rows of commands or events into a file: JSON lines, or Parquet for analysis.

Guarantees: memory is bounded by a few frames of rows, however long the log; the file appears under
its name when it is whole, and not at all where something went wrong.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

import msgspec

from cli.replay_rows import JSON, PLAIN, Form, Row

if TYPE_CHECKING:
    import polars as pl

STDOUT: Final = "-"
FORMATS: Final = ("jsonl", "parquet")
WHAT: Final = ("commands", "events")
BUFFER_BYTES: Final = 1 << 20
FRAME_ROWS: Final = 20_000
GROUP_ROWS: Final = 100_000
FRAMES_WAITING_MAX: Final = 2
LOOK_EVERY_S: Final = 0.2

COMMON: Final = {"position": "i64", "trading_time": "time", "gateway_time": "time"}
ORDER: Final = {
    "account": "i64",
    "instrument": "i64",
    "symbol": "text",
    "order_id": "i64",
    "side": "text",
    "order_type": "text",
    "time_in_force": "text",
    "price_ticks": "i64",
    "quantity": "i64",
    "client_order_id": "text",
}
LISTING: Final = {
    "state": "text",
    "tick_size": "i64",
    "lot_size": "i64",
    "price_collar": "i64",
    "open_orders_max": "i64",
    "killed": "bool",
    "time": "time",
}
COLUMNS: Final = {
    "commands": COMMON
    | {
        "status": "text",
        "session": "text",
        "batch_number": "i64",
        "command_index": "i64",
        "command": "text",
        "undecodable": "text",
    }
    | ORDER
    | {"flags": "i64"}
    | LISTING,
    "events": COMMON
    | {"event_index": "i64", "command_index": "i64", "event": "text"}
    | ORDER
    | {
        "command_type": "text",
        "reason": "text",
        "aggressor_side": "text",
        "aggressor_order_id": "i64",
        "aggressor_account": "i64",
        "aggressor_leaves": "i64",
        "resting_order_id": "i64",
        "resting_account": "i64",
        "resting_leaves": "i64",
        "match_number": "i64",
        "book_sequence": "i64",
        "order_count": "i64",
        "kept_priority": "bool",
        "leaves_quantity": "i64",
        "previous_price_ticks": "i64",
        "previous_leaves_quantity": "i64",
        "executed_quantity": "i64",
        "cancelled_count": "i64",
        "previous_state": "text",
    }
    | LISTING,
}


class ExportError(Exception):
    """The file cannot be written."""


class Export(Protocol):
    """Something that rows are written to; afterwards either `finish` or `abandon` is called."""

    form: Form
    rows: int

    def write(self, rows: Iterable[Row]) -> None:
        """Add rows of this form. Raises ExportError."""
        ...

    def finish(self) -> None:
        """Make the file whole and give it its name. Raises ExportError."""
        ...

    def abandon(self) -> None:
        """Leave no file."""
        ...


def open_export(what: str, form: str, output: str) -> Export:
    """Begin a file of `commands` or `events` as `jsonl` or `parquet`. Raises ExportError."""
    if form == "parquet":
        return ParquetExport(what, Path(output))
    return JsonLinesExport(None if output == STDOUT else Path(output))


class _Partial:
    """The file under a name of its own until it is whole. A pipe or a device is written as it is:
    nothing may take its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        if path.exists() and not path.is_file():
            self.partial = path

    def keep(self) -> None:
        if self.partial != self.path:
            self.partial.replace(self.path)

    def drop(self) -> None:
        if self.partial != self.path:
            self.partial.unlink(missing_ok=True)


class JsonLinesExport:
    """One JSON object a line; `path` None is standard output."""

    form = JSON

    def __init__(self, path: Path | None) -> None:
        self.rows = 0
        self._encoder = msgspec.json.Encoder()
        self._place = None if path is None else _Partial(path)
        try:
            self._file: IO[bytes] = (
                sys.stdout.buffer
                if self._place is None
                else self._place.partial.open("wb", BUFFER_BYTES)
            )
        except OSError as error:
            raise ExportError(f"{path}: {error.strerror}") from error

    def write(self, rows: Iterable[Row]) -> None:
        """Add rows."""
        lines = self._encoder.encode_lines(rows)
        self.rows += lines.count(b"\n")
        try:
            self._file.write(lines)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ExportError(f"cannot write the export: {error.strerror}") from error

    def finish(self) -> None:
        """Flush and name the file."""
        try:
            self._file.flush()
            if self._place is not None:
                self._file.close()
                self._place.keep()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ExportError(f"cannot write the export: {error.strerror}") from error

    def abandon(self) -> None:
        """Leave no file."""
        if self._place is not None:
            # What a full disk left in the buffer cannot be written now either; that was told.
            with contextlib.suppress(OSError):
                self._file.close()
            self._place.drop()


class ParquetExport:
    """Row groups, written by polars' streaming engine in a thread of its own."""

    form = PLAIN

    def __init__(self, what: str, path: Path) -> None:
        self.rows = 0
        self._columns = COLUMNS[what]
        self._place = _Partial(path)
        self._waiting: list[Row] = []
        self._frames: queue.Queue[list[Row] | None] = queue.Queue(FRAMES_WAITING_MAX)
        self._abandoned = False
        self._error: Exception | None = None
        try:
            self._place.partial.touch()
        except OSError as error:
            raise ExportError(f"{path}: {error.strerror}") from error
        self._writer = threading.Thread(target=self._sink, name="parquet", daemon=True)
        self._writer.start()

    def write(self, rows: Iterable[Row]) -> None:
        """Add rows."""
        before = len(self._waiting)
        self._waiting.extend(rows)
        self.rows += len(self._waiting) - before
        if len(self._waiting) >= FRAME_ROWS:
            self._put(self._waiting)
            self._waiting = []

    @property
    def waiting_frames(self) -> int:
        """Frames that polars has not taken yet."""
        return self._frames.qsize()

    def finish(self) -> None:
        """Write what is left, and the file's footer."""
        if self._waiting:
            self._put(self._waiting)
        self._put(None)
        self._writer.join()
        self._raise_error()
        try:
            self._place.keep()
        except OSError as error:
            raise ExportError(f"cannot write the export: {error.strerror}") from error

    def abandon(self) -> None:
        """Leave no file."""
        self._abandoned = True
        while self._writer.is_alive():
            try:
                self._frames.put(None, timeout=LOOK_EVERY_S)
                break
            except queue.Full:
                continue
        self._writer.join()
        self._place.drop()

    def _put(self, frame: list[Row] | None) -> None:
        while self._writer.is_alive():
            try:
                self._frames.put(frame, timeout=LOOK_EVERY_S)
                return
            except queue.Full:
                continue
        self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise ExportError(f"cannot write the export: {self._error}") from self._error

    # --- in the writer's thread -------------------------------------------------------------------

    def _sink(self) -> None:
        from polars.io.plugins import register_io_source

        schema = _schema(self._columns)
        try:
            frames = register_io_source(self._source, schema=schema)
            frames.sink_parquet(self._place.partial, row_group_size=GROUP_ROWS)
        except Exception as error:  # noqa: BLE001 - raised again where the rows come from
            self._error = error

    def _source(
        self,
        with_columns: list[str] | None,
        predicate: Any,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        """What polars pulls: every column, every row, in order."""
        assert with_columns is None and predicate is None and n_rows is None
        import polars as pl

        schema = _schema(self._columns)
        integers = {
            name: pl.Int64() if kind == "time" else schema[name]
            for name, kind in self._columns.items()
        }
        while not self._abandoned:
            rows = self._frames.get()
            if rows is None:
                return
            yield pl.DataFrame(rows, schema=integers, orient="row").cast(schema)


def _schema(columns: dict[str, str]) -> dict[str, pl.DataType]:
    import polars as pl

    types: dict[str, pl.DataType] = {
        "i64": pl.Int64(),
        "text": pl.String(),
        "bool": pl.Boolean(),
        "time": pl.Datetime("ns", "UTC"),
    }
    return {name: types[kind] for name, kind in columns.items()}
