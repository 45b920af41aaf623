"""One exchange and one network for all tests of a module; the test's own thread is in the
exchange's namespace meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.faults.exchange import FaultExchange
from tests.faults.feed.listening import Listening
from tests.faults.feed.network import CLEAN, EXCHANGE, Network, inside, need_network
from tests.faults.options import SEED

LINES = (("239.255.77.1", 26_400), ("239.255.77.2", 26_500))


@dataclass
class Stage:
    """An exchange in its namespace, and the way to listeners."""

    exchange: FaultExchange
    network: Network
    listeners: list[Listening] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The API as listeners reach it."""
        return f"http://{EXCHANGE}:{self.exchange.port}"

    def listen(self, **options: object) -> Listening:
        """Start a listener in its namespace, and wait until it has joined."""
        listening = Listening(self.network.listener, self.url, **options)
        self.listeners.append(listening)
        listening.start()
        assert listening.joined.wait(60.0), listening.error
        return listening


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The module's stage; its exchange publishes into the network."""
    need_network()
    network = Network(LINES)
    try:
        network.open(random.Random(SEED).randrange(10**9))
        with inside(network.exchange):
            exchange = FaultExchange(
                tmp_path_factory.mktemp("feed"),
                HOST="0.0.0.0",
                FEED_INTERFACE=EXCHANGE,
                FEED_HOST=EXCHANGE,
                FEED_GROUP_A=LINES[0][0],
                FEED_GROUP_B=LINES[1][0],
            )
            try:
                exchange.start()
                yield Stage(exchange, network)
            finally:
                print(exchange.said())
                exchange.end(keep=False)
    finally:
        network.close()


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    """The stage with clean lines and no listener."""
    running.network.spoil(CLEAN, CLEAN)
    yield running
    while running.listeners:
        running.listeners.pop().stop()
