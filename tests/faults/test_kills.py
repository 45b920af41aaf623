"""kill -9 of every role at random instants, under load: nothing acknowledged is lost, nothing is
there twice, and everything is as if nothing had happened."""

from __future__ import annotations

import pytest

from tests.faults.exchange import ROLES
from tests.faults.killer import Killer
from tests.faults.load import Load
from tests.faults.observer import Observer
from tests.faults.options import KILLS, NewExchange
from tests.faults.verdict import judge

SECONDS_A_KILL = 7.0
JUDGED_WITHIN_S = 400.0
ENOUGH_KILLS = 10  # of which some meet a command between the log and its answer


@pytest.mark.timeout(KILLS * SECONDS_A_KILL * 2 + JUDGED_WITHIN_S)
def test_roles_killed_at_random_instants_lose_and_repeat_nothing(
    new_exchange: NewExchange, seed: int
) -> None:
    # Snapshots often, so that restarts use them and some kills meet one.
    exchange = new_exchange(SNAPSHOT_COMMANDS="5000")
    exchange.start()
    credentials = exchange.run.read_credentials()
    load = Load.of(credentials, exchange.port, seed)
    observer = Observer(load, credentials, exchange.port, seed)
    seconds = KILLS * SECONDS_A_KILL
    killers = [Killer(exchange, role, kills=KILLS, seconds=seconds, seed=seed) for role in ROLES]

    load.start()
    observer.start()
    for killer in killers:
        killer.start()
    for killer in killers:
        killer.finish(seconds * 2)
    journal = load.stop()
    observer.stop()

    found = judge(exchange, journal, [observer])
    print(dict(found))
    assert [killer.killed for killer in killers] == [KILLS] * len(ROLES)
    assert found["snapshots"] > 0
    assert found["unanswered"] >= KILLS, "the kills met no requests"
    if KILLS >= ENOUGH_KILLS:
        assert found["submit 200 repeated"] > 0, "no retry met an order that was in the log"
    assert exchange.stop(10.0) == 0
