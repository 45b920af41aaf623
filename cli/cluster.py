"""What a cluster of the distributed mode is made of, and what it leaves in its folder.

Guarantees: every process has a name of its own that it keeps when it is started again, which is its
name in Kafka's consumer groups too; `cluster.json` is replaced whole; and each process carries the
folder in its environment, so that none is ever lost from sight.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import psutil

from cli.run_state import ProcessMark, RunFolder, replace_file

SHARDS: Final = 4
APIS: Final = 2
MATCHERS: Final = 2
SIMULATOR: Final = "simulator"
FOLDER_VARIABLE: Final = "CROSSBOOK_CLUSTER_FOLDER"
# What takes commands ends first, then what writes by itself, then what matches, then what reads.
STOP_ORDER: Final = (
    (SIMULATOR, "api"),
    ("clock", "directory"),
    ("matching",),
    ("redis", "postgres", "multicast"),
)


@dataclass(frozen=True)
class Part:
    """One process: its kind, its name among all, and the command line after `crossbook`."""

    kind: str
    name: str
    arguments: tuple[str, ...]

    @property
    def serves_metrics(self) -> bool:
        """Whether it has a port of its own for /metrics; an API serves them on its only one."""
        return self.arguments[0] == "worker"


@dataclass(frozen=True)
class Topology:
    """How many of what. Redis, PostgreSQL, multicast, directory and clock have one worker each:
    more of them add safety where there are several machines, and here there is one."""

    shards: int = SHARDS
    apis: int = APIS
    matchers: int = MATCHERS
    simulate: bool = False
    multicast: bool = True

    def parts(self) -> list[Part]:
        """Every process, in the order in which they are started."""
        workers = [("matching", number) for number in range(1, self.matchers + 1)]
        sinks = ("redis", "postgres", *(("multicast",) if self.multicast else ()))
        workers += [(kind, 1) for kind in (*sinks, "directory", "clock")]
        parts = [Part(kind, f"{kind}-{number}", ("worker", kind)) for kind, number in workers]
        parts += [Part("api", f"api-{number}", ("api",)) for number in range(1, self.apis + 1)]
        return parts


@dataclass(frozen=True)
class ClusterState:
    """`cluster.json`: where everything listens. `ready` once all of it has answered."""

    ready: bool
    topology: Topology
    kafka: str
    redis: str
    postgres: str
    apis: dict[str, str] = field(default_factory=dict)  # URL by name
    metrics_ports: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)

    def now_ready(self) -> ClusterState:
        """The same, and everything has answered."""
        return replace(self, ready=True)


class ClusterFolder(RunFolder):
    """The folder of one cluster: its servers' data, its logs, and its state."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir / "cluster")
        self.cluster_path = self.run_dir / "cluster.json"
        self.supervisor_path = self.run_dir / "supervisor.json"
        self.supervisor_log = self.logs_dir / "supervisor.log"

    def write_cluster(self, state: ClusterState) -> None:
        """Replace `cluster.json`."""
        replace_file(self.cluster_path, json.dumps(asdict(state), indent=1), 0o600)

    def read_cluster(self) -> ClusterState | None:
        """The last `cluster.json`, of a cluster that runs or of one that ran; None where there is
        none or it is damaged."""
        try:
            fields = json.loads(self.cluster_path.read_text())
            return ClusterState(topology=Topology(**fields.pop("topology")), **fields)
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def forget_ready(self) -> None:
        """What was written before says nothing of the cluster that starts or has stopped."""
        state = self.read_cluster()
        if state is not None:
            self.write_cluster(replace(state, ready=False))

    def write_supervisor(self, mark: ProcessMark) -> None:
        """Say who holds the lock, before anything is started."""
        replace_file(self.supervisor_path, json.dumps(asdict(mark)), 0o600)

    def supervisor(self) -> psutil.Process | None:
        """The living supervisor of this folder."""
        try:
            mark = ProcessMark(**json.loads(self.supervisor_path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return mark.process() if self.is_locked() else None

    def processes(self) -> Iterator[psutil.Process]:
        """Every living process that was started as a part of this cluster."""
        for process in psutil.process_iter():
            try:
                found = process.environ().get(FOLDER_VARIABLE)
                if found == str(self.data_dir) and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except (psutil.Error, OSError):
                continue  # gone meanwhile, or another user's


def ordered(names: list[str]) -> list[list[str]]:
    """Names of parts in the groups in which they are stopped."""
    groups = [[name for name in names if kind_of(name) in kinds] for kinds in STOP_ORDER]
    return [group for group in groups if group]


def kind_of(name: str) -> str:
    """`matching` of `matching-2`."""
    return name.rpartition("-")[0] or name
