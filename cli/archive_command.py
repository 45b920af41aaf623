"""`crossbook archive`: the event log as Parquet by day and symbol, as far as it has come.

Guarantees: each call goes on where the last one ended; one that finds nothing new writes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.rebuild import ClosableSource
    from domain.batch import EventBatch
    from projections.archive import Archive

READ_BATCHES = 64
BATCHES_MAX = 5_000
BYTES_MAX = 64_000_000


def archive(
    folder: Annotated[
        Path, typer.Argument(help="Folder of the archive; made where it is missing.")
    ],
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir", help="Folder of the exchange. Default: CROSSBOOK_DATA_DIR or ./data."
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Write nothing: compare the files with the manifest and log."
        ),
    ] = False,
) -> None:
    """Write what is new in the event log as Parquet files by trading day and symbol.

    Trades and level changes are under public/, orders, executions and order events (with accounts)
    under private/. Works beside a running exchange. Exit code 1 where --verify finds a trouble.
    """
    from cli.main import EXIT_FAILED, load_settings, told_in_a_line
    from cli.rebuild import sources_of
    from projections.archive import Archive

    settings = load_settings(data_dir)
    with told_in_a_line():
        sources = sources_of(settings)
        try:
            kept = Archive(folder)
            troubles = 0
            if verify:
                troubles = _verify(kept, sources)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                for source in sources:
                    _extend(kept, source)
        finally:
            for source in sources:
                source.close()
    if troubles:
        raise typer.Exit(EXIT_FAILED)


def _extend(archive: Archive, source: ClosableSource) -> None:
    """Archive the shard's log to its present end. Raises ForkError."""
    _expect_same_history(archive, source)
    rows, before = 0, archive.position(source.shard).position
    end = source.tail().position
    while (at := archive.position(source.shard).position) < end:
        taken = _taken(source, at, end)
        if not taken:
            break
        rows += archive.add(source.shard, taken)
    after = archive.position(source.shard).position
    told = f"positions {before + 1:,} to {after:,}"
    if after == before:
        told = f"nothing new after {after:,}"
    print(f"shard {source.shard}: {told}, {rows:,} rows")


def _taken(source: ClosableSource, at: int, end: int) -> list[EventBatch]:
    """The next batches after `at`, for one file a day and symbol: bounded in number and bytes."""
    taken: list[EventBatch] = []
    size = 0
    while at < end and size <= BYTES_MAX and len(taken) < BATCHES_MAX:
        batches = [each for each in source.read(at, READ_BATCHES) if each.position <= end]
        if not batches:
            break
        taken += batches
        size += sum(len(each.record) for each in batches)
        at = batches[-1].position
    return taken


def _expect_same_history(archive: Archive, source: ClosableSource) -> None:
    from domain.batch import START, ForkError

    at = archive.position(source.shard)
    if at == START:
        return
    batch = source.at(at.position)
    if batch is None or batch.header.chain != at.chain:
        raise ForkError(
            f"shard {source.shard}: the archive's position {at.position} is of another history "
            "than the log's: archive into another folder"
        )


def _verify(archive: Archive, sources: list[ClosableSource]) -> int:
    """Say what is wrong, and how much there is; the number of troubles."""
    troubles = list(archive.wrong())
    for source in sources:
        _expect_same_history(archive, source)
    for trouble in troubles:
        print(trouble)
    rows = sum(file.rows for file in archive.manifest.files)
    print(f"{len(archive.manifest.files):,} files, {rows:,} rows, {len(troubles)} troubles")
    return len(troubles)
