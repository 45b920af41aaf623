"""A data folder as an exchange that has run for long would leave it, made in a minute.

Guarantees: the directory is a real one (an exchange was started on the folder once); every batch
went through the command log's own `append`, the matcher and the event log; snapshots lie where the
matcher took them; the multicast feed is on disk. The history's rows are made where they are asked
for, which takes several times as long; otherwise its position is set to the log's end. Redis begins
empty.

The state: `RESTING` resting orders at first, then the flow of `benchmarks.flows`, with client order
ids until `IDS_MAX` are live, without them after.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.flows import Market
from benchmarks.pipeline_modes import running_exchange
from cli.rebuild import catch_up
from cli.servers import EmbeddedPostgres
from cli.settings import Settings
from domain.batch import Position, Sink
from domain.exchange import Exchange
from projections.multicast.rebuild import FeedRebuild
from projections.postgres import PostgresSink
from projections.snapshots import SnapshotStore
from streams.follower import Follower, FollowerLimits
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from streams.matcher import Aside, Matcher, MatcherLimits, in_thread

RESTING: Final = 200_000
IDS_MAX: Final = 5_000_000
NAMED_SHARE: Final = 0.54  # of a flow's commands that carry a client order id
INSTRUMENTS: Final = 50
ACCOUNTS: Final = 4
LEVELS: Final = 500
WAIT_S: Final = 0.01


@dataclass(frozen=True)
class Filled:
    """What was made."""

    commands: int
    positions: int
    resting: int
    client_ids: int
    replayed: int  # commands behind the newest snapshot, which a restart applies again


def settings_of(folder: Path) -> Settings:
    """The settings of the exchange whose data lie in `folder`/data."""
    return Settings(data_dir=folder / "data")


def market_at(position: int, session: bytes) -> Market:
    """A client of the exchange in `folder` whose first batch follows `position`."""
    market = Market(INSTRUMENTS, levels=LEVELS, accounts=ACCOUNTS, session=session)
    market.position = position
    return market


def write_commands(folder: Path, commands: int) -> None:
    """Append the flow to the command log of shard 0."""
    command_log = SQLiteCommandLog(settings_of(folder).logs, 0)
    market = market_at(command_log.head(), b"benchmark-filler")
    resting = min(RESTING, commands // 10)
    named = min(commands - resting, round((IDS_MAX - resting) / NAMED_SHARE))

    def append(batches: Iterable[bytes]) -> None:
        for batch in batches:
            command_log.append(market.session, market.batch_number, batch)

    append(market.resting(resting))
    append(market.flow(named))
    market.named = False
    append(market.flow(commands - resting - named))
    command_log.close()


def fill(folder: Path, commands: int, *, history: bool = False) -> Filled:
    """Make the data folder `folder`/data with `commands` commands in its log, and their rows in
    PostgreSQL if `history` is asked for.
    """
    with running_exchange(folder):
        pass
    settings = settings_of(folder)
    postgres = EmbeddedPostgres(settings.data_dir.absolute() / "postgres", settings.run_dir)
    postgres.start()
    try:
        matcher = _match(settings, folder, postgres.dsn, commands)
        at = Position(matcher.exchange.position, matcher.chain)
        if history:
            _write_history(settings, postgres.dsn)
        else:
            _pass_over(postgres.dsn, at)
        _write_feed(settings)
    finally:
        postgres.stop()
    shutil.rmtree(settings.data_dir / "redis")
    exchange: Exchange = matcher.exchange
    live = int(exchange.books.client_ids.live)
    return Filled(commands, at.position, exchange.order_count, live, matcher.dirty_commands)


def _match(settings: Settings, folder: Path, dsn: str, commands: int) -> Matcher:
    store = SnapshotStore(dsn, keep=settings.snapshots_kept)
    command_log, event_log = SQLiteCommandLog(settings.logs, 0), SQLiteEventLog(settings.logs, 0)
    limits = MatcherLimits(snapshot_commands=settings.snapshot_commands)
    saving: list[Aside] = []

    def aside(work: Callable[[], None]) -> Aside:
        saving.append(in_thread(work))
        return saving[-1]

    matcher = Matcher(command_log, event_log, snapshots=store, limits=limits, aside=aside)
    matcher.recover()
    writer = multiprocessing.get_context("spawn").Process(
        target=write_commands, args=(folder, commands)
    )
    writer.start()
    told = time.monotonic()
    while writer.is_alive() or command_log.head() > matcher.exchange.position:
        if not matcher.step():
            time.sleep(WAIT_S)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"filled to position {matcher.exchange.position:,}", file=sys.stderr)
    if writer.exitcode != 0:
        raise SystemExit("the command log could not be filled")
    for each in saving:
        each.join()
    command_log.close()
    event_log.close()
    store.close()
    return matcher


def _write_feed(settings: Settings) -> None:
    kept = settings.feed_messages_kept
    with FeedRebuild(settings.feeds, 0, messages_kept=kept) as sink:
        _follow(settings, sink)
        sink.finish()


def _write_history(settings: Settings, dsn: str) -> None:
    sink = PostgresSink(dsn)
    _follow(settings, sink)
    sink.close()


def _follow(settings: Settings, sink: Sink) -> None:
    event_log = SQLiteEventLog(settings.logs, 0)
    catch_up(
        Follower(event_log, sink, limits=FollowerLimits()),
        lambda text: print(f"{sink.name}: {text}", file=sys.stderr),
    )
    event_log.close()


def _pass_over(dsn: str, at: Position) -> None:
    """Let the history begin at the log's end."""
    with psycopg.connect(dsn) as connection:
        moved = connection.execute(
            "UPDATE history.sink_positions SET position = %s, chain = %s WHERE shard = 0",
            (at.position, at.chain),
        )
        assert moved.rowcount == 1, moved.rowcount
