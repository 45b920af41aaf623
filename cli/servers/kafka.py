"""A Kafka broker of our own: one process, broker and controller in one (KRaft), on loopback ports.

Guarantees: `start` returns only when the broker of this very data folder answers. It adopts a
living one, comes back on the port it had, and never runs two on a folder. A broker that is alone
keeps one copy of everything; `acks=all` then means that the operating system has a record, not
that a disk has it.
"""

from __future__ import annotations

import base64
import json
import random
import signal
import socket
import subprocess
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import structlog

from cli.servers import processes
from cli.servers.errors import ServerError
from cli.servers.identities import RunAs
from cli.servers.kafka_programs import programs
from cli.servers.own import OwnServer

log = structlog.get_logger(__name__)

HOST: Final = "127.0.0.1"
PID_NAME: Final = "kafka.pid"
PLACE_NAME: Final = "place.json"
PROPERTIES_NAME: Final = "server.properties"
# Below the ports that the system gives to clients: a client that keeps trying the port of a dead
# broker there can be given that very port, and talk to itself.
PORTS: Final = range(15_000, 30_000)
PORTS_TRIED: Final = 200
LAUNCHES_MAX: Final = 4
PORT_WAIT_S: Final = 5.0
ANSWER_WAIT_S: Final = 5.0
FORMAT_WAIT_S: Final = 60.0
JVM_OPTIONS: Final = (
    "-Xms64m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # half the processor time in a broker's first minutes
    "-XX:+ExitOnOutOfMemoryError",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
)
SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # Topics are made by our own command, with the settings that the logs need.
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.segment.bytes": str(16 * 1024 * 1024),
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # A killed broker that comes back waits until its former self counts as gone.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "log.retention.ms": "-1",
    # The default takes 128 MB of the heap.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "num.network.threads": "2",
    "num.io.threads": "4",
}


@dataclass(frozen=True)
class Place:
    """Where a broker listens, and the cluster id by which it is known."""

    port: int
    controller_port: int
    cluster_id: str


class KafkaServer(OwnServer):
    """The broker of `data_dir`. `port` None: the one it had, or a free one.

    `heap_mb_max` bounds the Java heap; the records themselves are in the system's page cache.
    """

    name = "kafka"
    program = "java"
    start_wait_s = 120.0
    stop_steps = ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0))
    leftover_steps = stop_steps

    def __init__(self, data_dir: Path, *, port: int | None = None, heap_mb_max: int = 384) -> None:
        super().__init__(data_dir)
        self._wanted_port = port
        self._heap_mb_max = heap_mb_max

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect. Raises ServerError before the first start."""
        place = self._place()
        if place is None:
            raise ServerError(f"no broker was ever started on {self.data_dir}")
        return f"{HOST}:{place.port}"

    def _place(self) -> Place | None:
        """What the folder says of its broker; None where nothing, or nothing sound."""
        try:
            return Place(**json.loads((self.data_dir / PLACE_NAME).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _recorded_pid(self) -> int | None:
        try:
            return int((self.data_dir / PID_NAME).read_text())
        except (FileNotFoundError, ValueError):
            return None if self._child is None else self._child.pid

    def _adopt(self) -> bool:
        pid = self.pid
        if pid is None:
            return False
        deadline = time.monotonic() + self.start_wait_s
        while self.pid == pid and self._may_wait(deadline):
            place = self._place()
            if place is None or self._wanted_port not in (None, place.port):
                break
            if self._answers(place):
                self._wanted_port = place.port
                log.info("kafka adopted", pid=pid, data=str(self.data_dir))
                return True
            time.sleep(processes.POLL_S)
        if self.pid is not None:
            log.warning("kafka does not answer where it should; replacing it", pid=pid)
            self._stop()
        return False

    def _begin(self) -> None:
        java, jars = programs()
        command = [str(java), *JVM_OPTIONS, f"-Xmx{self._heap_mb_max}m", "-cp", f"{jars}/*"]
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._end_leftovers()
        said = ""
        for _ in range(LAUNCHES_MAX):
            began = processes.log_length(self.log_path)
            place = self._choose_place()
            self._write_properties(place)
            if not (self.data_dir / "log" / "meta.properties").exists():
                self._format(command, place)
            if self._launch(command, place):
                return
            said = processes.tail(self.log_path, began)
            if "Address already in use" not in said:  # taken meanwhile: by chance, so once more
                break
        raise ServerError(f"Kafka did not start on {self.data_dir}:\n{said}")

    def _choose_place(self) -> Place:
        """Where the broker was if that is free, else somewhere free; recorded before it starts."""
        before = self._place()
        cluster_id = before.cluster_id if before is not None else fresh_cluster_id()
        wanted = self._wanted_port or (before.port if before is not None else None)
        if wanted is not None and not self._is_freed(wanted):
            if self._wanted_port is not None:
                raise ServerError(f"port {wanted} of {HOST}, the broker's, is in use")
            log.warning("the broker's port is in use; taking another", port=wanted)
            wanted = None
        port = wanted or free_port()
        place = Place(port, free_port(but_not=port), cluster_id)
        path = self.data_dir / PLACE_NAME
        partial = path.with_suffix(".new")
        partial.write_text(json.dumps(asdict(place)))
        partial.replace(path)
        return place

    def _is_freed(self, port: int) -> bool:
        """Whether a port is free, or soon is: a killed process counts as gone before the threads
        that it had have closed its sockets."""
        deadline = time.monotonic() + PORT_WAIT_S
        while not is_free(port):
            if not self._may_wait(deadline):
                return False
            time.sleep(processes.POLL_S)
        return True

    def _write_properties(self, place: Place) -> None:
        broker, controller = f"{HOST}:{place.port}", f"{HOST}:{place.controller_port}"
        settings = {
            **SETTINGS,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "log.dirs": str(self.data_dir / "log"),
        }
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.data_dir / PROPERTIES_NAME).write_text(lines)

    def _format(self, command: list[str], place: Place) -> None:
        """Write the cluster id and the first metadata into an empty log folder."""
        tool = ["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]
        argv = [*command, *tool, "--cluster-id", place.cluster_id]
        done = subprocess.run(
            [*argv, "--config", PROPERTIES_NAME],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.data_dir,
            timeout=FORMAT_WAIT_S,
        )
        if done.returncode != 0:
            raise ServerError(f"Kafka could not format {self.data_dir}:\n{done.stderr.strip()}")

    def _launch(self, command: list[str], place: Place) -> bool:
        argv = [*command, "kafka.Kafka", PROPERTIES_NAME]
        child = processes.spawn(argv, run_as=RunAs(), folder=self.data_dir, log=self.log_path)
        self._child = child
        (self.data_dir / PID_NAME).write_text(f"{child.pid}\n")
        deadline = time.monotonic() + self.start_wait_s
        while child.poll() is None and self._may_wait(deadline):
            if self._answers(place):
                self._wanted_port = place.port  # whoever knows us by it finds us again
                log.info("kafka started", pid=child.pid, data=str(self.data_dir))
                return True
            time.sleep(processes.POLL_S)
        self._stop()
        return False

    def _answers(self, place: Place) -> bool:
        """Whether the broker of this folder, known by its cluster id, serves metadata."""
        if not is_listening(place.port):
            return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        address = f"{HOST}:{place.port}"
        quiet = {"bootstrap.servers": address, "log_level": 0, "log.connection.close": False}
        try:
            metadata = AdminClient(quiet).list_topics(timeout=ANSWER_WAIT_S)
        except KafkaException:
            return False
        return metadata.cluster_id == place.cluster_id and bool(metadata.brokers)


def fresh_cluster_id() -> str:
    """A random cluster id in Kafka's form: the 22 characters of a UUID in URL-safe base 64, of
    which the first may not be a dash, or a program would read it as an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    try:
        socket.create_connection((HOST, port), timeout=ANSWER_WAIT_S).close()
    except OSError:
        return False
    return True


def is_free(port: int) -> bool:
    """Whether nobody listens on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(but_not: int = 0) -> int:
    """A port of PORTS that nobody listens on. Raises ServerError where none was found."""
    for port in random.sample(PORTS, PORTS_TRIED):
        if port != but_not and is_free(port):
            return port
    raise ServerError(f"no free port between {PORTS.start} and {PORTS.stop} at {HOST}")
