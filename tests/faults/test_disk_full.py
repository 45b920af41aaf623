"""No room for the logs: nothing is acknowledged, the refusal is clear, and everything goes on by
itself once there is room."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import psutil

from tests.faults.connection import Connection, Reply
from tests.faults.disks import Disk, FileSizeLimit, Keeper, SmallDisk
from tests.faults.exchange import FaultExchange, wait_for
from tests.faults.judge import heads_of
from tests.faults.load import Load
from tests.faults.observer import Observer
from tests.faults.options import NewExchange
from tests.faults.verdict import judge

BUSY = 300  # answers before anything goes wrong, and again after it
REFUSED_IN_A_ROW = 10  # of each client, until it counts as refused for good
WAIT_S = 60.0
ORDER = {"symbol": "KO", "side": "buy", "quantity": 1, "price": "70.0000"}


def wait_until_busy(load: Load) -> None:
    """Wait until every client has had answers again."""
    marks = [client.acknowledged + BUSY // len(load.clients) for client in load.clients]
    wait_for(
        "answers for every client",
        lambda: all(
            client.acknowledged > mark for client, mark in zip(load.clients, marks, strict=True)
        ),
        WAIT_S,
    )


def wait_until_refused(load: Load) -> None:
    """Wait until nobody has been answered anything but 503 for a while."""
    wait_for(
        "all clients to be refused",
        lambda: all(client.refused_in_a_row >= REFUSED_IN_A_ROW for client in load.clients),
        WAIT_S,
    )


def expect_not_written(reply: Reply) -> None:
    """The answer is a problem that says so, and when to come again."""
    assert (reply.status, reply.reason) == (503, "not_written"), reply
    assert reply.content_type == "application/problem+json"
    assert reply.retry_after is not None and int(reply.retry_after) >= 1
    assert reply.body["request_id"] and reply.body["detail"]


def expect_all_refused(exchange: FaultExchange) -> None:
    """Every way of writing is refused and the log stays as it is; the rest is answered."""
    connection = Connection(exchange.port, exchange.key("admin").key)
    before, _ = heads_of(exchange.logs, 0)
    expect_not_written(connection.send("POST", "/v1/orders", ORDER | {"client_order_id": "x-1"}))
    commands = [{"op": "submit", "client_order_id": f"x-{n}", **ORDER} for n in range(2, 10)]
    expect_not_written(connection.send("POST", "/v1/orders/batch", {"commands": commands}))
    expect_not_written(connection.send("DELETE", "/v1/orders?symbol=KO"))
    assert heads_of(exchange.logs, 0)[0] == before
    assert connection.send("GET", "/v1/books/KO").status == 200
    assert connection.send("GET", "/livez").status == 200
    connection.close()


def expect_sound_files(logs: Path) -> None:
    """SQLite itself finds nothing wrong in any of the files."""
    for path in sorted(logs.glob("*.sqlite")):
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], path


def expect_no_probe(exchange: FaultExchange) -> None:
    """What was refused, and never sent again, is not there."""
    answer = exchange.get("/v1/orders?limit=1000", exchange.key("admin").key)
    assert answer.json()["orders"] == []


def begin(exchange: FaultExchange, seed: int) -> tuple[Load, Observer]:
    """An exchange under load, with all well so far."""
    exchange.start()
    credentials = exchange.run.read_credentials()
    load = Load.of(credentials, exchange.port, seed)
    observer = Observer(load, credentials, exchange.port, seed)
    load.start()
    observer.start()
    wait_until_busy(load)
    return load, observer


def finish(exchange: FaultExchange, load: Load, observer: Observer) -> Counter[str]:
    """All well again: judge, and stop."""
    wait_until_busy(load)
    journal = load.stop()
    observer.stop()
    found = judge(exchange, journal, [observer])
    print(dict(found))
    expect_sound_files(exchange.logs)
    return found


def test_full_log_refuses_clearly_and_resumes(
    new_exchange: NewExchange, tmp_path: Path, seed: int
) -> None:
    with ExitStack() as stack:
        disk: Disk
        try:
            small = stack.enter_context(SmallDisk(tmp_path / "small").mounted())
        except PermissionError as error:
            print(f"no file system can be mounted here, so files may not grow instead: {error}")
            exchange = new_exchange()
            disk = FileSizeLimit(exchange, ("api", "matching"))
        else:
            exchange = new_exchange(LOG_DIR=str(small.folder / "log"))
            disk = small
        stack.callback(exchange.end, keep=True)
        load, observer = begin(exchange, seed)
        with Keeper(disk):
            wait_until_refused(load)
            expect_all_refused(exchange)
            # Whoever starts now has no room for a log's index either, and is started again.
            for role in ("api", "matching"):
                exchange.kill(role)
        found = finish(exchange, load, observer)
        expect_no_probe(exchange)
        assert found["503 not_written"] >= REFUSED_IN_A_ROW * len(load.clients)
        assert exchange.stop(10.0) == 0


def test_full_event_log_delays_outcomes_and_loses_nothing(
    new_exchange: NewExchange, seed: int
) -> None:
    exchange = new_exchange()
    load, observer = begin(exchange, seed)
    connection = Connection(exchange.port, exchange.key("admin").key)
    with Keeper(FileSizeLimit(exchange, ("matching",))):
        for _ in range(2):
            exchange.wait_until_replaced("matching", dying(exchange))
        reply = connection.send("POST", "/v1/orders", ORDER | {"client_order_id": "x-1"})
        assert reply.status == 202, reply
        status_url = reply.body["status_url"]
        late = connection.send("GET", status_url)
        assert (late.status, late.reason) == (503, "behind"), late
    connection.close()  # the API ends it too, when nothing comes for some seconds
    found = finish(exchange, load, observer)
    there = connection.send("GET", status_url)
    assert (there.status, there.body["client_order_id"]) == (200, "x-1"), there
    connection.close()
    assert found["submit 202 pending"] > 0
    assert exchange.stop(10.0) == 0


def dying(exchange: FaultExchange) -> psutil.Process:
    """The present matcher."""
    return wait_for("a matcher", lambda: exchange.process("matching"), WAIT_S)
