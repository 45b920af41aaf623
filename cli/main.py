"""The `crossbook` command: the composition root. Every command says in one line what went wrong.

Heavy imports are inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from pydantic import ValidationError

from cli.analyse_command import analyse
from cli.api_command import api
from cli.archive_command import archive
from cli.audit_command import audit
from cli.clock_command import app as clock_app
from cli.cluster_command import app as cluster_app
from cli.db_command import app as db_app
from cli.listen_command import listen, symbols_in
from cli.replay_command import explain, replay
from cli.run_state import AlreadyRunningError, Credential, NotRunningError, RunFolder
from cli.topics_command import topics
from cli.ui_command import ui
from cli.worker import app as worker_app

if TYPE_CHECKING:
    from cli.settings import Settings

EXIT_FAILED = 1
RECORD_SECONDS = 60.0
EXIT_USAGE = 2
ROLES = {
    "api": ("cli.roles", "run_api"),
    "matching": ("cli.roles", "run_matching"),
    "projections": ("cli.roles", "run_projections"),
    "multicast": ("cli.roles", "run_multicast"),
    "simulator": ("cli.role_simulator", "run_simulator"),
}

app = typer.Typer(
    name="crossbook",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An event-sourced equity exchange on your machine.\n\n"
    "Start it with `crossbook up`; everything else talks to the one that runs. Settings come from "
    "the environment (CROSSBOOK_PORT, CROSSBOOK_DATA_DIR, ...; see docs/settings.md).",
)

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder of the exchange. Default: CROSSBOOK_DATA_DIR or ./data."
    ),
]


class Failure(Exception):
    """Something to tell the user in one line."""


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """Say what went wrong and end."""
    print(f"crossbook: {message}", file=sys.stderr)
    raise typer.Exit(code)


@contextmanager
def told_in_a_line() -> Iterator[None]:
    """Turn every error that a user can cause or cure into one line and an exit code."""
    import psycopg
    import redis
    from eventsourcing.persistence import PersistenceError

    from cli.play_commands import UnreadableFileError
    from cli.servers import ServerError
    from cli.simulate import NothingToSimulateError
    from commands.directory.terms import DirectoryError
    from crossbook_client import CrossbookError
    from domain.batch import SinkError

    told = (
        Failure,
        NotRunningError,
        AlreadyRunningError,
        UnreadableFileError,
        NothingToSimulateError,
        ServerError,
        DirectoryError,
        SinkError,
        CrossbookError,
        PersistenceError,
        OSError,
        psycopg.Error,
        redis.RedisError,
    )
    try:
        yield
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except told as error:
        said = str(error).strip() or type(error).__name__
        fail(" ".join(said.split()) if not isinstance(error, ServerError) else said)


def load_settings(data_dir: Path | None, **changes: object) -> Settings:
    """The settings of the environment, with what the command line changed."""
    from cli.settings import Settings

    given = {name: value for name, value in changes.items() if value is not None}
    if data_dir is not None:
        given["data_dir"] = data_dir
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "CROSSBOOK_" + "_".join(str(part) for part in first["loc"]).upper()
        fail(f"{name}: {first['msg']} (it is {first.get('input')!r})", EXIT_USAGE)


def quiet_servers() -> None:
    """Let servers that start and stop as they should do so without a word."""
    import structlog

    level = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=level)


def credential(folder: RunFolder, name: str) -> Credential:
    """A key that `up` stored."""
    try:
        found = folder.read_credentials().get(name)
    except ValueError as error:
        raise Failure(str(error)) from error
    if found is None:
        raise Failure(f"no key of account {name!r} in {folder.credentials_path}")
    return found


@app.command()
def up(
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="Port of the API, or the next free one.")] = None,
    no_simulate: Annotated[
        bool, typer.Option("--no-simulate", help="Do not start the simulator.")
    ] = False,
) -> None:
    """Start the exchange and show trades until Ctrl-C.

    Starts PostgreSQL, Redis and one process each for matching, projections and the API; the first
    time it opens accounts and lists some fifty instruments. Keys are in DATA_DIR/credentials.json,
    logs of the processes in DATA_DIR/logs.
    """
    from cli.supervisor import Supervisor, say_line

    settings = load_settings(data_dir, port=port, simulate_rate=0.0 if no_simulate else None)
    quiet_servers()
    with told_in_a_line():
        code = Supervisor(settings, say_line).run()
    raise typer.Exit(code)


@app.command()
def status(
    data_dir: DataDir = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the running exchange: address, processes, positions, lags and rates.

    Exit code 0 when everything runs and is caught up, 1 otherwise.
    """
    from cli.status import collect, lines_of

    settings = load_settings(data_dir)
    with told_in_a_line():
        found = collect(RunFolder(settings.data_dir))
        if json:
            print(found.as_json())
        else:
            print("\n".join(lines_of(found)))
        if not found.healthy:
            raise typer.Exit(EXIT_FAILED)


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """Check this machine and the data folder; say what to do about each trouble.

    Exit code 1 where something would keep the exchange from running.
    """
    from cli.doctor import examine, line_of

    settings = load_settings(data_dir)
    with told_in_a_line():
        findings = list(examine(settings))
        for finding in findings:
            print(line_of(finding))
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def simulate(
    data_dir: DataDir = None,
    symbols: Annotated[
        str,
        typer.Option(help="Symbols separated by commas, or how many; default: all with a price."),
    ] = "",
    rate: Annotated[float, typer.Option(min=0.1, help="Commands a second.")] = 100.0,
    duration: Annotated[float, typer.Option(min=0.0, help="Seconds; 0 is until Ctrl-C.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same commands.")] = 1,
    record: Annotated[
        Path | None,
        typer.Option(help="Write PREFIX_message_1.csv and PREFIX_orderbook_1.csv (LOBSTER)."),
    ] = None,
) -> None:
    """Send a random flow of orders to the running exchange.

    Limit, market, IOC and FOK orders, cancels and replaces about a wandering price a symbol. It
    trades with the key of the account `simulator`, and shows live rates. With --record nothing is
    sent: the flow of one symbol is written to files that `play` can trade.
    """
    if record is not None:
        _record(record, rate=rate, duration_s=duration or RECORD_SECONDS, seed=seed)
        return
    from cli.simulate_display import run_shown

    settings = load_settings(data_dir)
    with told_in_a_line():
        folder = RunFolder(settings.data_dir)
        state = folder.running()
        key = credential(folder, "simulator").key
        wanted = symbols_in(symbols)
        run_shown(state.url, key, symbols=wanted, rate=rate, seed=seed, duration_s=duration or None)


def _record(prefix: Path, *, rate: float, duration_s: float, seed: int) -> None:
    from cli.simulate_record import record

    with told_in_a_line():
        messages, orderbook, count = record(prefix, rate=rate, duration_s=duration_s, seed=seed)
    print(f"{count:,} messages in {messages}, as many states in {orderbook}")


@app.command()
def play(
    file: Annotated[
        Path, typer.Argument(help="LOBSTER messages (.csv) or a tape (.bin); .xz too.")
    ],
    data_dir: DataDir = None,
    speed: Annotated[str, typer.Option(help="File time to wall time, such as 10; or max.")] = "max",
    symbol: Annotated[
        str | None, typer.Option(help="Symbol to trade on; default: a fresh one is listed.")
    ] = None,
    orderbook: Annotated[
        Path | None,
        typer.Option(help="The file's own LOBSTER orderbook; default: a plain book is kept."),
    ] = None,
) -> None:
    """Trade a recorded file through the running exchange and compare the books.

    At the end the exchange's distinct top-of-book states are set against the file's by longest
    common subsequence. Exit code 1 where something was lost or less than 97.5 % agree.
    """
    from cli import play as playing

    settings = load_settings(data_dir)
    options = playing.PlayOptions(file, _speed_of(speed), symbol, orderbook)
    with told_in_a_line():
        playing.open_file(file)
        folder = RunFolder(settings.data_dir)
        report = asyncio.run(
            playing.play(
                options,
                url=folder.running().url,
                trade_key=credential(folder, "player").key,
                admin_key=credential(folder, "admin").key,
                say=_say,
            )
        )
        for line in playing.lines_of(report):
            print(line)
    if not report.passed:
        raise typer.Exit(EXIT_FAILED)


def _say(text: str) -> None:
    print(text, flush=True)


def _speed_of(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < 1e9:
        fail(f"--speed is a number above 0, or max; not {text!r}", EXIT_USAGE)
    return speed


@app.command()
def rebuild(
    name: Annotated[str, typer.Argument(help="redis, postgres or multicast.")],
    data_dir: DataDir = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace one that claims to be further than the log."),
    ] = False,
) -> None:
    """Build a read model again from the event log, while the exchange runs.

    Readers see the old one until the new one is as far.
    """
    from cli import rebuild as rebuilding

    if name not in rebuilding.NAMES:
        fail(f"no read model {name!r}; there are {', '.join(rebuilding.NAMES)}", EXIT_USAGE)
    settings = load_settings(data_dir)
    with told_in_a_line():
        stores = rebuilding.stores_of(settings)
        reached = rebuilding.rebuild(name, settings, stores, force=force, say=_say)
    for shard, position in reached.items():
        print(f"{name}, shard {shard}: built again to position {position:,}")


app.command()(archive)
app.command()(analyse)
app.command()(replay)
app.command()(explain)
app.command()(listen)
app.command()(api)
app.command()(audit)
app.command()(topics)
app.command()(ui)
app.add_typer(clock_app, name="clock")
app.add_typer(cluster_app, name="cluster")
app.add_typer(db_app, name="db")
app.add_typer(worker_app, name="worker")


@app.command()
def reset(
    data_dir: DataDir = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete everything that the exchange keeps in its data folder. Asks first.

    Orders, trades, accounts and keys are gone for good. Refuses while the exchange runs.
    """
    from cli.reset import delete, what_would_go

    settings = load_settings(data_dir)
    with told_in_a_line():
        entries = what_would_go(settings)
        if not entries:
            print(f"nothing to delete in {settings.data_dir}")
            return
        print(f"In {settings.data_dir.absolute()}:", ", ".join(each.name for each in entries))
        if not yes and not typer.confirm("Delete all of it?", default=False):
            fail("nothing was deleted")
        quiet_servers()
        delete(settings)
        print("deleted")


@app.command(hidden=True)
def role(name: str) -> None:
    """Run one process of the exchange; `up` starts these."""
    if name not in ROLES:
        fail(f"no role {name!r}; there are {', '.join(ROLES)}", EXIT_USAGE)
    module, function = ROLES[name]
    # Only this role's imports: the simulator needs no database driver, matching no web server.
    getattr(import_module(module), function)(load_settings(None))


if __name__ == "__main__":
    app()
