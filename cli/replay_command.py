"""`crossbook replay` and `crossbook explain` as commands: options in, lines and an exit code out.

Exit codes of both: 0 equal (or told), 1 differs (or no such order), 2 usage, or the output cannot
be written, 3 a log cannot be read. Heavy imports are inside, so that `--help` is quick.
"""

from __future__ import annotations

import json as jsonlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from cli.replay import ReplayOptions, ReplayResult, SnapshotSource
    from cli.replay_places import LogPlace
    from streams.replay import Progress as Shown

EXIT_DIFFERS: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREADABLE: Final = 3
EXIT_INTERRUPTED: Final = 130
NS: Final = 10**9
TIME_NS_MAX: Final = 2**63 - 1
FRACTION: Final = re.compile(r"[.,](\d+)")

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder of the exchange. Default: CROSSBOOK_DATA_DIR or ./data."
    ),
]
LogDir = Annotated[
    Path | None, typer.Option("--log-dir", help="Folder of the logs, such as a copy.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
ToPosition = Annotated[
    int | None, typer.Option(min=0, help="Stop behind this position; default: the log's end.")
]
ToTime = Annotated[
    str | None, typer.Option(help="Stop where trading time passes this: ISO 8601 or ns.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Compare the event log with a fresh run, bit for bit.")
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="jsonl or parquet; default: after the file's name."),
]
Output = Annotated[
    str | None, typer.Option(help="File of the export; - is standard output (jsonl).")
]
FromPosition = Annotated[int | None, typer.Option(min=1, help="First position that is exported.")]
PrintPosition = Annotated[
    int | None,
    typer.Option("--print", min=1, help="Print both batches of a position, and no more."),
]
FromSnapshot = Annotated[
    bool, typer.Option("--from-snapshot", help="Begin at the newest snapshot that serves.")
]


class BadOptionError(Exception):
    """Options that cannot be, or not together."""


@contextmanager
def told() -> Iterator[None]:
    """Turn what can go wrong into one line and an exit code."""
    from cli.main import fail
    from cli.replay_export import ExportError
    from cli.replay_look import UsageError
    from streams.replay_logs import LogUnreadableError

    try:
        yield
    except (BadOptionError, UsageError, ExportError) as error:
        fail(str(error), EXIT_USAGE)
    except LogUnreadableError as error:
        fail(str(error), EXIT_UNREADABLE)
    except BrokenPipeError:
        # Whoever read this has seen enough; what is still to be flushed goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_USAGE) from None
    except KeyboardInterrupt:
        fail("interrupted", EXIT_INTERRUPTED)


def time_ns_of(text: str) -> int:
    """Nanoseconds since 1970: digits as they are, else ISO 8601, in UTC where it names no zone.

    Raises BadOptionError."""
    if text.isdigit():
        if int(text) > TIME_NS_MAX:
            raise BadOptionError(f"--to-time: {text} is past 2262")
        return int(text)
    fraction = FRACTION.search(text)
    digits = fraction.group(1) if fraction else ""
    try:
        at = datetime.fromisoformat(FRACTION.sub("", text, count=1))
    except ValueError:
        at = None
    if at is None or len(digits) > 9:
        raise BadOptionError(
            f"--to-time is ISO 8601 (2026-11-23T09:30:00.5Z) or nanoseconds since 1970; "
            f"not {text!r}"
        )
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    time_ns = (since.days * 86_400 + since.seconds) * NS + int(digits.ljust(9, "0"))
    if not 0 <= time_ns <= TIME_NS_MAX:
        raise BadOptionError(f"--to-time: {text} is not between 1970 and 2262")
    return time_ns


def replay(
    data_dir: DataDir = None,
    log_dir: LogDir = None,
    shard: Annotated[int, typer.Option(min=0, max=254, help="Shard to replay.")] = 0,
    to_position: ToPosition = None,
    to_time: ToTime = None,
    verify: Verify = False,
    book: Annotated[str | None, typer.Option(help="Symbol of the book to show.")] = None,
    depth: Annotated[int, typer.Option(min=1, help="Price levels of the book.")] = 10,
    export: Annotated[str | None, typer.Option(help="Write commands or events to a file.")] = None,
    form: Format = None,
    output: Output = None,
    from_position: FromPosition = None,
    print_position: PrintPosition = None,
    from_snapshot: FromSnapshot = False,
    json: AsJson = False,
) -> None:
    """Rebuild a shard from its command log, to any position or time; verify its event log.

    Prints the state hash there. Reads only, also beside a running exchange. Exit code 0: equal, 1:
    the event log differs, 2: usage, 3: a log cannot be read.
    """
    from cli.main import load_settings
    from cli.replay import ReplayOptions
    from cli.replay_places import place_of

    settings = load_settings(data_dir, log_dir=log_dir)
    with told():
        if print_position is not None:
            others = (to_position, to_time, book, export, form, output, from_position)
            if verify or from_snapshot or any(each is not None for each in others):
                raise BadOptionError("--print goes with --shard, --log-dir and --json alone")
            _print_batch(place_of(settings, log_dir), shard, print_position, json)
            return
        if to_position is not None and to_time is not None:
            raise BadOptionError("--to-position or --to-time, not both")
        if from_snapshot and (verify or export is not None):
            raise BadOptionError("--from-snapshot leaves out what --verify and --export need")
        form = _form_of(export, form, output, from_position, settings.logs)
        options = ReplayOptions(
            shard=shard,
            to_position=to_position,
            to_time_ns=None if to_time is None else time_ns_of(to_time),
            verify=verify,
            book=book,
            depth=depth,
            export=export,
            form=form,
            output=output or "",
            from_position=from_position or 1,
        )
        result = _run(settings, place_of(settings, log_dir), options, from_snapshot)
        _print(result, json, sys.stderr if output == "-" else sys.stdout)
    if not result.equal:
        raise typer.Exit(EXIT_DIFFERS)
    if result.unreadable:
        raise typer.Exit(EXIT_UNREADABLE)


def _form_of(
    export: str | None,
    form: str | None,
    output: str | None,
    from_position: int | None,
    logs: Path,
) -> str:
    """The format of the export, once its options are known to be sound."""
    from cli.replay_export import FORMATS, STDOUT, WHAT

    if export is None:
        if form is not None or output is not None or from_position is not None:
            raise BadOptionError("--format, --output and --from-position go with --export")
        return FORMATS[0]
    if export not in WHAT:
        raise BadOptionError(f"--export is {' or '.join(WHAT)}; not {export!r}")
    if output is None:
        raise BadOptionError("--export needs --output FILE (or - for standard output)")
    if form is None:
        form = "parquet" if output.endswith(".parquet") else "jsonl"
    if form not in FORMATS:
        raise BadOptionError(f"--format is {' or '.join(FORMATS)}; not {form!r}")
    if output == STDOUT and form == "parquet":
        raise BadOptionError("a Parquet file needs a name: --output FILE")
    path = Path(output).absolute()
    if output != STDOUT and (path.is_dir() or path.resolve().parent == logs.resolve()):
        raise BadOptionError(f"--output {output}: not a folder, and not among the logs")
    return form


def _run(
    settings: Any, place: LogPlace, options: ReplayOptions, from_snapshot: bool
) -> ReplayResult:
    from cli.replay import replay as run

    source = _snapshots(settings) if from_snapshot else nullcontext()
    with source as snapshots, _shown_progress() as progress:
        return run(place, options, progress=progress, snapshots=snapshots)


@contextmanager
def _snapshots(settings: Any) -> Iterator[SnapshotSource]:
    """The snapshots of the running exchange, or of the PostgreSQL that the settings name."""
    import psycopg

    from cli.run_state import RunFolder
    from projections.snapshots import SnapshotStore

    folder = RunFolder(settings.data_dir)
    state = folder.read_state() if folder.is_locked() else None
    dsn = settings.postgres_dsn or (state.postgres_dsn if state is not None else "")
    if not dsn:
        raise BadOptionError(
            "snapshots are in PostgreSQL: start the exchange, or name CROSSBOOK_POSTGRES_DSN"
        )
    store = SnapshotStore(dsn)
    try:
        yield store
    except psycopg.Error as error:
        raise BadOptionError(f"the snapshots cannot be read: {' '.join(str(error).split())}") from (
            error
        )
    finally:
        store.close()


@contextmanager
def _shown_progress() -> Iterator[Shown | None]:
    """A progress bar where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("replay"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=None, told="")

        def show(position: int, until: int, commands: int) -> None:
            told = f"{position:,} of {until:,} batches, {commands:,} commands"
            bar.update(task, completed=position, total=until, told=told)

        yield show


def _print(result: ReplayResult, json: bool, out: Any) -> None:
    from cli.replay_report import json_of, lines_of

    if json:
        print(jsonlib.dumps(json_of(result)), file=out)
    else:
        print("\n".join(lines_of(result)), file=out)


def _print_batch(place: LogPlace, shard: int, position: int, compact: bool) -> None:
    from cli.replay_directory import Names
    from cli.replay_look import print_batch

    names = Names(place)
    printed = print_batch(place, shard, position, names.symbol)
    print(jsonlib.dumps(printed, indent=None if compact else 1))


def explain(
    order: Annotated[
        str, typer.Argument(metavar="ORDER", help="Order id, or client:ID with the two below.")
    ],
    data_dir: DataDir = None,
    log_dir: LogDir = None,
    account: Annotated[
        str | None, typer.Option(help="Account of a client:ID, its number or name.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol of a client:ID.")] = None,
    json: AsJson = False,
) -> None:
    """Tell an order's life from the logs: each event, whom it met, why it traded or did not.

    Shows accounts: it is for whoever runs the exchange. Exit code 1: no such order, 2: usage, 3: a
    log cannot be read.
    """
    from cli.explain import explain_order, named_order
    from cli.explain_report import json_of, lines_of
    from cli.main import fail, load_settings
    from cli.replay_places import place_of

    settings = load_settings(data_dir, log_dir=log_dir)
    with told():
        wanted = named_order(order, account, symbol)
        with _shown_progress() as progress:
            story = explain_order(place_of(settings, log_dir), wanted, progress=progress)
        if isinstance(story, str):
            fail(story, EXIT_DIFFERS)
        print(jsonlib.dumps(json_of(story)) if json else "\n".join(lines_of(story)))
