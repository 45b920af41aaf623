"""The end of `crossbook up` under load, wanted or not: the next one goes on with the same books."""

from __future__ import annotations

import signal
from collections import Counter
from functools import partial

import psutil

from tests.faults.exchange import (
    POSTGRES,
    REDIS,
    RESTART_WAIT_S,
    ROLES,
    SUPERVISOR,
    FaultExchange,
    wait_for,
)
from tests.faults.judge import heads_of
from tests.faults.load import Load
from tests.faults.observer import Observer
from tests.faults.options import NewExchange
from tests.faults.verdict import judge

BUSY = 600
WAIT_S = 60.0
STOP_WITHIN_S = 10.0
SERVERS = (POSTGRES, REDIS)


def begin(exchange: FaultExchange, seed: int) -> tuple[Load, Observer]:
    """An exchange under load."""
    exchange.start()
    credentials = exchange.run.read_credentials()
    load = Load.of(credentials, exchange.port, seed)
    observer = Observer(load, credentials, exchange.port, seed)
    load.start()
    observer.start()
    wait_for("answers", lambda: load.acknowledged > BUSY, WAIT_S)
    return load, observer


def finish(exchange: FaultExchange, load: Load, observer: Observer) -> Counter[str]:
    """Some more load on the exchange that was started again; then judge, and stop."""
    before = load.acknowledged
    wait_for("answers again", lambda: load.acknowledged > before + BUSY, WAIT_S)
    journal = load.stop()
    observer.stop()
    found = judge(exchange, journal, [observer])
    print(dict(found))
    assert exchange.stop(STOP_WITHIN_S) == 0
    return found


def living(exchange: FaultExchange, names: tuple[str, ...]) -> dict[str, psutil.Process]:
    """Processes by name; all must run."""
    return {name: wait_for(name, partial(exchange.process, name), RESTART_WAIT_S) for name in names}


def test_roles_end_without_supervisor_and_servers_are_adopted(
    new_exchange: NewExchange, seed: int
) -> None:
    exchange = new_exchange()
    load, observer = begin(exchange, seed)
    roles, servers = living(exchange, ROLES), living(exchange, SERVERS)

    exchange.kill(SUPERVISOR)

    _, left = psutil.wait_procs(roles.values(), timeout=RESTART_WAIT_S)
    assert not left, "a role outlived the supervisor"
    assert all(process.is_running() for process in servers.values())
    exchange.start()
    assert living(exchange, SERVERS) == servers, "the servers were not adopted"
    finish(exchange, load, observer)


def test_everything_killed_at_once_goes_on_as_it_was(new_exchange: NewExchange, seed: int) -> None:
    exchange = new_exchange(SNAPSHOT_COMMANDS="2000")
    load, observer = begin(exchange, seed)
    # The supervisor first, so that it starts nothing again.
    victims = living(exchange, (*ROLES, *SERVERS))
    exchange.kill(SUPERVISOR)
    for process in victims.values():
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(victims.values(), timeout=RESTART_WAIT_S)
    exchange.start()
    finish(exchange, load, observer)


def test_stops_cleanly_under_load(new_exchange: NewExchange, seed: int) -> None:
    exchange = new_exchange(SHARDS="3")
    load, observer = begin(exchange, seed)
    everything = living(exchange, (*ROLES, *SERVERS))

    assert exchange.stop(STOP_WITHIN_S) == 0

    expect_all_gone(exchange, everything)
    exchange.start()
    finish(exchange, load, observer)


def test_stops_in_time_though_the_matcher_hangs(new_exchange: NewExchange, seed: int) -> None:
    # Nobody is answered before the end: requests are out when the API stops.
    exchange = new_exchange(OUTCOME_WAIT_MS="20000")
    load, observer = begin(exchange, seed)
    everything = living(exchange, (*ROLES, *SERVERS))
    everything["matching"].suspend()
    before, _ = heads_of(exchange.logs, 0)
    wait_for("requests out", lambda: heads_of(exchange.logs, 0)[0] > before + 1, WAIT_S)

    assert exchange.stop(STOP_WITHIN_S) == 0

    expect_all_gone(exchange, everything)
    exchange.start()
    found = finish(exchange, load, observer)
    assert found["503 stopping"] == len(load.clients), "somebody was not told"


def expect_all_gone(exchange: FaultExchange, everything: dict[str, psutil.Process]) -> None:
    """A clean stop leaves nothing running, and says so."""
    left = [name for name, process in everything.items() if process.is_running()]
    assert not left, "processes outlived a clean stop"
    assert not exchange.run.state_path.exists()
