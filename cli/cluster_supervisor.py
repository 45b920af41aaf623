"""`crossbook cluster up --foreground`: starts the whole topology, keeps it running, stops it in
order.

Guarantees: one supervisor a folder; what a killed one left behind is ended (processes) or adopted
(servers) before anything new starts; a process that dies is started again, after a pause that grows
while it keeps dying; on SIGINT, SIGTERM or SIGHUP everything is stopped, on a second one at once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import psutil
from eventsourcing.persistence import PersistenceError

from cli.addresses import NoPortError, free_port, is_ready, url_of
from cli.children import Child
from cli.cluster import (
    FOLDER_VARIABLE,
    SIMULATOR,
    ClusterFolder,
    ClusterState,
    Part,
    Topology,
    ordered,
)
from cli.cluster_prepare import begin_directory, make_topics
from cli.kafka_connection import connection_of
from cli.run_state import ExchangeState, ProcessMark
from cli.server_keeper import ServerKeeper
from cli.servers import EmbeddedPostgres, EmbeddedRedis, KafkaServer, ServerError
from cli.servers.kafka import free_port as free_metrics_port
from cli.servers.own import OwnServer
from cli.settings import Settings
from cli.supervisor import STOP_SIGNALS, Forced, StartError, StopSignals
from streams.kafka.topics import TopicError

Say = Callable[[str], None]

ROOT: Final = Path(__file__).resolve().parents[1]
READY_WAIT_S: Final = 180.0
TEND_INTERVAL_S: Final = 0.1
READY_INTERVAL_S: Final = 0.5
PART_STOP_S: Final = 10.0


class ClusterSupervisor:
    """One run of the cluster. Servers that the settings name are used as they are; the others are
    our own, in the cluster's folder."""

    def __init__(self, settings: Settings, topology: Topology, say: Say) -> None:
        self.folder = ClusterFolder(settings.data_dir)
        self.topology = topology
        self.settings = settings.model_copy(
            update={"data_dir": self.folder.data_dir, "shards": topology.shards}
        )
        self._say = say
        self._keeper = ServerKeeper([], self._say)
        self._children: dict[str, Child] = {}
        self._state: ClusterState | None = None
        self._started_at = time.time()

    def run(self) -> int:
        """Start, serve until a signal, stop. Exit code 0, or 1 where it could not start.

        Raises AlreadyRunningError where another supervisor holds the folder.
        """
        self.folder.prepare()
        with self.folder.lock():
            self.folder.forget_ready()
            self.folder.write_supervisor(ProcessMark.of(os.getpid()))
            signals = StopSignals()
            try:
                return self._serve(signals)
            finally:
                signals.restore()

    def _serve(self, signals: StopSignals) -> int:
        code = 0
        try:
            if self._start(signals):
                self._watch(signals)
        except (StartError, NoPortError, ServerError, TopicError, PersistenceError) as error:
            self._say(f"could not start: {error}")
            code = 1
        except Forced:
            self._say("stopping at once")
        finally:
            self._stop(forced=signals.count > 1)
        return code

    # --- starting -------------------------------------------------------------------------------

    def _start(self, signals: StopSignals) -> bool:
        """Start everything and wait until it is ready; False where a signal came first."""
        began = time.monotonic()
        end_processes(list(self.folder.processes()), self._say, but_not=os.getpid())
        state = self._start_servers()
        self._say(f"topics for {self.topology.shards} shards")
        make_topics(self.settings, connection_of(self.settings))
        try:
            begin_directory(self.settings, state.postgres, self.folder)
        except ValueError as error:
            raise StartError(str(error)) from error
        self._state = self._start_parts(state)
        self._write()
        if not self._wait_until_ready(signals):
            return False
        if self.topology.simulate:
            self._start_part(Part(SIMULATOR, SIMULATOR, ("role", SIMULATOR)), {})
        self._state = self._state.now_ready()
        self._write()
        for line in self._banner(time.monotonic() - began):
            self._say(line)
        return True

    def _start_servers(self) -> ClusterState:
        """Our own servers where the settings name none; where all of them are."""
        data, run_dir = self.folder.data_dir, self.settings.run_dir
        given = self.settings
        kafka, redis = given.kafka_bootstrap_servers, given.redis_url
        postgres = given.postgres_dsn
        broker = KafkaServer(data / "kafka")
        servers: list[OwnServer] = []
        if kafka is None:
            servers.append(broker)
        if redis is None:
            cache = EmbeddedRedis(data / "redis", run_dir)
            servers.append(cache)
            redis = cache.url
        if postgres is None:
            # Accounts, keys and listings are here and nowhere else.
            store = EmbeddedPostgres(data / "postgres", run_dir, rebuildable=False)
            servers.append(store)
            postgres = store.dsn
        if servers:
            self._say(f"starting {', '.join(server.name for server in servers)}")
        self._keeper = ServerKeeper(servers, self._say)
        self._keeper.begin()
        self._keeper.wait()
        if kafka is None:
            kafka = broker.bootstrap_servers
            alone = {"kafka_replication_factor": 1, "kafka_min_insync_replicas": 1}
            self.settings = given.model_copy(update={"kafka_bootstrap_servers": kafka, **alone})
        return ClusterState(False, self.topology, kafka, redis, postgres)

    def _start_parts(self, state: ClusterState) -> ClusterState:
        """Start every process; the state with where each of them listens."""
        settings = self.settings
        self._environment = {
            **os.environ,
            FOLDER_VARIABLE: str(self.folder.data_dir),
            "CROSSBOOK_DATA_DIR": str(self.folder.data_dir),
            "CROSSBOOK_SHARDS": str(self.topology.shards),
            "CROSSBOOK_KAFKA_BOOTSTRAP_SERVERS": state.kafka,
            "CROSSBOOK_KAFKA_REPLICATION_FACTOR": str(settings.kafka_replication_factor),
            "CROSSBOOK_KAFKA_MIN_INSYNC_REPLICAS": str(settings.kafka_min_insync_replicas),
            "CROSSBOOK_REDIS_URL": state.redis,
            "CROSSBOOK_POSTGRES_DSN": state.postgres,
            "PYTHONUNBUFFERED": "1",
        }
        port = settings.port
        for part in self.topology.parts():
            own = {"CROSSBOOK_INSTANCE": part.name}
            if part.kind == "api":
                port = free_port(settings.host, port)
                own["CROSSBOOK_PORT"] = str(port)
                state.apis[part.name] = url_of(settings.host, port)
                port = 0 if settings.port == 0 else port + 1
            if part.serves_metrics:
                state.metrics_ports[part.name] = free_metrics_port()
                own["CROSSBOOK_METRICS_PORT"] = str(state.metrics_ports[part.name])
            self._say(f"starting {part.name}")
            self._start_part(part, own)
        return state

    def _start_part(self, part: Part, own: dict[str, str]) -> None:
        environment = {**self._environment, **own}
        log_path = self.folder.logs_dir / f"{part.name}.log"
        child = Child(part.name, log_path, environment, ROOT, arguments=part.arguments)
        child.start()
        self._children[part.name] = child

    def _wait_until_ready(self, signals: StopSignals) -> bool:
        assert self._state is not None
        deadline = time.monotonic() + READY_WAIT_S
        while not signals.count:
            unready = [is_ready(url)[1] for url in self._state.apis.values()]
            unready = [said for said in unready if said]
            if not unready:
                return True
            if time.monotonic() > deadline:
                raise StartError(f"not ready after {READY_WAIT_S:.0f} s: {unready[0]}")
            look_again = time.monotonic() + READY_INTERVAL_S
            while time.monotonic() < look_again:
                self._tend()
                time.sleep(TEND_INTERVAL_S)
        return False

    def _banner(self, elapsed_s: float) -> list[str]:
        assert self._state is not None
        state = self._state
        return [
            f"the cluster runs ({elapsed_s:.1f} s to start; {self.topology.shards} shards)",
            *(f"  {name:<12} {url}" for name, url in state.apis.items()),
            f"  kafka        {state.kafka}",
            f"  keys         {self.folder.credentials_path}",
            f"  logs         {self.folder.logs_dir}",
        ]

    # --- running --------------------------------------------------------------------------------

    def _watch(self, signals: StopSignals) -> None:
        while not signals.count:
            self._tend()
            self._keeper.tend()
            time.sleep(TEND_INTERVAL_S)

    def _tend(self) -> None:
        started = [child.tend(self._say) for child in self._children.values()]
        if any(started):
            try:
                self._write()
            except OSError as error:  # a full disk: what runs goes on
                self._say(f"{self.folder.cluster_path} could not be written: {error}")

    def _write(self) -> None:
        """Both files: `exchange.json` for the commands that only want an API."""
        assert self._state is not None
        state = self._state
        marks = {name: child.mark() for name, child in self._children.items()}
        state.restarts.update({name: child.restarts for name, child in self._children.items()})
        self.folder.write_cluster(state)
        exchange = ExchangeState(
            next(iter(state.apis.values())),
            ProcessMark.of(os.getpid()),
            {name: mark for name, mark in marks.items() if mark is not None},
            state.redis,
            state.postgres,
            self._started_at,
        )
        self.folder.write_state(exchange)

    # --- stopping -------------------------------------------------------------------------------

    def _stop(self, *, forced: bool) -> None:
        try:
            if not forced:
                self._say("stopping")
                for names in ordered(list(self._children)):
                    self._stop_children(names)
        except Forced:
            self._say("stopping at once")
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # what is left takes a moment and must be done
        for child in self._children.values():
            child.kill()
        self._keeper.stop()
        self.folder.forget_ready()
        self.folder.clear_state()
        self._say("stopped")

    def _stop_children(self, names: Sequence[str]) -> None:
        children = [self._children[name] for name in names]
        for child in children:
            child.ask_to_stop()
        deadline = time.monotonic() + PART_STOP_S
        for child in children:
            if not child.wait(deadline):
                self._say(f"{child.name} did not stop within {PART_STOP_S:.0f} s: killed")
                child.kill()


def end_processes(processes: Sequence[psutil.Process], say: Say, *, but_not: int = 0) -> None:
    """SIGTERM, and SIGKILL for those that live on: what a killed supervisor left behind."""
    left = [process for process in processes if process.pid != but_not]
    if not left:
        return
    say(f"ending {len(left)} processes of a cluster that was killed")
    for process in left:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + PART_STOP_S
    while any(is_alive(process) for process in left) and time.monotonic() < deadline:
        time.sleep(TEND_INTERVAL_S)
    for process in left:
        if is_alive(process):
            _signal(process, signal.SIGKILL)


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie, which nobody may ever collect, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return  # it ended by itself
