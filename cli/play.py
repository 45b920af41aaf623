"""`crossbook play FILE`: trades a recorded file through the running exchange, then compares.

At the end the exchange's own sequence of distinct top-of-book states is set against the file's, by
longest common subsequence, and what differs is explained by counts.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from cli.play_commands import PlayFile, UnreadableFileError
from cli.play_compare import REQUIRED_SHARE, Comparison, compare
from cli.play_lobster import LobsterFile, read_states
from cli.play_session import BookFollower, Player, PlayTotals, find_orders
from cli.play_tape import TapeFile
from crossbook_client import AsyncCrossbook, Retries

SYMBOL_LENGTH_MAX = 8
REPORT_INTERVAL_S = 2.0
BATCH_COMMANDS = 500
ORDERS_CHECKED_MAX = 500_000  # beyond, looking every order up again would take longer than playing
PATIENCE = Retries(total_s=120.0)  # an exchange that is being started again is waited for


@dataclass(frozen=True)
class PlayOptions:
    """What the command line asked for. `speed` None is as fast as possible."""

    path: Path
    speed: float | None
    symbol: str | None
    orderbook: Path | None


@dataclass(frozen=True)
class PlayReport:
    """Everything that the end of a play tells."""

    symbol: str
    played: PlayFile
    totals: PlayTotals
    comparison: Comparison
    reference: str
    deltas: int
    missed: int
    absent: int
    twice: int
    resent: int

    @property
    def passed(self) -> bool:
        """Nothing lost, nothing twice, and the top of book close enough to the file's."""
        nothing_lost = not self.totals.lost and not self.absent and not self.twice
        return nothing_lost and self.comparison.passed


def open_file(path: Path) -> PlayFile:
    """The file by its name. Raises UnreadableFileError where it is of no known kind."""
    if not path.is_file():
        raise UnreadableFileError(f"no file {path}")
    kinds = path.name.removesuffix(".xz").rsplit(".", 1)
    if kinds[-1] == "csv":
        return LobsterFile(path)
    if kinds[-1] == "bin":
        return TapeFile(path)
    raise UnreadableFileError(f"{path.name}: .csv (LOBSTER) or .bin (tape), either with .xz")


def free_symbol(path: Path, listed: set[str]) -> str:
    """A symbol of at most 8 characters that is not listed yet, after the file's name: AAPL.P1."""
    words = re.findall(r"[A-Z][A-Z0-9]*", path.name.split(".")[0].upper())
    stem = words[0] if words else "PLAY"
    number = 1
    while True:
        tail = f".P{number}"
        symbol = stem[: SYMBOL_LENGTH_MAX - len(tail)] + tail
        if symbol not in listed:
            return symbol
        number += 1


async def prepare(options: PlayOptions, played: PlayFile, admin: AsyncCrossbook) -> str:
    """The symbol to trade on, listed if it was not. Without a collar: the file's prices stand."""
    listed = {each.symbol for each in await admin.instruments()}
    symbol = options.symbol or free_symbol(options.path, listed)
    if symbol not in listed:
        tick = Decimal(played.tick_size_ticks) / 10_000
        await admin.admin.list_instrument(symbol, tick)
    return symbol


async def play(
    options: PlayOptions,
    *,
    url: str,
    trade_key: str,
    admin_key: str,
    say: Callable[[str], None],
) -> PlayReport:
    """Play the file. Raises UnreadableFileError, or a CrossbookError where the exchange is gone."""
    played = open_file(options.path)
    reference = None if options.orderbook is None else read_states(options.orderbook)
    async with AsyncCrossbook(url, admin_key, retries=PATIENCE) as admin:
        symbol = await prepare(options, played, admin)
    async with AsyncCrossbook(url, trade_key, retries=PATIENCE) as exchange:
        run = f"{time.time_ns() // 1_000_000:x}"
        say(f"{options.path.name} on {symbol}, run {run}")
        player = Player(
            exchange, symbol=symbol, run=run, batch_commands=BATCH_COMMANDS, speed=options.speed
        )
        follower = BookFollower(exchange, symbol)
        await follower.start()
        await _play_and_follow(player, follower, played, say)
        totals = player.totals
        await follower.finish(totals.position)
        found = await _look_up(exchange, symbol, totals)
        resent = exchange.resent
    states = reference if reference is not None else played.reference_states()
    name = "a plain book of the same messages" if options.orderbook is None else "the file's own"
    return PlayReport(
        symbol=symbol,
        played=played,
        totals=totals,
        comparison=await asyncio.to_thread(compare, follower.deltas.states, states),
        reference=name,
        deltas=follower.deltas.delta_count,
        missed=follower.missed,
        absent=0 if found is None else sum(each not in found for each in totals.orders),
        twice=0 if found is None else sum(count > 1 for count in found.values()),
        resent=resent,
    )


async def _play_and_follow(
    player: Player, follower: BookFollower, played: PlayFile, say: Callable[[str], None]
) -> None:
    all_sent = asyncio.Event()
    following = asyncio.create_task(follower.follow(all_sent))
    showing = asyncio.create_task(_show(player, follower, say))
    try:
        await player.play(played.commands())
    finally:
        all_sent.set()
        showing.cancel()
        await following


async def _show(player: Player, follower: BookFollower, say: Callable[[str], None]) -> None:
    before, at = 0, time.monotonic()
    while True:
        await asyncio.sleep(REPORT_INTERVAL_S)
        now, sent = time.monotonic(), player.totals.commands
        rate = (sent - before) / (now - at)
        before, at = sent, now
        ask, ask_quantity, bid, bid_quantity = follower.deltas.book.top()
        say(
            f"{sent:>9,} commands, {rate:>7,.0f}/s   bid {bid_quantity} @ {bid / 10_000:.4f}   "
            f"ask {ask_quantity} @ {ask / 10_000:.4f}"
        )


async def _look_up(
    exchange: AsyncCrossbook, symbol: str, totals: PlayTotals
) -> Counter[str] | None:
    if len(totals.orders) > ORDERS_CHECKED_MAX:
        return None
    return await find_orders(exchange, symbol, totals.position)


def lines_of(report: PlayReport) -> list[str]:
    """The report as it is printed."""
    totals, result = report.totals, report.comparison
    rate = totals.commands / totals.elapsed_s if totals.elapsed_s else 0.0
    lines = [
        f"played {report.played.message_count:,} messages of the file as {totals.commands:,} "
        f"commands on {report.symbol} in {totals.elapsed_s:.1f} s ({rate:,.0f}/s)",
        f"acknowledged {totals.acknowledged:,}, lost {len(totals.lost) + report.absent:,}, "
        f"twice {report.twice:,}",
        f"top of book: {result.own_count:,} distinct states, {result.common_count:,} of them "
        f"({result.share:.1%}) follow {report.reference} {result.reference_count:,} in order; "
        f"{'at least' if result.passed else 'LESS THAN'} {REQUIRED_SHARE:.1%}",
    ]
    return lines + [f"  {line}" for line in explanations(report)]


def explanations(report: PlayReport) -> list[str]:
    """Why the exchange's book is not the file's, in counts."""
    totals = report.totals
    lines = [f"{count:,} not sent: {why}" for why, count in report.played.skipped.reasons.items()]
    lines += [
        f"{count:,} {why} (it had traded by then: the exchange fills the oldest order at a price)"
        if why.endswith(("unknown_order", "too_late"))
        else f"{count:,} {why}"
        for why, count in totals.refused.items()
    ]
    if report.resent:
        lines.append(
            f"{report.resent:,} requests were sent again: what their first attempt had done is "
            "answered as a repeat, or as too_late"
        )
    if totals.short_executions:
        lines.append(f"{totals.short_executions:,} immediate orders found less than their size")
    if totals.pending:
        lines.append(f"{totals.pending:,} durable, and matched only after the answer")
    if report.missed:
        lines.append(f"{report.missed:,} book sequences were trimmed before they were read")
    if report.absent:
        lines.append(f"{report.absent:,} acknowledged orders are not in the exchange's list")
    lines += [f"lost: {what}" for what in totals.lost[:10]]
    return lines
