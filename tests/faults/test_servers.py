"""kill -9 of PostgreSQL and of Redis under load: matching goes on, reads say 503 or are older but
never wrong, and both read models recover exactly."""

from __future__ import annotations

from tests.faults.exchange import POSTGRES, REDIS
from tests.faults.killer import Killer
from tests.faults.load import Load
from tests.faults.observer import Observer
from tests.faults.options import KILLS, NewExchange
from tests.faults.verdict import judge

KILLS_SHARE = 4  # a server is killed for every so many kills of a role
SECONDS_A_KILL = 6.0


def test_servers_killed_at_random_instants_recover_exactly(
    new_exchange: NewExchange, seed: int
) -> None:
    exchange = new_exchange(SNAPSHOT_COMMANDS="5000")
    exchange.start()
    roles = {name: mark.pid for name, mark in exchange.state().roles.items()}
    credentials = exchange.run.read_credentials()
    load = Load.of(credentials, exchange.port, seed)
    observers = [Observer(load, credentials, exchange.port, seed + n) for n in range(2)]
    deaths = max(1, KILLS // KILLS_SHARE)
    seconds = deaths * SECONDS_A_KILL
    killers = [
        Killer(exchange, server, kills=deaths, seconds=seconds, seed=seed)
        for server in (POSTGRES, REDIS)
    ]

    load.start()
    for thread in (*observers, *killers):
        thread.start()
    for killer in killers:
        killer.finish(seconds * 4)
    journal = load.stop()
    for observer in observers:
        observer.stop()

    found = judge(exchange, journal, observers)
    print(dict(found))
    assert [killer.killed for killer in killers] == [deaths] * len(killers)
    refused = [name for name in found if name.startswith("read: ") and " 503 " in name]
    assert refused, "no read met a dead server"
    survived = {name: mark.pid for name, mark in exchange.state().roles.items()}
    assert survived == roles, "a role did not outlive a server"
    assert exchange.stop(10.0) == 0
