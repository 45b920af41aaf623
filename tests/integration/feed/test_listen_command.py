"""`crossbook listen` as a user has it: processes of its own, against a publisher that spoils its
lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.feed.market import PlainBook
from tests.feed.publisher import Faults, Publisher, free_port
from tests.integration.feed.conftest import NewPublisher
from tests.unit.feed.test_recording import strangers_books

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 60.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if "CROSSBOOK" not in name}


def listen(*arguments: str) -> subprocess.Popen[str]:
    """Start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", "listen", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ran(*arguments: str) -> tuple[int, str, str]:
    """Run it in this process: exit code and what it said."""
    result = CliRunner().invoke(app, ["listen", *arguments])
    return result.exit_code, result.stdout, result.stderr


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code and what it said."""
    output, errors = process.communicate(timeout=WAIT_S)
    return process.returncode, output, errors


def levels(book: PlainBook, side: str) -> list[list[Any]]:
    """Levels as the JSON summary has them, best first."""
    sums: dict[int, list[int]] = {}
    for _, of_side, price, quantity in book.rows():
        if of_side == side:
            level = sums.setdefault(price, [0, 0])
            level[0] += quantity
            level[1] += 1
    return [[f"{price / 10_000:.4f}", *level] for price, level in sums.items()]


def spoil(publisher: Publisher, process: subprocess.Popen[str]) -> None:
    """Publish under loss until the listener has begun and seen some of it, then quietly."""
    assert process.stderr is not None
    process.stderr.readline()  # with --json, its lines go there: it listens
    for line in publisher.lines.values():
        line.faults = Faults(loss=0.3, reordering=0.05, duplicates=0.02)
    for _ in range(20):
        publisher.publish(100)
        time.sleep(0.01)
    for line in publisher.lines.values():
        line.faults = Faults()
    publisher.publish(20)
    publisher.end()


def test_listens_records_and_tells_what_it_recovered(
    new_publisher: NewPublisher, tmp_path: Path
) -> None:
    publisher, path = new_publisher(), tmp_path / "day.itch"
    publisher.publish(500)
    process = listen("--url", publisher.url, "--json", "--depth", "0", "--record", str(path))
    spoil(publisher, process)
    code, output, errors = ended(process)
    assert code == 0, errors
    found = json.loads(output)
    assert found["sound"] and found["missing"] == found["unrecovered"] == 0
    assert sum(found["recovered"].values()) > 0
    shard = found["shards"][0]
    assert shard["next_sequence"] == str(publisher.next_sequence) and shard["ended"]
    for symbol, book in publisher.market.books.items():
        assert found["books"][symbol]["bids"] == levels(book, "B")
        assert found["books"][symbol]["asks"] == levels(book, "S")
    assert found["recorded"] == [str(path)]
    assert strangers_books(path) == {
        symbol: book.rows() for symbol, book in publisher.market.books.items()
    }
    code, output, errors = ran("--from-file", str(path), "--json", "--depth", "0")
    assert code == 0, errors
    assert json.loads(output)["books"].keys() == found["books"].keys()
    for symbol, book in json.loads(output)["books"].items():
        assert {**found["books"][symbol], "trades": 0} == {**book, "trades": 0}


def test_an_unrecovered_gap_is_told_and_fails(new_publisher: NewPublisher) -> None:
    publisher = new_publisher(services=[])
    publisher.publish(100)
    line = publisher.lines["A"]

    def lose_some() -> None:
        """A hundred messages in five hundred."""
        number = 0
        while not publisher.stopping.wait(0.1):
            number += 1
            line.faults = Faults(loss=0.0 if number % 5 else 1.0)
            publisher.publish(100)

    threading.Thread(target=lose_some, daemon=True).start()
    place = f"{line.group}:{line.port}"
    code, output, _ = ran("--group-a", place, "--session", "TEST000001", "--duration", "3")
    assert code == 1
    assert "messages given up" in output
    assert "UNSOUND" in output or "MISSING" in output


def test_ctrl_c_ends_it_with_the_summary(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    publisher.publish(100)
    process = listen("--url", publisher.url, "--symbols", "MSFT")
    assert process.stdout is not None
    assert "MSFT" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    code, output, errors = ended(process)
    assert (code, errors) == (0, "")
    assert "listened for" in output and "nothing is missing" in output


def test_hearing_nothing_fails_and_says_where_to_look() -> None:
    code, _, errors = ran("--group-a", f"239.192.77.9:{free_port()}", "--duration", "0.5")
    assert code == 1
    assert "nothing was heard on any line" in errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--line", "C"), "--line is A, B or both; not 'C'"),
        (("--group-a", "239.1.1.1"), "--group-a is HOST:PORT; not '239.1.1.1'"),
        (("--url", "http://x", "--group-a", "239.1.1.1:5"), "exclude each other"),
        (("--rerequest", "x:5"), "--rerequest, --snapshot and --session go with"),
        (("--from-file", "x", "--record", "y"), "nothing to record of a file"),
    ],
)
def test_wrong_usage_is_told_in_a_line(arguments: tuple[str, ...], told: str) -> None:
    code, _, errors = ran(*arguments)
    assert code == 2
    assert told in errors and len(errors.splitlines()) == 1


def test_errors_are_told_in_a_line(tmp_path: Path) -> None:
    damaged = tmp_path / "bad.itch"
    damaged.write_bytes(b"\0\x05hello")
    for arguments, told in (
        (("--url", "http://127.0.0.1:9"), "refused"),
        (("--group-a", "10.1.1.1:5"), "no multicast group"),
        (("--from-file", str(damaged)), "byte 0"),
        (("--data-dir", str(tmp_path)), "no exchange runs"),
    ):
        code, _, errors = ran(*arguments)
        assert code == 1
        assert told in errors and len(errors.splitlines()) == 1, errors
