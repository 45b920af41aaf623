"""The whole judgement, in the order in which a person would ask: is it quiet, is it all there, is
it the same as if nothing had happened."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import psycopg

from tests.faults.exchange import FaultExchange, wait_for
from tests.faults.journal import Journal
from tests.faults.judge import (
    Truth,
    check_history,
    check_journal,
    check_snapshots,
    heads_of,
    run_again,
)
from tests.faults.judge_books import check_books
from tests.faults.load import SYMBOLS
from tests.faults.observer import DEPTH, Observer, SeenBook, seen_book

SETTLE_WAIT_S = 120.0


def judge(exchange: FaultExchange, journal: Journal, observers: list[Observer]) -> Counter[str]:
    """Judge a running exchange that nobody sends to any more; what was found, in numbers."""
    seen = [book for observer in observers for book in observer.books]
    wrong = [text for observer in observers for text in observer.unexpected]
    assert not wrong, "\n".join(wrong[:5])
    wait_for_answers(exchange, journal.positions())
    exchange.wait_until_ready()
    seen += [book_of(exchange, symbol) for symbol in SYMBOLS]
    truths = run_all_again(exchange, seen)
    for shard, position in journal.positions().items():
        assert position <= truths[shard].position, "an acknowledged position is not in the log"
    state = exchange.state()
    positions = {shard: truth.position for shard, truth in truths.items()}
    wait_for("the sinks", lambda: _sinks_are_at(exchange, positions), SETTLE_WAIT_S)
    engines = {shard: truth.exchange for shard, truth in truths.items()}
    found = Counter(check_journal(state.postgres_dsn, journal))
    found |= Counter(check_history(state.postgres_dsn, exchange.logs, positions))
    found["deltas"] = check_books(state.redis_url, exchange.logs, engines)
    found["positions"] = sum(positions.values())
    found["books seen"] = sum(truth.books_compared for truth in truths.values())
    for truth in truths.values():
        found["snapshots"] += check_snapshots(truth, state.postgres_dsn, exchange.logs)
    for observer in observers:
        found += Counter({f"read: {name}": count for name, count in observer.counts.items()})
    return found


def wait_for_answers(exchange: FaultExchange, positions: dict[int, int]) -> None:
    """Wait until reads of the history and of the books answer what is at least so new."""
    token = ",".join(f"{shard}-{position}" for shard, position in sorted(positions.items()))
    key = exchange.key("player").key
    for path, used in ((f"/v1/orders?limit=1&min_position={token}", key), *_book_reads(token)):
        wait_for(path, partial(_is_answered, exchange, path, used), SETTLE_WAIT_S)


def _is_answered(exchange: FaultExchange, path: str, key: str | None) -> bool:
    return exchange.get(path, key).status_code == 200


def _book_reads(token: str) -> list[tuple[str, None]]:
    return [(f"/v1/books/{symbol}?min_position={token}", None) for symbol in SYMBOLS]


def book_of(exchange: FaultExchange, symbol: str) -> SeenBook:
    """A book as it is answered now."""
    answer = exchange.get(f"/v1/books/{symbol}?depth={DEPTH}")
    assert answer.status_code == 200, answer.text
    return seen_book(answer.json())


def run_all_again(exchange: FaultExchange, seen: list[SeenBook]) -> dict[int, Truth]:
    """Each shard's log run again, up to where both logs end together."""
    settings = exchange.settings
    dsn = exchange.state().postgres_dsn
    with psycopg.connect(dsn, autocommit=True) as connection:
        listed = connection.execute("SELECT symbol, instrument FROM history.instruments")
        instruments: dict[str, int] = {symbol: int(number) for symbol, number in listed}
    truths = {}
    for shard in range(settings.shards):
        own = [book for book in seen if book.shard == shard]
        upto = wait_for("the matcher", partial(_matched, exchange.logs, shard), SETTLE_WAIT_S)
        truths[shard] = run_again(
            exchange.logs,
            shard,
            upto,
            settings.record_bytes_max,
            seen=own,
            instruments=instruments,
        )
    return truths


def _matched(logs: Path, shard: int) -> int | None:
    """Where both logs of a shard end, None while the event log is behind."""
    head, tail = heads_of(logs, shard)
    assert tail <= head, "events of commands that are not there"
    return head if head == tail else None


def _sinks_are_at(exchange: FaultExchange, positions: dict[int, int]) -> bool:
    """Whether both read models themselves have come so far."""
    answer = exchange.get("/readyz")
    if answer.status_code != 200:
        return False
    shards = {each["shard"]: each for each in answer.json()["shards"]}
    return all(
        min(shards[shard]["redis"], shards[shard]["postgres"]) >= position
        for shard, position in positions.items()
    )
