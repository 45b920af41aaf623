"""Workers, and one cluster for all tests of a module; the seed is that of the other fault tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers import KafkaServer
from tests.faults.kafka.cluster import FaultCluster
from tests.integration.workers.conftest import start_worker as start_worker


@pytest.fixture(scope="session")
def own_broker(
    kafka_server: KafkaServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaServer]:
    """A broker that a test may kill. `kafka_server`: skips where no broker can be started."""
    server = KafkaServer(tmp_path_factory.mktemp("broker") / "kafka")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cluster(
    own_broker: KafkaServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultCluster]:
    """A cluster that runs."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    found = FaultCluster(folder, own_broker.bootstrap_servers, SNAPSHOT_COMMANDS="500")
    try:
        found.start()
        yield found
    finally:
        print(found.said())
        found.end(keep=False)
