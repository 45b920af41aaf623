"""`crossbook cluster up|status|down`: the whole distributed topology, on a real broker.

The tests run in order on one cluster of two shards; the later ones kill parts of it, stop it, and
start it again on what it left.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from cli.cluster import ClusterFolder, Topology
from cli.cluster_status import ClusterStatus, collect
from cli.settings import Settings
from crossbook_client import Crossbook, MarketStream, OrderResult, Retries
from tests.property.itch_book import ItchMarket, unpack

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 120.0
SHARDS = 2
SYMBOLS = ("AAPL", "MSFT", "NVDA", "KO")  # two of each shard, as they are listed in turn
PATIENT = Retries(total_s=WAIT_S)

pytestmark = pytest.mark.timeout(600)


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.1)


class Cluster:
    """A cluster of its own on one data folder, commanded as a user does."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.folder = ClusterFolder(data_dir)
        kept = {name: value for name, value in os.environ.items() if "CROSSBOOK" not in name}
        self.environment = {
            **kept,
            "CROSSBOOK_DATA_DIR": str(data_dir),
            "CROSSBOOK_PORT": "0",
        }
        self.seen: set[psutil.Process] = set()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", "cluster", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        done = self.command("up", "--shards", str(SHARDS))
        assert done.returncode == 0, done.stdout + done.stderr + self.said()
        self.look()
        return done

    def said(self) -> str:
        logs = sorted(self.folder.logs_dir.glob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text()[-2_000:]}" for log in logs)

    def status(self) -> ClusterStatus:
        """What `crossbook cluster status` shows, without the start of a process for it."""
        settings = Settings(data_dir=self.data_dir)
        return collect(settings, self.folder)

    def look(self) -> dict[str, int | None]:
        """Every part's pid; all of them are remembered."""
        pids = {part.name: part.pid for part in self.status().parts}
        supervisor = self.folder.supervisor()
        assert supervisor is not None
        self.seen.add(supervisor)
        for pid in pids.values():
            with contextlib.suppress(psutil.NoSuchProcess):  # ended since: never to be seen again
                self.seen |= {psutil.Process(pid)} if pid is not None else set()
        return pids

    def kill(self, *names: str) -> None:
        """kill -9, and wait until all is well again with others in their place."""
        before = self.look()
        for name in names:
            pid = before[name]
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

        def well() -> bool:
            now = self.look()
            replaced = all(now[name] not in (None, before[name]) for name in names)
            return replaced and self.status().healthy

        until(well, f"all well after a kill of {names}")

    def client(self, api: str) -> Crossbook:
        state = self.folder.read_cluster()
        assert state is not None
        key = self.folder.read_credentials()["demo"].key
        return Crossbook(state.apis[api], key, retries=PATIENT)

    def alive(self) -> list[psutil.Process]:
        return [each for each in self.seen if each.is_running() and each.status() != "zombie"]


@pytest.fixture(scope="module")
def cluster(java_and_maven: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.up()
        yield made
    finally:
        made.command("down")


def trade_everywhere(cluster: Cluster, round_name: str) -> list[str]:
    """Buy one share of each symbol at one API, under an id of its own, and see the order in the
    book that the other API shows. Returns the orders' positions."""
    positions = []
    with cluster.client("api-1") as first, cluster.client("api-2") as second:
        for symbol in SYMBOLS:
            name = f"{round_name}-{symbol}"
            before = second.book(symbol)
            held = sum(level.order_count for level in before.bids)
            sent: OrderResult = first.submit(symbol, "buy", 1, price="1.00", client_order_id=name)
            assert sent.status in (200, 201, 202), sent
            order = second.order(client_order_id=name, symbol=symbol, min_position=sent.position)
            assert order.leaves_quantity == 1
            book = second.book(symbol, min_position=sent.position)
            assert sum(level.order_count for level in book.bids) == held + 1
            positions.append(sent.position)
    return positions


def trade_while_streaming(cluster: Cluster, round_name: str) -> None:
    """Trade at one API, and have the books that the other one streams come to equal REST's."""
    state = cluster.folder.read_cluster()
    assert state is not None
    with (
        MarketStream(state.apis["api-2"], retry_s=WAIT_S) as stream,
        cluster.client("api-2") as client,
    ):
        stream.subscribe("level2", SYMBOLS)
        while len(stream.books) < len(SYMBOLS):
            stream.next(WAIT_S)
        begun_at = {symbol: stream.books[symbol].sequence for symbol in SYMBOLS}
        trade_everywhere(cluster, round_name)
        for symbol in SYMBOLS:
            book, streamed = client.book(symbol, depth=1_000), stream.books[symbol]
            assert book.sequence > begun_at[symbol]
            while streamed.sequence < book.sequence:
                stream.next(WAIT_S)
            assert [streamed.bids, streamed.asks] == [book.bids, book.asks]
        assert stream.resyncs == 0


def test_everything_runs_and_says_where(cluster: Cluster) -> None:
    done = cluster.command("status", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    status = json.loads(done.stdout)
    assert status["healthy"], status
    names = [part["name"] for part in status["parts"]]
    assert names == ["kafka", "redis", "postgres"] + [part.name for part in Topology().parts()]
    assert all(part["pid"] for part in status["parts"])
    assert all(part["address"] for part in status["parts"])
    assert [shard["shard"] for shard in status["shards"]] == list(range(SHARDS))
    assert all(shard["written"] > 0 for shard in status["shards"])


def test_a_second_up_changes_nothing(cluster: Cluster) -> None:
    before = cluster.look()
    again = cluster.up()
    assert "runs on" in again.stdout
    assert cluster.look() == before
    other = cluster.command("up", "--shards", str(SHARDS + 1))
    assert other.returncode == 1
    assert f"this cluster has {SHARDS} shards" in other.stderr


def test_an_order_at_one_api_is_in_the_book_of_the_other(cluster: Cluster) -> None:
    positions = trade_everywhere(cluster, "first")
    assert {position.partition("-")[0] for position in positions} == {"0", "1"}


def test_an_order_at_one_api_is_streamed_by_the_other(cluster: Cluster) -> None:
    trade_while_streaming(cluster, "streamed")


def feeds(url: str) -> dict[int, tuple[str, list[bytes]]]:
    """(session, messages) of every shard's feed, all that an API gives out; none while the
    publisher is being started again.
    """
    found = {}
    for shard in httpx.get(f"{url}/v1/feed", trust_env=False).json()["shards"]:
        messages: list[bytes] = []
        while len(messages) < int(shard["next_sequence"]) - 1:
            wanted = {"from": len(messages) + 1, "count": 5_000}
            address = f"{url}{shard['messages_url']}"
            answer = httpx.get(address, params=wanted, trust_env=False)
            if answer.status_code == 503:
                return {}
            if answer.status_code == 404 and answer.json()["reason"] == "unknown_shard":
                return {}  # it left the list since that was read
            assert answer.status_code == 200, answer.text
            messages += unpack(answer.content)[2]
        found[int(shard["shard"])] = (shard["session"], messages)
    return found


def published_books(url: str) -> dict[bytes, list[tuple[str, int]]]:
    """(side, price) of every published order, by symbol."""
    books = {}
    for _, messages in feeds(url).values():
        market = ItchMarket()
        for message in messages:
            market.apply(message)
        for number, symbol in market.symbols.items():
            books[symbol.strip()] = [(order[1], order[2]) for order in market.book(number)]
    return books


def test_every_shard_is_published_and_any_api_gives_it_out(cluster: Cluster) -> None:
    state = cluster.folder.read_cluster()
    assert state is not None
    trade_everywhere(cluster, "published")
    urls = list(state.apis.values())

    def agrees(url: str) -> bool:
        books = published_books(url)
        with cluster.client("api-1") as client:
            for symbol in SYMBOLS:
                bids = [price for side, price in books.get(symbol.encode(), ()) if side == "B"]
                levels = client.book(symbol, depth=1_000).bids
                if len(bids) != sum(level.order_count for level in levels):
                    return False
        return True

    for url in urls:
        until(lambda url=url: agrees(url), f"the feed as {url} gives it out")
    before = feeds(urls[0])
    assert sorted(before) == list(range(SHARDS))
    assert len({session for session, _ in before.values()}) == SHARDS
    cluster.kill("multicast-1")
    until(lambda: len(feeds(urls[1])) == SHARDS, "every shard is published again")
    for shard, (session, messages) in feeds(urls[1]).items():
        assert session == before[shard][0]
        assert messages[: len(before[shard][1])] == before[shard][1]


def test_it_survives_kills_of_its_processes(cluster: Cluster) -> None:
    cluster.kill("matching-1", "matching-2", "redis-1", "api-2")
    trade_everywhere(cluster, "processes")


def test_it_survives_a_kill_of_its_broker(cluster: Cluster) -> None:
    cluster.kill("kafka")
    trade_everywhere(cluster, "broker")
    trade_while_streaming(cluster, "after-broker")


def test_down_leaves_no_process_and_up_finds_everything_again(cluster: Cluster) -> None:
    with cluster.client("api-1") as client:
        before = {symbol: client.book(symbol).bids for symbol in SYMBOLS}
    done = cluster.command("down")
    assert done.returncode == 0, done.stderr
    assert cluster.alive() == []
    assert list(cluster.folder.processes()) == []
    assert cluster.command("down").returncode == 0
    assert cluster.command("status").returncode == 1

    cluster.up()
    with cluster.client("api-1") as client:
        assert {symbol: client.book(symbol).bids for symbol in SYMBOLS} == before
    trade_everywhere(cluster, "again")


def test_down_leaves_no_process_of_a_supervisor_that_was_killed(cluster: Cluster) -> None:
    supervisor = cluster.folder.supervisor()
    assert supervisor is not None
    supervisor.kill()
    supervisor.wait(WAIT_S)
    assert cluster.alive() != []
    done = cluster.command("down")
    assert done.returncode == 0, done.stderr
    assert cluster.alive() == []
    assert list(cluster.folder.processes()) == []
