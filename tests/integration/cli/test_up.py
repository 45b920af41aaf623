"""`crossbook up` and the commands beside it, as a user has them: real processes, real servers.

The tests run in order on one exchange; the last ones kill and stop it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from cli.addresses import is_ready
from cli.run_state import ExchangeState, ProcessMark, RunFolder
from crossbook_client import ApiError, Crossbook, Limits, SubmitCommand

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 60.0


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


class Up:
    """`crossbook up` in a process of its own, on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.output = folder / "up.log"
        self.run = RunFolder(self.data_dir)
        kept = {name: value for name, value in os.environ.items() if "CROSSBOOK" not in name}
        self.environment = {
            **kept,
            "CROSSBOOK_DATA_DIR": str(self.data_dir),
            "CROSSBOOK_PORT": "0",
            "CROSSBOOK_SIMULATE_RATE": "50",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up"],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until(self.is_up, f"up: {self.output.read_text()}")

    def is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output.read_text()
        state = self.run.read_state()
        if state is None or state.supervisor.pid != self.process.pid:
            return False
        return "simulator" in state.roles and is_ready(state.url)[0]

    @property
    def state(self) -> ExchangeState:
        return self.run.running()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def client(self, account: str) -> Crossbook:
        return Crossbook(self.state.url, self.run.read_credentials()[account].key)

    def stop(self) -> None:
        """What a test left behind, by pid."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=WAIT_S)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    exchange = Up(tmp_path_factory.mktemp("exchange"))
    exchange.start()
    yield exchange
    exchange.stop()


def test_a_first_start_lists_instruments_and_prints_what_a_newcomer_needs(up: Up) -> None:
    until(lambda: " trade" in up.output.read_text(), "trades in the output")
    said = up.output.read_text()
    assert "listed 50 instruments" in said
    assert f"API          {up.state.url}" in said
    assert up.run.read_credentials()["demo"].key in said
    assert "Traceback" not in said


def test_a_second_up_on_the_same_folder_names_the_first(up: Up) -> None:
    second = up.command("up")
    assert second.returncode == 1
    assert up.state.url in second.stdout


def test_status_and_doctor_find_it_well(up: Up) -> None:
    status = up.command("status", "--json")
    assert status.returncode == 0, status.stdout + status.stderr
    found = json.loads(status.stdout)
    assert found["healthy"]
    roles = {"api", "matching", "projections", "multicast", "simulator"}
    assert set(found["pids"]) == roles
    assert found["shards"][0]["multicast"] > 0
    doctor = up.command("doctor")
    assert doctor.returncode == 0, doctor.stdout


def test_the_example_file_plays_back_to_its_own_book(up: Up) -> None:
    played = up.command(
        "play",
        "examples/XBOK_message_1.csv",
        "--orderbook",
        "examples/XBOK_orderbook_1.csv",
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert "acknowledged 2,935, lost 0, twice 0" in played.stdout
    assert "1,434 of them (100.0%)" in played.stdout


def test_simulate_sends_at_its_rate(up: Up) -> None:
    done = up.command("simulate", "--rate", "400", "--duration", "2", "--symbols", "AAPL,BRK/A")
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"sent ([\d,]+) commands", done.stdout)
    assert found is not None, done.stdout
    # A machine that is busy sends fewer; never more than the rate allows.
    assert 0 < int(found[1].replace(",", "")) <= 800
    unknown = up.command("simulate", "--symbols", "NOPE", "--duration", "1")
    assert unknown.returncode == 1
    assert unknown.stderr.strip() == "crossbook: not listed: NOPE"


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_read_models_are_built_again_while_it_runs(up: Up, name: str) -> None:
    done = up.command("rebuild", name)
    assert done.returncode == 0, done.stderr
    assert f"{name}, shard 0: built again to position" in done.stdout
    assert is_ready(up.state.url)[0]


def test_the_client_speaks_the_whole_api(up: Up) -> None:
    with up.client("admin") as boss, up.client("demo") as exchange:
        symbol = boss.admin.list_instrument("TEST/A", "0.01", reference_price="10").symbol
        assert exchange.instrument(symbol).tick_size == Decimal("0.01")
        buy = exchange.submit(symbol, "buy", 100, price="10.00", client_order_id="a/b")
        assert (buy.outcome, buy.state) == ("accepted", "open")
        again = exchange.submit(symbol, "buy", 100, price="10.00", client_order_id="a/b")
        assert (again.outcome, again.order_id) == ("repeated", buy.order_id)
        sell = exchange.submit(symbol, "sell", 40, price=Decimal("10"), time_in_force="ioc")
        assert (sell.executed_quantity, sell.average_price) == (40, Decimal(10))
        reduced = exchange.replace(client_order_id="a/b", symbol=symbol, quantity=90)
        assert reduced.leaves_quantity == 50
        order = exchange.order(client_order_id="a/b", symbol=symbol, min_position=reduced.position)
        assert (order.executed_quantity, order.leaves_quantity, order.quantity) == (40, 50, 90)
        book = exchange.book(symbol, min_position=reduced.position)
        assert [(each.price, each.quantity) for each in book.bids] == [(Decimal(10), 50)]
        deltas = exchange.deltas(symbol, 1)
        assert deltas.sequence == book.sequence
        assert exchange.trades(symbol, min_position=sell.position).trades[0].quantity == 40
        batch = exchange.batch(
            [SubmitCommand(symbol, "sell", 5, "11"), SubmitCommand(symbol, "sell", 5, "11.001")]
        )
        assert [item.status for item in batch.results] == [201, 422]
        mass = exchange.mass_cancel(symbol)
        assert mass.cancelled_count == 2
        page = exchange.orders(symbol=symbol, state="cancelled", min_position=mass.position)
        assert buy.order_id in {each.order_id for each in page.orders}
        with pytest.raises(ApiError, match="422 too_late"):
            exchange.cancel(buy.order_id)
        with pytest.raises(ApiError) as refused:
            exchange.admin.accounts()
        assert refused.value.status == 403
        assert boss.admin.set_state(symbol, "closed").state == "closed"


def test_the_client_administers_accounts(up: Up) -> None:
    with up.client("admin") as boss:
        limits = Limits(order_quantity_max=10, order_notional_max=Decimal(1000))
        made = boss.admin.create_account("tester", limits)
        assert boss.admin.account(made.account).limits == limits
        key = boss.admin.create_key(made.account, ["trade"])
        with Crossbook(up.state.url, key.key) as exchange:
            with pytest.raises(ApiError, match="order_quantity_limit"):
                exchange.submit("AAPL", "buy", 11, price="230")
            assert boss.admin.kill(made.account).state == "killed"
            with pytest.raises(ApiError, match="account_killed"):
                exchange.submit("AAPL", "buy", 1, price="230")
            assert boss.admin.revive(made.account).state == "active"
            boss.admin.set_limits(made.account, Limits())
            boss.admin.revoke_key(made.account, key.key_id)
            until(lambda: _refused(exchange), "the key is revoked")
        assert boss.admin.account(made.account).keys[0].revoked


def _refused(exchange: Crossbook) -> bool:
    try:
        exchange.orders()
    except ApiError as error:
        return error.status == 401
    return False


@pytest.mark.parametrize("role", ["matching", "projections", "api", "simulator"])
def test_a_killed_role_is_started_again(up: Up, role: str) -> None:
    with up.client("demo") as exchange:
        name = f"before-{role}"
        placed = exchange.submit("AAPL", "buy", 1, price="210", client_order_id=name)
        before = up.state.roles[role]
        os.kill(before.pid, signal.SIGKILL)
        until(lambda: up.state.roles.get(role, before).pid != before.pid, f"{role} again")
        until(lambda: is_ready(up.state.url)[0], "ready again")
        order = exchange.order(placed.order_id, min_position=placed.position)
        assert (order.state, order.leaves_quantity) == ("open", 1)

        def repeated() -> bool:
            # Pending, where the matcher takes more than two seconds to be back.
            again = exchange.submit("AAPL", "buy", 1, price="210", client_order_id=name)
            assert again.outcome in ("repeated", "pending")
            return again.order_id == placed.order_id and again.outcome == "repeated"

        until(repeated, "the same order")
    assert f"{role} killed by SIGKILL; starting it again" in up.output.read_text()


def gone(mark: ProcessMark) -> bool:
    return mark.process() is None


def test_a_killed_supervisor_takes_its_roles_along_and_the_next_one_goes_on(up: Up) -> None:
    assert up.process is not None
    with up.client("demo") as exchange:
        placed = exchange.submit("MSFT", "buy", 3, price="390", time_in_force="gtc")
    roles = dict(up.state.roles)
    up.process.kill()
    up.process.wait()
    until(lambda: all(gone(mark) for mark in roles.values()), "the roles end")
    servers = servers_of(up)
    assert set(servers) == {"postgres", "redis"}
    up.start()
    assert servers_of(up) == servers
    with up.client("demo") as exchange:
        assert exchange.order(placed.order_id).leaves_quantity == 3


def servers_of(up: Up) -> dict[str, int]:
    """The pids of the servers that work in this data folder, by name."""
    found = {}
    for name in ("postgres", "redis"):
        pid_file = up.data_dir / name / ("postmaster.pid" if name == "postgres" else "redis.pid")
        pid = int(pid_file.read_text().split()[0])
        if psutil.pid_exists(pid):
            found[name] = pid
    return found


def test_ctrl_c_stops_everything_within_ten_seconds(up: Up) -> None:
    assert up.process is not None
    marks = [*up.state.roles.values(), *map(ProcessMark.of, servers_of(up).values())]
    began = time.monotonic()
    os.killpg(up.process.pid, signal.SIGINT)
    assert up.process.wait(timeout=10) == 0, up.output.read_text()
    assert time.monotonic() - began < 10
    assert all(gone(mark) for mark in marks)
    assert up.output.read_text().endswith("stopping\nstopped\n")
    assert up.command("status").returncode == 1


def test_reset_leaves_nothing_and_the_next_start_is_a_first_one(up: Up) -> None:
    done = up.command("reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert list(up.data_dir.iterdir()) == []
