"""Logs for the tests of replay, written by the real matcher, and ways to damage copies of them."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from cli.replay import ReplayOptions, ReplayResult, replay
from domain.batch import Position
from domain.codes import BUY, DAY, FOK, GTC, IOC, LIMIT, MARKET, REPLACE_TOTAL, SELL
from domain.commands import (
    CancelOrder,
    ClockTick,
    Command,
    ListInstrument,
    MassCancel,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)
from domain.snapshot import snapshot, state_hash
from domain.wire import encode_batch, encode_command
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from streams.matcher import Matcher, MatcherLimits
from streams.replay_verify import Difference

SESSION = bytes(8) + b"a system"
SECOND = 10**9
OPENING_NS = 1_790_000_000 * SECOND
AAPL, MSFT = 1, 2


def order_id(position: int, index: int, shard: int = 0) -> int:
    """The id of the order born there."""
    return shard << 55 | position << 16 | index


def limit(
    side: int, price: int, quantity: int, name: str = "", *, account: int = 1, tif: int = GTC
) -> SubmitOrder:
    """A limit order in AAPL."""
    return SubmitOrder(account, AAPL, side, LIMIT, tif, price, quantity, name.encode())


def market(side: int, quantity: int, *, account: int = 2, tif: int = IOC) -> SubmitOrder:
    """A market order in AAPL."""
    return SubmitOrder(account, AAPL, side, MARKET, tif, 0, quantity)


# Every kind of command and of event; what the tests name by position is said beside it.
BATCHES: list[list[Command]] = [
    [
        SetAccount(1),
        SetAccount(2, 50),
        ListInstrument(AAPL, b"AAPL", 100, 1, 500),
        ListInstrument(MSFT, b"MSFT", 100, 1),
        ClockTick(OPENING_NS),
    ],
    [limit(BUY, 9_900, 100, "bid-1"), limit(BUY, 9_800, 50), limit(SELL, 10_100, 70, "ask-1")],
    [ClockTick(OPENING_NS + SECOND)],
    # 4: the first two trade, the third is refused, the fourth is a repeat
    [
        limit(SELL, 9_900, 30, "hit-1", account=2),
        market(BUY, 500),
        limit(BUY, 9_999, 10, "off-tick"),
        limit(BUY, 9_900, 100, "bid-1"),
    ],
    [ClockTick(OPENING_NS + 2 * SECOND), limit(SELL, 10_100, 5, "day", tif=DAY)],
    # 6: a replace that loses its place, a cancel, one that is refused, a total replace
    [
        ReplaceOrder(1, AAPL, order_id(2, 1), 9_700, 40),
        CancelOrder(1, AAPL, 0, b"day"),
        CancelOrder(2, AAPL, order_id(2, 0)),
        ReplaceOrder(1, AAPL, order_id(2, 0), 0, 60, REPLACE_TOTAL),
    ],
    [limit(BUY, 10_000, 10, "fok", tif=FOK), limit(SELL, 10_200, 20, "stays", account=2)],
    [ClockTick(OPENING_NS + 3 * SECOND)],
    [SubmitOrder(2, MSFT, SELL, LIMIT, DAY, 50_000, 5, b"ms")],
    [SetTradingState(MSFT, 3), MassCancel(1, 0, SELL)],
    [ClockTick(OPENING_NS + 10 * SECOND), SetAccount(2, 50, True)],
]


@dataclass
class Written:
    """A folder of logs, and what the matcher said of each position: index 0 is before the first."""

    folder: Path
    state_hashes: list[str]
    times_ns: list[int]
    chains: list[str]
    snapshots: dict[int, tuple[Position, list[bytes]]]

    @property
    def end(self) -> int:
        return len(self.state_hashes) - 1


def encoded(number: int, commands: list[Command]) -> bytes:
    """One batch of the session."""
    return encode_batch(SESSION, number, number, [encode_command(each) for each in commands])


def write(
    folder: Path,
    batches: list[list[Command]] | None = None,
    *,
    shard: int = 0,
    raw: list[bytes] | None = None,
    record_bytes_max: int = 900_000,
) -> Written:
    """Write the commands, `raw` batches behind them, and match all, one position at a time."""
    log = SQLiteCommandLog(folder, shard)
    sent = BATCHES if batches is None else batches
    for number, commands in enumerate(sent, start=1):
        log.append(SESSION, number, encoded(number, commands))
    for number, batch in enumerate(raw or [], start=len(sent) + 1):
        log.append(SESSION, number, batch)
    events = SQLiteEventLog(folder, shard)
    limits = MatcherLimits(record_bytes_max=record_bytes_max, read_batches_max=1)
    matcher = Matcher(log, events, snapshots=None, limits=limits)
    matcher.recover()
    written = Written(folder, [], [], [], {})
    keep(written, matcher)
    while matcher.step():
        keep(written, matcher)
    log.close()
    events.close()
    return written


def keep(written: Written, matcher: Matcher) -> None:
    exchange = matcher.exchange
    written.state_hashes.append(state_hash(exchange).hex())
    written.times_ns.append(int(exchange.trading_time_ns))
    written.chains.append(matcher.chain.hex())
    at = Position(exchange.position, matcher.chain)
    written.snapshots[exchange.position] = (at, snapshot(exchange))


# --- damage ---------------------------------------------------------------------------------------


def copy_of(written: Written, target: Path) -> Path:
    """A copy of the folder."""
    shutil.copytree(written.folder, target)
    return target


def alter(folder: Path, log: str, statement: str, *parameters: object) -> None:
    """Change the rows of `commands` or `events` behind everybody's back."""
    connection = sqlite3.connect(folder / f"{log}-0.sqlite")
    with connection:
        connection.execute(statement, parameters)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def record_at(folder: Path, log: str, position: int, part: int = 0) -> bytes:
    """The bytes of one record."""
    connection = sqlite3.connect(f"file:{folder / f'{log}-0.sqlite'}?mode=ro", uri=True)
    where, key = row_of(log, position, part)
    found = connection.execute(f"SELECT state FROM stored_events WHERE {where}", (key,)).fetchone()
    connection.close()
    assert isinstance(found[0], bytes)
    return found[0]


def put_record(folder: Path, log: str, position: int, record: bytes, part: int = 0) -> None:
    """Put other bytes in place of a record."""
    where, key = row_of(log, position, part)
    alter(folder, log, f"UPDATE stored_events SET state = ? WHERE {where}", record, key)


def row_of(log: str, position: int, part: int = 0) -> tuple[str, int]:
    """The condition that names a record's row, and its key."""
    if log == "commands":
        return "rowid = ?", position
    return "originator_version = ?", position << 16 | part


def flip(folder: Path, log: str, position: int, byte: int, bit: int, part: int = 0) -> None:
    """Flip one bit of a record."""
    record = bytearray(record_at(folder, log, position, part))
    record[byte] ^= 1 << bit
    put_record(folder, log, position, bytes(record), part)


def drop(folder: Path, log: str, position: int, part: int = 0) -> None:
    """Take a record's row away."""
    where, key = row_of(log, position, part)
    alter(folder, log, f"DELETE FROM stored_events WHERE {where}", key)


# --- verifying ------------------------------------------------------------------------------------


def verify(folder: Path, **options: int) -> ReplayResult:
    return replay(folder, ReplayOptions(verify=True, **options))  # type: ignore[arg-type]


def first_of(folder: Path, **options: int) -> Difference:
    result = verify(folder, **options)
    assert not result.equal
    assert result.verified is not None and result.verified.first is not None
    return result.verified.first
