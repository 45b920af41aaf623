"""`crossbook cluster up|status|down`: the distributed topology on this machine, without Docker.

Guarantees: `up` where it runs already and `down` where nothing runs change nothing and succeed;
`down` leaves no process of the cluster, also after its supervisor was killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.cluster import APIS, MATCHERS, SHARDS, ClusterFolder, Topology

if TYPE_CHECKING:
    from cli.settings import Settings

READY_WAIT_S: Final = 300.0
DOWN_WAIT_S: Final = 120.0
POLL_S: Final = 0.1
EXIT_FAILED: Final = 1

app = typer.Typer(
    no_args_is_help=True,
    help="Run the distributed mode on this machine: a Kafka broker, Redis and PostgreSQL of its "
    "own (or those of the settings), workers and APIs, all kept running. Everything is in "
    "DATA_DIR/cluster.",
)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Default: CROSSBOOK_DATA_DIR or ./data."),
]


def settings_of(data_dir: Path | None, port: int | None = None) -> Settings:
    """The settings, or a line of what is wrong with them."""
    from cli.main import load_settings

    return load_settings(data_dir, port=port)


def topology_of(
    folder: ClusterFolder, settings: Settings, wanted: Topology, shards: int | None
) -> Topology:
    """`wanted` with its number of shards: as told, as the cluster of this folder had, as the
    environment says, or 4."""
    before = folder.read_cluster()
    if shards is None and before is not None:
        shards = before.topology.shards
    if shards is None and "shards" in settings.model_fields_set:
        shards = settings.shards
    return replace(wanted, shards=shards or SHARDS)


@app.command()
def up(
    data_dir: DataDir = None,
    shards: Annotated[
        int | None, typer.Option(min=1, max=64, help="Shards; fixed at the first start.")
    ] = None,
    apis: Annotated[int, typer.Option("--api", min=1, max=16, help="API processes.")] = APIS,
    matchers: Annotated[
        int, typer.Option("--matching", min=1, max=64, help="Matching workers.")
    ] = MATCHERS,
    port: Annotated[int | None, typer.Option(help="Port of the first API, or the next.")] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Start the simulator.")] = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, and stop it all on Ctrl-C.")
    ] = False,
) -> None:
    """Start the cluster and wait until it is ready. Does nothing where it runs already."""
    from cli.main import fail, quiet_servers, told_in_a_line

    settings = settings_of(data_dir, port)
    with told_in_a_line():
        folder = ClusterFolder(settings.data_dir)
        folder.prepare()
        wanted = Topology(SHARDS, apis, matchers, simulate, settings.feed_enabled)
        topology = topology_of(folder, settings, wanted, shards)
        if foreground:
            from cli.cluster_supervisor import ClusterSupervisor
            from cli.supervisor import say_line

            quiet_servers()
            raise typer.Exit(ClusterSupervisor(settings, topology, say_line).run())
        if folder.is_locked():
            _already_up(folder, topology)
            return
        before = folder.read_cluster()
        if before is not None and before.topology.shards != topology.shards:
            fail(_other_shards(before.topology.shards, topology.shards))
        _start_apart(folder, settings, topology)


def _already_up(folder: ClusterFolder, topology: Topology) -> None:
    """Wait for the cluster that somebody else started."""
    from cli.main import Failure

    deadline = time.monotonic() + READY_WAIT_S
    while True:
        state = folder.read_cluster()
        if state is not None and state.ready:
            break
        if not folder.is_locked():
            raise Failure("the cluster that was starting has ended; see " + _log_of(folder))
        if time.monotonic() > deadline:
            raise Failure(f"not ready after {READY_WAIT_S:.0f} s; see {_log_of(folder)}")
        time.sleep(POLL_S)
    if state.topology.shards != topology.shards:
        raise Failure(_other_shards(state.topology.shards, topology.shards))
    print(f"a cluster runs on {folder.data_dir} already")
    for name, url in state.apis.items():
        print(f"  {name:<12} {url}")


def _other_shards(there: int, wanted: int) -> str:
    return (
        f"this cluster has {there} shards, not {wanted}: an instrument's shard is fixed. Use "
        "another --data-dir for another cluster"
    )


def _log_of(folder: ClusterFolder) -> str:
    return str(folder.supervisor_log)


def _start_apart(folder: ClusterFolder, settings: Settings, topology: Topology) -> None:
    """Start the supervisor in a session of its own and show what it says until all is ready."""
    from cli.main import Failure

    arguments = ["--shards", str(topology.shards), "--api", str(topology.apis)]
    arguments += ["--matching", str(topology.matchers), "--port", str(settings.port)]
    arguments += ["--data-dir", str(settings.data_dir.absolute())]
    arguments += ["--simulate"] if topology.simulate else []
    with folder.supervisor_log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "cluster", "up", "--foreground", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ,
            cwd=Path(__file__).resolve().parents[1],
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_WAIT_S
    shown = 0
    while True:
        ended = process.poll() is not None
        state = folder.read_cluster()
        supervisor = folder.supervisor()
        mine = supervisor is not None and supervisor.pid == process.pid
        ready = mine and state is not None and state.ready
        text = folder.supervisor_log.read_bytes()
        print(text[shown:].decode("utf-8", "replace"), end="", flush=True)
        shown = len(text)
        if ready:
            return
        if ended:
            raise Failure(f"the cluster could not be started; see {_log_of(folder)}")
        if time.monotonic() > deadline:
            raise Failure(f"not ready after {READY_WAIT_S:.0f} s; `crossbook cluster down` ends it")
        time.sleep(POLL_S)


@app.command()
def status(
    data_dir: DataDir = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every process with its pid, port and lag, and each shard's positions.

    Exit code 0 when everything runs and is caught up, 1 otherwise.
    """
    from cli.cluster_status import collect, lines_of
    from cli.main import told_in_a_line

    settings = settings_of(data_dir)
    with told_in_a_line():
        found = collect(settings, ClusterFolder(settings.data_dir))
        print(found.as_json() if json else "\n".join(lines_of(found)))
        if not found.healthy:
            raise typer.Exit(EXIT_FAILED)


@app.command()
def down(data_dir: DataDir = None) -> None:
    """Stop the cluster: APIs first, then workers, then the servers. Nothing durable is lost."""
    from cli.cluster_status import own_servers
    from cli.cluster_supervisor import end_processes, is_alive
    from cli.main import Failure, quiet_servers, told_in_a_line

    settings = settings_of(data_dir)
    quiet_servers()
    with told_in_a_line():
        folder = ClusterFolder(settings.data_dir)
        supervisor = folder.supervisor()
        if supervisor is not None:
            supervisor.terminate()
            deadline = time.monotonic() + DOWN_WAIT_S
            while folder.is_locked() or is_alive(supervisor):
                if time.monotonic() > deadline:
                    raise Failure(f"process {supervisor.pid} does not end")
                time.sleep(POLL_S)
        left = list(folder.processes())
        servers = [server for server in own_servers(settings, folder) if server.pid is not None]
        end_processes(left, print)
        for server in servers:
            server.stop()
        folder.clear_state()
        ran = supervisor is not None or left or servers
        print("stopped" if ran else f"no cluster runs on {folder.data_dir}")


@app.command()
def begin(data_dir: DataDir = None) -> None:
    """Open the first accounts and list the first instruments, as far as they are missing.

    On the PostgreSQL of CROSSBOOK_POSTGRES_DSN; `up` does this by itself. Keys are kept in
    DATA_DIR/credentials.json.
    """
    from cli.cluster_prepare import begin_directory
    from cli.main import Failure, told_in_a_line
    from cli.run_state import RunFolder

    settings = settings_of(data_dir)
    with told_in_a_line():
        if settings.postgres_dsn is None:
            raise Failure("CROSSBOOK_POSTGRES_DSN is not set: it names the directory's store")
        folder = RunFolder(settings.data_dir)
        folder.prepare()
        try:
            credentials = begin_directory(settings, settings.postgres_dsn, folder)
        except ValueError as error:
            raise Failure(str(error)) from error
        print(f"accounts {', '.join(credentials)}; keys in {folder.credentials_path}")
