"""`crossbook listen`: what it may be told, and how that becomes a listener's options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from crossbook_client.feed import Address, FeedShard, ListenOptions

EXIT_USAGE = 2
DEPTH = 10


def listen(
    url: Annotated[
        str | None, typer.Option(help="An exchange's API; default: the one of --data-dir.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Default: CROSSBOOK_DATA_DIR or ./data.")
    ] = None,
    group_a: Annotated[
        str | None, typer.Option(help="Line A as GROUP:PORT, instead of asking an API.")
    ] = None,
    group_b: Annotated[str | None, typer.Option(help="Line B as GROUP:PORT.")] = None,
    rerequest: Annotated[
        str | None, typer.Option(help="HOST:PORT of the re-request server, without an API.")
    ] = None,
    snapshot: Annotated[
        str | None, typer.Option(help="HOST:PORT of the snapshot service, without an API.")
    ] = None,
    session: Annotated[
        str, typer.Option(help="Session to listen to, without an API; default: the first heard.")
    ] = "",
    line: Annotated[str, typer.Option(help="A, B or both.")] = "both",
    interface: Annotated[
        str | None, typer.Option(help="Interface or its address; default: the one to the API.")
    ] = None,
    shard: Annotated[
        list[int] | None, typer.Option(min=0, help="Only this shard; may be repeated.")
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="All messages of the session, no snapshot.")
    ] = False,
    record: Annotated[Path | None, typer.Option(help="Write an ITCH file.")] = None,
    from_file: Annotated[
        Path | None, typer.Option(help="Read an ITCH file (.gz too) instead of listening.")
    ] = None,
    duration: Annotated[float, typer.Option(min=0.0, help="Seconds; 0 is until Ctrl-C.")] = 0.0,
    symbols: Annotated[str, typer.Option(help="Show only these, separated by commas.")] = "",
    depth: Annotated[
        int, typer.Option(min=0, help="Levels a side in the JSON summary; 0: all.")
    ] = DEPTH,
    json: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on standard output.")
    ] = False,
) -> None:
    """Keep the books of an exchange from its multicast feed, and show them.

    Lost packets are recovered: by the other line, re-request, HTTP, snapshot. Ends with a summary
    of what was, and how. Exit code 1 where messages are missing for good, or nothing was heard.
    """
    from cli.listen import Shown, listen_live, read_file
    from cli.main import told_in_a_line

    _one_source(url, group := group_a or group_b, from_file)
    _fitting(group, rerequest or snapshot, session, from_file and record)
    shown = Shown(symbols=symbols_in(symbols), depth=depth, as_json=json)
    with told_in_a_line():
        if from_file is not None:
            sound = read_file(from_file, shown)
        else:
            options = _options(
                _described((group_a, group_b), session, rerequest, snapshot),
                (url, data_dir),
                lines=_lines(line),
                interface=interface,
                only=shard or (),
                beginning=from_beginning,
                record=record,
            )
            sound = listen_live(options, shown, duration or None)
    if not sound:
        raise typer.Exit(1)


def symbols_in(text: str) -> list[str]:
    """Symbols that an option names, separated by commas."""
    return [symbol.strip() for symbol in text.split(",") if symbol.strip()]


def _one_source(*given: object) -> None:
    if sum(each is not None for each in given) > 1:
        _usage("--url, --group-a/--group-b and --from-file exclude each other")


def _fitting(group: str | None, service: str | None, session: str, unheard: object) -> None:
    if (service or session) and not group:
        _usage("--rerequest, --snapshot and --session go with --group-a or --group-b")
    if len(session) > 10 or not session.isascii():
        _usage(f"--session has at most ten ASCII characters; not {session!r}")
    if unheard:
        _usage("--record writes what is heard; there is nothing to record of a file")


def _usage(message: str) -> NoReturn:
    from cli.main import fail

    fail(message, EXIT_USAGE)


def _lines(line: str) -> tuple[str, ...]:
    if line.upper() in ("A", "B"):
        return (line.upper(),)
    if line.lower() != "both":
        _usage(f"--line is A, B or both; not {line!r}")
    return ()


def _address(text: str, option: str) -> Address:
    from crossbook_client.feed import Address

    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        _usage(f"{option} is HOST:PORT; not {text!r}")
    return Address(host, int(port))


def _described(
    groups: tuple[str | None, str | None],
    session: str,
    rerequest: str | None,
    snapshot: str | None,
) -> FeedShard | None:
    """The feed that the options describe, if they do."""
    from crossbook_client.feed import FeedShard, Line

    lines = []
    for name, text in zip("AB", groups, strict=True):
        if text is not None:
            place = _address(text, f"--group-{name.lower()}")
            lines.append(Line(name, place.host, place.port))
    if not lines:
        return None
    return FeedShard(
        0,
        lines,
        session=session,
        rerequest=_address(rerequest, "--rerequest") if rerequest else None,
        snapshot=_address(snapshot, "--snapshot") if snapshot else None,
    )


def _options(
    described: FeedShard | None, exchange: tuple[str | None, Path | None], **more: object
) -> ListenOptions:
    from cli.main import load_settings
    from cli.run_state import RunFolder
    from crossbook_client.feed import ListenOptions

    if described is not None:
        return ListenOptions(shards=[described], **more)  # type: ignore[arg-type]
    url, data_dir = exchange
    if url is None:
        url = RunFolder(load_settings(data_dir).data_dir).running().url
    return ListenOptions(url=url, **more)  # type: ignore[arg-type]
