"""Listeners in another network namespace, behind lines that lose, reorder and double packets: their
books are the exchange's within two seconds of quiet.

`CROSSBOOK_FAULT_KILLS` is how long: 20 are some seconds a test, 200 ten times as much.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults.exchange import ROOT
from tests.faults.feed.conftest import Stage
from tests.faults.feed.listening import Listening, engine_rows, published, rest_levels
from tests.faults.feed.network import BAD, BURST, CLEAN, Spoiling
from tests.faults.judge import heads_of
from tests.faults.load import SYMBOLS, Load
from tests.faults.options import KILLS
from tests.unit.feed.test_recording import strangers_books

WITHIN_S = 2.0
PUBLISHER = "multicast"
SECONDS = 4.0 * KILLS / 20
PUBLISHER_KILLS = max(2, KILLS // 10)


def load_of(stage: Stage, seed: int) -> Load:
    """Four clients on six symbols."""
    credentials = stage.exchange.run.read_credentials()
    return Load.of(credentials, stage.exchange.port, seed, count=4)


def assert_same_books(stage: Stage, load: Load, listeners: Iterable[Listening]) -> int:
    """End the load; within two seconds of quiet each listener has the books of the engine, order by
    order, and of REST, level by level. The next sequence."""
    load.stop()
    assert load.acknowledged > 0
    position, _ = heads_of(stage.exchange.logs, 0)
    following = published(stage.exchange, position)
    quiet = time.monotonic()
    for listening in listeners:
        while listening.expected(0) < following:
            assert listening.error is None
            late_s = time.monotonic() - quiet
            assert late_s < WITHIN_S, f"{following - listening.expected(0)} missing, {late_s:.2f} s"
            time.sleep(0.005)
        print(f"caught up {time.monotonic() - quiet:.2f} s after quiet")
    expected = engine_rows(stage.exchange)
    for listening in listeners:
        assert listening.rows() == expected
        for symbol in SYMBOLS:
            told = listening.levels(symbol)
            assert tuple(
                [(one.price, one.quantity, one.order_count) for one in side] for side in told
            ) == rest_levels(stage.exchange, symbol, position), symbol
    return following


@pytest.mark.parametrize("lines", [1, 2])
@pytest.mark.timeout(1_800)
def test_books_are_the_exchanges_under_loss(stage: Stage, seed: int, lines: int) -> None:
    def spoil(spoiling: Spoiling) -> None:
        stage.network.spoil(spoiling, spoiling if lines == 2 else CLEAN)

    listening = stage.listen()
    spoil(BAD)
    load = load_of(stage, seed + lines)
    load.start()
    time.sleep(SECONDS / 2)
    spoil(BURST)
    time.sleep(SECONDS / 4)
    late = stage.listen()
    spoil(BAD)
    time.sleep(SECONDS / 4)
    assert_same_books(stage, load, [listening, late])
    counts = listening.stop()
    print(lines, counts, stage.network.counts())
    assert counts.unrecovered == counts.contradictions == counts.undecodable == 0
    assert counts.recovered["snapshot"] == 0
    if lines == 2:
        assert counts.recovered["rerequest"] + counts.recovered["http"] > 0
    else:
        assert counts.duplicates["A"] + counts.duplicates["B"] > 0


@pytest.mark.timeout(1_800)
def test_a_publisher_that_is_killed_and_started_again_loses_nothing(
    stage: Stage, seed: int
) -> None:
    listening = stage.listen()
    stage.network.spoil(BAD, BAD)
    load = load_of(stage, seed + 3)
    load.start()
    for _ in range(PUBLISHER_KILLS):
        time.sleep(SECONDS / PUBLISHER_KILLS / 2)
        killed = stage.exchange.kill(PUBLISHER)
        stage.exchange.wait_until_replaced(PUBLISHER, killed)
    time.sleep(SECONDS / 4)
    assert_same_books(stage, load, [listening])
    counts = listening.stop()
    print(counts)
    assert counts.session_changes == counts.unrecovered == counts.contradictions == 0


@pytest.mark.timeout(1_800)
def test_the_command_records_a_file_that_a_stranger_rebuilds_the_engines_books_from(
    stage: Stage, seed: int, tmp_path: Path
) -> None:
    path = tmp_path / "day.itch"
    stage.network.spoil(BAD, BAD)
    arguments = ["--url", stage.url, "--record", str(path), "--from-beginning", "--json"]
    process = subprocess.Popen(
        [
            *("ip", "netns", "exec", stage.network.listener),
            *(sys.executable, "-m", "cli.main", "listen", *arguments),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert "messages" in process.stderr.readline()
        load = load_of(stage, seed + 4)
        load.start()
        time.sleep(SECONDS / 2)
        following = assert_same_books(stage, load, [])
        while f"messages {following - 1:,} " not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60.0)
    finally:
        process.kill()
    found = json.loads(output)
    assert process.returncode == 0 and found["sound"], output
    assert found["shards"][0]["next_sequence"] == str(following)
    # Books by their first order, which names them: the two know instruments by number and symbol.
    books = strangers_books(path)
    expected = {rows[0][0]: rows for rows in engine_rows(stage.exchange).values() if rows}
    assert {rows[0][0]: rows for rows in books.values()} == expected
