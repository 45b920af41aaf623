"""The archive: the event log as Parquet files by trading day and symbol.

Guarantees: a file appears whole or not at all; the manifest, replaced in one step, names every file
that counts, with its hash and rows, and how far each shard is (position, chain). What a stopped run
left behind is written again under the same name. A log with another history is refused. Public
tables (trades, level changes) hold no account and no order; private ones are a folder apart.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import polars as pl

from domain.batch import START, EventBatch, ForkError, Position, SinkError
from domain.events import (
    InstrumentListed,
    LevelChanged,
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
)

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
DAY_NS: Final = 86_400_000_000_000
WHEN: Final = {"position": pl.Int64, "time_ns": pl.Int64, "trading_time_ns": pl.Int64}
MATCH: Final = {
    "match_number": pl.Int64,
    "price_ticks": pl.Int64,
    "quantity": pl.Int64,
    "aggressor_side": pl.Int64,
    "book_sequence": pl.Int64,
}
SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "public/trades": WHEN | MATCH,
    "public/level_changes": WHEN
    | {
        "book_sequence": pl.Int64,
        "side": pl.Int64,
        "price_ticks": pl.Int64,
        "quantity": pl.Int64,
        "order_count": pl.Int64,
    },
    "private/executions": WHEN
    | MATCH
    | {
        "aggressor_order_id": pl.Int64,
        "aggressor_account": pl.Int64,
        "aggressor_leaves": pl.Int64,
        "resting_order_id": pl.Int64,
        "resting_account": pl.Int64,
        "resting_leaves": pl.Int64,
    },
    "private/orders": WHEN
    | {
        "order_id": pl.Int64,
        "account": pl.Int64,
        "client_order_id": pl.String,
        "side": pl.Int64,
        "order_type": pl.Int64,
        "time_in_force": pl.Int64,
        "price_ticks": pl.Int64,
        "quantity": pl.Int64,
        "reason": pl.Int64,
    },
    "private/order_events": WHEN
    | {
        "command_index": pl.Int64,
        "order_id": pl.Int64,
        "account": pl.Int64,
        "event": pl.String,
        "side": pl.Int64,
        "price_ticks": pl.Int64,
        "quantity": pl.Int64,
        "reason": pl.Int64,
        "book_sequence": pl.Int64,
    },
}


class ArchivedFile(msgspec.Struct, frozen=True):
    """One file: its path in the archive, rows, SHA-256, shard and range of positions."""

    path: str
    rows: int
    sha256: str
    shard: int
    first_position: int
    last_position: int


class Manifest(msgspec.Struct):
    """What the archive holds. `shards`: position and chain (hex) by shard number; `symbols`:
    instrument numbers by shard."""

    format: int = FORMAT
    shards: dict[str, tuple[int, str]] = {}
    symbols: dict[str, dict[str, str]] = {}
    files: list[ArchivedFile] = []


class Archive:
    """An archive folder; one writer at a time. Raises SinkError where its manifest is not ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = Manifest()
        path = folder / MANIFEST
        if path.exists():
            try:
                self.manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
            except msgspec.DecodeError as error:
                raise SinkError(f"{path} is damaged: {error}") from error
            if self.manifest.format > FORMAT:
                raise SinkError(f"{path} is of a newer release")

    def position(self, shard: int) -> Position:
        """How far a shard is archived."""
        found = self.manifest.shards.get(str(shard))
        return START if found is None else Position(found[0], bytes.fromhex(found[1]))

    def add(self, shard: int, batches: Sequence[EventBatch]) -> int:
        """Write contiguous batches behind the shard's position; the rows written.

        Raises ForkError where they do not follow it.
        """
        before = self.position(shard)
        if batches[0].position != before.position + 1:
            raise ForkError(f"position {before.position + 1} of shard {shard} is missing")
        symbols = self.manifest.symbols.setdefault(str(shard), {})
        tables = _rows_of(batches, symbols)
        span = (batches[0].position, batches[-1].position)
        files = [
            self._write(key, rows, shard, span) for key, rows in sorted(tables.items()) if rows
        ]
        self.manifest.files.extend(files)
        at = batches[-1].at
        self.manifest.shards[str(shard)] = (at.position, at.chain.hex())
        self._write_manifest()
        return sum(file.rows for file in files)

    def wrong(self) -> Iterator[str]:
        """What is not as the manifest says, one line a trouble: files missing, changed, short."""
        for file in self.manifest.files:
            path = self.folder / file.path
            if not path.exists():
                yield f"{file.path} is missing"
            elif sha256_of(path) != file.sha256:
                yield f"{file.path} has other bytes than were written"
            elif pl.scan_parquet(path).select(pl.len()).collect().item() != file.rows:
                yield f"{file.path} has not {file.rows} rows"

    def scan(self, table: str, symbol: str) -> pl.LazyFrame:
        """All rows of one table and symbol, lazily; without rows where there are none."""
        inside = f"/symbol={folder_name(symbol)}/"
        paths = [
            self.folder / file.path
            for file in self.manifest.files
            if file.path.startswith(table + "/") and inside in file.path
        ]
        if not paths:
            return pl.LazyFrame(schema=SCHEMAS[table])
        return pl.scan_parquet(paths)

    def symbols(self) -> list[str]:
        """Every symbol that was listed."""
        return sorted({name for shard in self.manifest.symbols.values() for name in shard.values()})

    def _write(
        self,
        key: tuple[str, int, str],
        rows: list[tuple[Any, ...]],
        shard: int,
        span: tuple[int, int],
    ) -> ArchivedFile:
        table, day, symbol = key
        name = f"{shard}-{span[0]:012d}-{span[1]:012d}.parquet"
        its_day = date(1970, 1, 1) + timedelta(days=day)
        path = Path(table) / f"day={its_day}" / f"symbol={folder_name(symbol)}" / name
        whole = self.folder / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        partial = whole.with_name(f".{name}.part")
        frame = pl.DataFrame(rows, schema=SCHEMAS[table], orient="row")
        frame.write_parquet(partial, compression="zstd")
        _to_disk(partial)
        partial.replace(whole)
        return ArchivedFile(str(path), len(rows), sha256_of(whole), shard, *span)

    def _write_manifest(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{MANIFEST}.part"
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self.manifest), indent=1))
        _to_disk(partial)
        partial.replace(self.folder / MANIFEST)


def folder_name(symbol: str) -> str:
    """A symbol as a folder's name: `BRK/A` is `BRK%2FA`."""
    return quote(symbol, safe="")


def sha256_of(path: Path) -> str:
    """The file's SHA-256, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


Tables = dict[tuple[str, int, str], list[tuple[Any, ...]]]


def _rows_of(batches: Sequence[EventBatch], symbols: dict[str, str]) -> Tables:
    """Rows by table, day and symbol. `symbols` learns what is listed on the way."""
    tables: Tables = {}
    for batch in batches:
        header = batch.header
        when = (batch.position, header.audit_timestamp_ns, header.trading_time_ns)
        day = header.trading_time_ns // DAY_NS
        for event in batch.events():
            if isinstance(event, InstrumentListed):
                symbols[str(event.instrument)] = event.symbol.decode("ascii")
            for table, row in _rows_of_event(event):
                symbol = symbols.get(str(getattr(event, "instrument", 0)))
                if symbol is not None:
                    tables.setdefault((table, day, symbol), []).append((*when, *row))
    return tables


def _rows_of_event(event: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if isinstance(event, LevelChanged):
        level = (event.side, event.price_ticks, event.quantity, event.order_count)
        yield "public/level_changes", (event.book_sequence, *level)
    elif isinstance(event, OrderExecuted):
        match = (event.match_number, event.price_ticks, event.quantity, event.aggressor_side)
        match = (*match, event.book_sequence)
        aggressor = (event.aggressor_order_id, event.aggressor_account, event.aggressor_leaves)
        resting = (event.resting_order_id, event.resting_account, event.resting_leaves)
        yield "public/trades", match
        yield "private/executions", (*match, *aggressor, *resting)
    elif isinstance(event, OrderAccepted | OrderRejected):
        yield from _rows_of_submit(event)
    elif isinstance(event, OrderReplaced):
        yield _event_row(event, "replaced", event.leaves_quantity, 0, event.book_sequence)
    elif isinstance(event, OrderCancelled | OrderExpired):
        kind = "cancelled" if isinstance(event, OrderCancelled) else "expired"
        yield _event_row(event, kind, event.quantity, event.reason, event.book_sequence)


def _rows_of_submit(event: OrderAccepted | OrderRejected) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """An accepted or refused submit; of a refused cancel or replace the event alone."""
    accepted = isinstance(event, OrderAccepted)
    reason = 0 if isinstance(event, OrderAccepted) else event.reason
    sequence = event.book_sequence if isinstance(event, OrderAccepted) else None
    command = 1 if isinstance(event, OrderAccepted) else event.command_type
    if command not in (1, 2, 3):
        return
    refused = {1: "rejected", 2: "cancel_refused", 3: "replace_refused"}[command]
    kind = "accepted" if accepted else refused
    if command == 1:
        name = event.client_order_id.decode("ascii", "replace") or None
        terms = (event.side, event.order_type, event.time_in_force)
        head = (event.order_id, event.account, name, *terms)
        yield "private/orders", (*head, event.price_ticks, event.quantity, reason)
    yield _event_row(event, kind, event.quantity, reason, sequence)


def _event_row(
    event: Any, kind: str, quantity: int, reason: int, sequence: int | None
) -> tuple[str, tuple[Any, ...]]:
    head = (event.command_index, event.order_id, event.account, kind, event.side)
    return "private/order_events", (*head, event.price_ticks, quantity, reason, sequence)
