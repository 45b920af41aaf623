"""What `crossbook listen` shows: a live table on a terminal, a plain line a second elsewhere, and
the summary as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from crossbook_client.feed import FeedBook, FeedListener, FeedStatistics, ShardBooks, ShardFeed
from crossbook_client.feed.statistics import HOW_RECOVERED
from crossbook_client.models import Level

ROWS_MAX: Final = 40
SYMBOLS_A_LINE: Final = 3
PLAIN_COLUMNS: Final = 120  # where there is no terminal to fit into


def table_of(feed: FeedListener | None, books: Sequence[FeedBook], rate: float) -> Table:
    """The books' best levels, and what has been recovered so far."""
    caption = "" if feed is None else f"{rate:,.0f} messages/s; {recovered_text(feed.statistics)}"
    more = f"; {len(books) - ROWS_MAX} more symbols" if len(books) > ROWS_MAX else ""
    table = Table(
        title="crossbook listen",
        title_justify="left",
        caption=caption + more,
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("symbol", no_wrap=True)
    for name in ("quantity", "bid", "ask", "quantity", "last", "trades"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for book in books[:ROWS_MAX]:
        bid, ask, last = book.best_bid, book.best_ask, book.last_trade
        table.add_row(
            book.symbol,
            f"{bid.quantity:,}" if bid else "",
            str(bid.price) if bid else "",
            str(ask.price) if ask else "",
            f"{ask.quantity:,}" if ask else "",
            str(last.price) if last else "",
            f"{book.trade_count:,}",
            book.trading_state,
        )
    return table


def line_of(feed: FeedListener, books: Sequence[FeedBook], elapsed_s: float, rate: float) -> str:
    """One plain line."""
    tops = [f"{book.symbol} {_top(book.best_bid)} / {_top(book.best_ask)}" for book in books]
    told = "  ".join(tops[:SYMBOLS_A_LINE])
    return (
        f"{elapsed_s:7.1f} s  {rate:9,.0f}/s  messages {feed.statistics.message_count:,}  "
        f"{'caught up' if feed.caught_up else 'behind'}  {told}"
    )


def _top(level: Level | None) -> str:
    return f"{level.quantity:,} @ {level.price}" if level is not None else "none"


def recovered_text(statistics: FeedStatistics) -> str:
    """What was missing and how it came."""
    parts = [
        f"{statistics.recovered[how]:,} {words}"
        for how, words in HOW_RECOVERED.items()
        if statistics.recovered[how]
    ]
    if not parts:
        return "nothing had to be recovered"
    total = statistics.recovered.total()
    return f"recovered {total:,} messages of {statistics.gaps:,} gaps: {', '.join(parts)}"


def live_summary(feed: FeedListener, elapsed_s: float) -> list[str]:
    """The last lines."""
    statistics = feed.statistics
    rate = statistics.message_count / elapsed_s if elapsed_s else 0.0
    lines = [
        f"listened for {elapsed_s:.1f} s: {statistics.message_count:,} messages ({rate:,.0f}/s), "
        f"{len(feed.books):,} symbols",
        *(_line_words(name, statistics) for name in sorted(_line_names(feed))),
        recovered_text(statistics),
        *_oddities(statistics),
    ]
    lines += [_state_words(shard) for shard in feed.shards.values()]
    lines += [f"recorded {path}" for path in feed.recorded]
    return lines


def _line_names(feed: FeedListener) -> set[str]:
    return {name for name in feed.statistics.packets if name not in HOW_RECOVERED}


def _line_words(name: str, statistics: FeedStatistics) -> str:
    return (
        f"line {name}: {statistics.packets[name]:,} packets, of which "
        f"{statistics.heartbeats[name]:,} heartbeats; first with "
        f"{statistics.messages[name]:,} messages"
    )


def _oddities(statistics: FeedStatistics) -> list[str]:
    counts = (
        (statistics.undecodable, "undecodable packets"),
        (statistics.wrong_session, "packets of another session"),
        (statistics.contradictions, "messages that did not fit the books"),
        (statistics.claims_discarded, "claims of messages that were never published"),
        (statistics.session_changes, "changes of session: the books began anew"),
        (statistics.unrecovered, "messages given up"),
    )
    return [f"{count:,} {words}" for count, words in counts if count]


def _state_words(shard: ShardFeed) -> str:
    name = f"shard {shard.shard}, session {session_text(shard) or 'unknown'}"
    if not shard.joined:
        return f"{name}: NOT JOINED: no snapshot, and nothing to begin with"
    if shard.missing:
        return f"{name}: MISSING {shard.missing:,} messages from sequence {shard.expected:,} on"
    if shard.statistics.unrecovered or shard.last_misfit:
        return f"{name}: UNSOUND: {shard.last_misfit or 'messages were given up'}"
    ended = ", and the session has ended" if shard.finished else ""
    return f"{name}: nothing is missing before sequence {shard.expected:,}{ended}"


def session_text(shard: ShardFeed) -> str:
    """The session as text."""
    return (shard.session or b"").decode("ascii").strip()


def live_json(
    feed: FeedListener, books: Sequence[FeedBook], depth: int, elapsed_s: float
) -> dict[str, Any]:
    """The summary for programs: sequences are strings, prices decimal strings."""
    statistics = feed.statistics
    return {
        "duration_s": round(elapsed_s, 3),
        "messages": statistics.message_count,
        "messages_per_s": round(statistics.message_count / elapsed_s, 1) if elapsed_s else 0.0,
        "sound": feed.sound,
        "caught_up": feed.caught_up,
        "missing": sum(shard.missing for shard in feed.shards.values()),
        "unrecovered": statistics.unrecovered,
        "recovered": {how: statistics.recovered[how] for how in HOW_RECOVERED},
        "shards": [
            {
                "shard": shard.shard,
                "session": session_text(shard),
                "next_sequence": str(shard.expected),
                "known_end": str(shard.known_end),
                "joined": shard.joined,
                "ended": shard.finished,
            }
            for shard in feed.shards.values()
        ],
        "statistics": statistics.as_json(),
        "recorded": [str(path) for path in feed.recorded],
        "books": books_json(books, depth),
    }


def books_json(books: Sequence[FeedBook], depth: int) -> dict[str, Any]:
    """Levels as `/v1/stream` has them, to a depth (0: all), and the checksum of the top ten."""
    return {
        book.symbol: {
            "state": book.trading_state,
            "bids": _levels(book.bids, depth),
            "asks": _levels(book.asks, depth),
            "orders": book.order_count,
            "trades": book.trade_count,
            "checksum": book.checksum,
        }
        for book in books
    }


def _levels(levels: Sequence[Level], depth: int) -> list[tuple[str, int, int]]:
    kept = levels[:depth] if depth else levels
    return [(str(level.price), level.quantity, level.order_count) for level in kept]


def file_summary(path: Path, count: int, books: ShardBooks, misfits: Sequence[str]) -> list[str]:
    """What a file held."""
    lines = [f"{path}: {count:,} messages, {len(books.by_symbol):,} symbols"]
    if misfits:
        lines.append(f"{len(misfits):,} messages did not fit the books; the first: {misfits[0]}")
    return lines
