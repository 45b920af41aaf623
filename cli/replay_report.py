"""What a replay tells: lines for people, one JSON object for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cli.replay import ReplayResult, Verified
from cli.replay_look import Book
from cli.replay_rows import decimal_price, level_json, rfc3339
from streams.replay_verify import Difference

Level = tuple[int, int, int]


def place_of(difference: Difference) -> str:
    """Where a difference is: log, position, part, byte and bit, as far as they mean something."""
    parts = [f"the {difference.log} of position {difference.position:,}"]
    if difference.part:
        parts.append(f"part {difference.part}")
    if difference.byte is not None:
        parts.append(f"byte {difference.byte:,}")
    if difference.bit is not None:
        parts.append(f"bit {difference.bit}")
    return ", ".join(parts)


def lines_of(result: ReplayResult) -> list[str]:
    """The replay as it is printed."""
    tally = result.tally
    rate = tally.commands / result.elapsed_s if result.elapsed_s else 0.0
    start = f", from the snapshot of {result.began_at:,}" if result.began_at else ""
    undecodable = f", {tally.undecodable:,} undecodable" if tally.undecodable else ""
    lines = [
        f"shard {result.shard}    position {result.position:,} of {result.log_end:,}, trading time "
        f"{rfc3339(result.trading_time_ns)}",
        f"replayed   {tally.commands:,} commands in {tally.batches:,} batches ({tally.repeats:,} "
        f"repeats{undecodable}), {tally.events:,} events, in {result.elapsed_s:.2f} s "
        f"({rate:,.0f} commands/s){start}",
        f"holds      {result.order_count:,} open orders, {result.instrument_count:,} instruments",
        f"state      {result.state_hash.hex()}",
        f"chain      {result.chain.hex()}",
        *_agreement(result),
    ]
    if result.export_rows is not None:
        lines.append(f"exported   {result.export_rows:,} rows")
    lines += [f"note       {each}" for each in result.notes]
    if result.unreadable:
        lines.append(f"UNREADABLE {result.unreadable}")
    if result.book is not None:
        lines += ["", *book_lines(result.book)]
    return lines


def _agreement(result: ReplayResult) -> list[str]:
    if result.verified is not None:
        return _verified_lines(result.verified, result)
    if result.agrees_at is None:
        return ["event log  not there: nothing to compare with"] if not result.unreadable else []
    if not result.agrees:
        return [f"event log  DIFFERS: another chain at {result.agrees_at:,}; --verify tells where"]
    return [f"event log  agrees at {result.agrees_at:,} ({_behind(result)})"]


def _behind(result: ReplayResult) -> str:
    missing = result.position - (result.events_end or 0)
    return f"{missing:,} positions are not matched yet" if missing > 0 else "same chain"


def _verified_lines(verified: Verified, result: ReplayResult) -> list[str]:
    first = verified.first
    if first is None:
        line = f"event log  equal, all {verified.compared:,} batches byte for byte"
        if verified.unmatched:
            line += f"; {verified.unmatched:,} positions at the end are not matched yet"
        return [line]
    bits = f" ({first.bits:,} bits of the record differ)" if (first.bits or 0) > 1 else ""
    lines = [
        f"event log  DIFFERS at {place_of(first)}",
        f"           {first.what}{bits}",
        f"           {verified.differing:,} of {result.position:,} positions differ in all",
    ]
    if verified.mended:
        positions = ", ".join(f"{each:,}" for each in verified.mended[:10])
        lines.append(f"           compared with the damaged bit flipped back at {positions}")
    return lines + [f"           {each}" for each in verified.structure]


def book_lines(book: Book) -> list[str]:
    """The book as a table, bids left and asks right."""
    depth = max(len(book.bids), len(book.asks))
    lines = [
        f"{book.symbol}  {book.state}, book sequence {book.book_sequence:,}, "
        f"{book.bid_count:,} bid and {book.ask_count:,} ask levels",
        f"{'orders':>7} {'quantity':>13} {'bid':>12}  {'ask':<12} {'quantity':<13} {'orders':<7}",
    ]
    for place in range(depth):
        lines.append(f"{_bid(book.bids, place)}  {_ask(book.asks, place)}".rstrip())
    return lines if depth else [*lines, "  (empty)"]


def _bid(levels: list[Level], place: int) -> str:
    if place >= len(levels):
        return " " * 34
    price, quantity, count = levels[place]
    return f"{count:>7,} {quantity:>13,} {decimal_price(price):>12}"


def _ask(levels: list[Level], place: int) -> str:
    if place >= len(levels):
        return ""
    price, quantity, count = levels[place]
    return f"{decimal_price(price):<12} {quantity:<13,} {count:<7,}"


# --- JSON -----------------------------------------------------------------------------------------


def json_of(result: ReplayResult) -> dict[str, Any]:
    """The same for programs. Hashes are hex, times RFC 3339 and nanoseconds as strings."""
    tally = result.tally
    return {
        "shard": result.shard,
        "position": result.position,
        "log_end": result.log_end,
        "event_log_end": result.events_end,
        "trading_time": rfc3339(result.trading_time_ns),
        "trading_time_ns": str(result.trading_time_ns),
        "state_hash": result.state_hash.hex(),
        "chain": result.chain.hex(),
        "open_orders": result.order_count,
        "instruments": result.instrument_count,
        "began_at": result.began_at,
        "batches": {
            "applied": tally.applied,
            "repeats": tally.repeats,
            "undecodable": tally.undecodable,
        },
        "commands": tally.commands,
        "events": tally.events,
        "elapsed_s": round(result.elapsed_s, 6),
        "equal": result.equal,
        "event_log_compared_at": result.agrees_at,
        "verify": None if result.verified is None else _verified_json(result.verified),
        "book": None if result.book is None else book_json(result.book),
        "exported_rows": result.export_rows,
        "notes": result.notes,
        "unreadable": result.unreadable or None,
    }


def _verified_json(verified: Verified) -> dict[str, Any]:
    first = verified.first
    return {
        "equal": first is None,
        "compared": verified.compared,
        "unmatched": verified.unmatched,
        "differing": verified.differing,
        "first": None if first is None else asdict(first),
        "mended": verified.mended,
        "structure": verified.structure,
    }


def book_json(book: Book) -> dict[str, Any]:
    """A book as the API gives it, with what else is known."""
    return {
        "symbol": book.symbol,
        "instrument": book.instrument,
        "state": book.state,
        "sequence": str(book.book_sequence),
        "bid_levels": book.bid_count,
        "ask_levels": book.ask_count,
        "bids": [level_json(level) for level in book.bids],
        "asks": [level_json(level) for level in book.asks],
    }
