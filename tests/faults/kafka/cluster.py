"""A real cluster for a fault test: `crossbook cluster up` in a folder of its own.

Guarantees: as of `FaultExchange`; and the judge of the embedded mode finds its logs in files,
copied from the broker at the moment when it asks for them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from cli.addresses import is_ready
from cli.cluster import ClusterFolder, ClusterState
from cli.run_state import Credential
from cli.settings import Settings
from streams.kafka.connection import KafkaConnection
from tests.faults.exchange import ROOT, START_WAIT_S, FaultExchange, wait_for
from tests.faults.load import Load
from tests.integration.workers.copies import copy_logs
from tests.integration.workers.processes import judge_events

SHARDS: Final = 2
APIS: Final = 2
MATCHERS: Final = 2


class FaultCluster(FaultExchange):
    """One cluster in `folder`, on a broker that is the test's to stop: two shards, two gateways,
    two matching workers, one of all else.
    """

    def __init__(self, folder: Path, broker: str, **settings: str) -> None:
        alone = {"KAFKA_REPLICATION_FACTOR": "1", "KAFKA_MIN_INSYNC_REPLICAS": "1"}
        settings = {"KAFKA_BOOTSTRAP_SERVERS": broker, **alone, **settings}
        super().__init__(folder, **settings)
        self.run: ClusterFolder = ClusterFolder(folder / "data")
        self.settings = Settings.model_validate(
            {
                **{name.lower(): value for name, value in settings.items()},
                "data_dir": self.run.data_dir,
                "port": self.port,
                "shards": SHARDS,
            }
        )
        self._copies: Path | None = None
        self._copied = 0

    def start(self) -> None:
        """Start it and wait until every gateway is ready."""
        assert self._up is None, "it was started already"
        arguments = ["--foreground", "--data-dir", str(self.folder / "data")]
        arguments += ["--shards", str(SHARDS), "--api", str(APIS), "--matching", str(MATCHERS)]
        with self.log_path.open("ab") as output:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "cluster", "up", *arguments],
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for("the cluster to be ready", self._is_ready, START_WAIT_S)

    def _is_ready(self) -> bool:
        assert self._up is not None
        assert self._up.poll() is None, f"`up` ended with {self._up.returncode}:\n{self.said()}"
        state = self.run.read_cluster()
        return (
            state is not None
            and state.ready
            and all(is_ready(url)[0] for url in state.apis.values())
        )

    @property
    def cluster(self) -> ClusterState:
        """The present `cluster.json`."""
        state = self.run.read_cluster()
        assert state is not None
        return state

    @property
    def ports(self) -> list[int]:
        """Of the gateways."""
        return [int(url.rpartition(":")[2]) for url in self.cluster.apis.values()]

    @property
    def url(self) -> str:
        """Where the first API is."""
        return next(iter(self.cluster.apis.values()))

    @property
    def connection(self) -> KafkaConnection:
        """To the cluster's broker."""
        return KafkaConnection(self.cluster.kafka)

    def load(self, seed: int, clients: int = 3) -> Load:
        """Clients of every gateway."""
        credentials: dict[str, Credential] = self.run.read_credentials()
        loads = [
            Load.of(credentials, port, seed * 10 + number, clients)
            for number, port in enumerate(self.ports)
        ]
        return Load([client for load in loads for client in load.clients])

    # --- for the judge ----------------------------------------------------------------------------

    @property
    def logs(self) -> Path:
        """Both logs of every shard in files, as they are when they are first asked for."""
        if self._copies is None:
            self._copied += 1
            self._copies = self.folder / f"copies-{self._copied}"
            for shard in range(SHARDS):
                copy_logs(self.connection, shard, self._copies)
        return self._copies

    def copy_anew(self) -> None:
        """Have the next question for the logs copy them again."""
        self._copies = None

    def judge_records(self) -> int:
        """Every record of the event logs against a fresh run; how many are repeats."""
        return sum(judge_events(self.connection, shard, ticking=True) for shard in range(SHARDS))

    # --- the end ----------------------------------------------------------------------------------

    def end(self, *, keep: bool) -> None:
        """End everything that is left."""
        if self._up is not None:
            self._up.terminate()
            try:
                self._up.wait(timeout=60.0)
            except subprocess.TimeoutExpired:
                self._up.kill()
                self._up.wait()
            self._up = None
        for process in list(self.run.processes()):
            process.kill()
        super().end(keep=keep)
