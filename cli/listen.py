"""What `crossbook listen` does: keeps books from the feed or from a file, shows them, and tells at
the end what was missing and how it came.

Guarantees: Ctrl-C and SIGTERM end it between two packets, with the summary; what it returns is
whether the books are sound.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec
from rich.console import Console
from rich.live import Live

from cli.listen_display import (
    PLAIN_COLUMNS,
    books_json,
    file_summary,
    line_of,
    live_json,
    live_summary,
    table_of,
)
from crossbook_client.feed import FeedBook, FeedListener, ListenOptions, ShardBooks, read_itch

REFRESH_S: Final = 1.0
ROUND_S: Final = 0.2
SETTLE_S: Final = 5.0
MESSAGES_A_TIME: Final = 4_096


@dataclass(frozen=True)
class Shown:
    """What the user wants to see: `symbols` (all where there are none), levels, JSON at the end."""

    symbols: Sequence[str]
    depth: int
    as_json: bool

    def of(self, books: Mapping[str, FeedBook]) -> list[FeedBook]:
        """The books to show, by symbol."""
        wanted = self.symbols or sorted(books)
        return [books[symbol] for symbol in wanted if symbol in books]


class _Stop:
    """Set by a signal."""

    is_set = False

    def set(self, number: int, frame: FrameType | None) -> None:
        """As a signal handler."""
        self.is_set = True


@contextmanager
def _stopped_by_signals() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop.set) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen_live(options: ListenOptions, shown: Shown, duration_s: float | None) -> bool:
    """Listen until the duration is over, every session has ended, or a signal comes."""
    began = time.monotonic()
    with FeedListener(options.url, shards=options.shards, options=options) as feed:
        with _stopped_by_signals() as stop:
            _show(feed, shown, stop, began, duration_s)
            if not stop.is_set and feed.statistics.packets:
                feed.settle(SETTLE_S)
        elapsed_s = time.monotonic() - began
    if shown.as_json:
        _print_json(live_json(feed, shown.of(feed.books), shown.depth, elapsed_s))
    else:
        print("\n".join(live_summary(feed, elapsed_s)))
    return _was_heard(feed) and feed.sound


def _was_heard(feed: FeedListener) -> bool:
    """Whether any packet came of every shard; says where to look otherwise."""
    silent = [number for number, shard in feed.shards.items() if not shard.last_heard]
    for number in silent:
        print(
            f"crossbook: shard {number}: nothing was heard on any line; is this the right "
            "interface (--interface), and does the publisher run?",
            file=sys.stderr,
        )
    return not silent


def _show(
    feed: FeedListener, shown: Shown, stop: _Stop, began: float, duration_s: float | None
) -> None:
    """Go on, and show the books each second: as a table on a terminal, else a line."""
    deadline = float("inf") if duration_s is None else began + duration_s
    console = Console(stderr=shown.as_json)
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    shown_at, count = began, 0
    if live is not None:
        live.start()
    try:
        while not stop.is_set and not feed.finished and time.monotonic() < deadline:
            feed.poll(max(0.0, min(ROUND_S, deadline - time.monotonic())))
            now = time.monotonic()
            if now < shown_at + REFRESH_S:
                continue
            total = feed.statistics.message_count
            rate, count = (total - count) / (now - shown_at), total
            shown_at = now
            if live is not None:
                live.update(table_of(feed, shown.of(feed.books), rate), refresh=True)
            else:
                line = line_of(feed, shown.of(feed.books), now - began, rate)
                print(line, file=sys.stderr if shown.as_json else sys.stdout, flush=True)
    finally:
        if live is not None:
            live.stop()


def read_file(path: Path, shown: Shown) -> bool:
    """Make the books of a recorded file, and show them."""
    books = ShardBooks()
    messages = read_itch(path)
    count, misfits = 0, []
    while chunk := list(islice(messages, MESSAGES_A_TIME)):
        misfits += books.apply(chunk)
        count += len(chunk)
    chosen = shown.of(books.by_symbol)
    if shown.as_json:
        found = books_json(chosen, shown.depth)
        _print_json({"file": str(path), "messages": count, "misfits": len(misfits), "books": found})
    else:
        console = Console(width=None if sys.stdout.isatty() else PLAIN_COLUMNS)
        console.print(table_of(None, chosen, 0.0))
        print("\n".join(file_summary(path, count, books, misfits)))
    return not misfits


def _print_json(found: object) -> None:
    print(msgspec.json.encode(found).decode())
