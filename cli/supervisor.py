"""`crossbook up`: one process that starts everything, keeps it running and stops it in order.

Guarantees: one supervisor a data folder; whatever a killed one left behind is adopted (servers) or
ended (roles) before anything new starts; a role that dies is started again; on SIGINT, SIGTERM or
SIGHUP everything is stopped, on a second one at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import psutil

from cli import bootstrap
from cli.addresses import NoPortError, free_port, is_ready, url_of
from cli.children import Child
from cli.run_state import AlreadyRunningError, ExchangeState, ProcessMark, RunFolder
from cli.server_keeper import ServerKeeper
from cli.servers import EmbeddedPostgres, EmbeddedRedis
from cli.servers.own import OwnServer
from cli.settings import Settings
from cli.ticker import TradeTicker
from commands.directory.application import Directory, DirectoryApplication, sqlite_environment

Say = Callable[[str], None]
log = logging.getLogger("crossbook.supervisor")

ROOT: Final = Path(__file__).resolve().parents[1]
ROLES: Final = ("matching", "projections", "api")
MULTICAST: Final = "multicast"
SIMULATOR: Final = "simulator"
READY_WAIT_S: Final = 120.0
TEND_INTERVAL_S: Final = 0.1
TICKER_INTERVAL_S: Final = 1.0
LEFTOVER_WAIT_S: Final = 5.0
STOP_S: Final = 5.0  # what takes commands may use all of it to finish what it has begun
NEXT_STOP_S: Final = 1.5  # and each group after it this much more, so that all have ended by 8 s
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StartError(Exception):
    """The exchange could not be started; the message says why and what to do."""


class Forced(BaseException):
    """A second signal: stop at once."""


class StopSignals:
    """Counts the signals that ask to stop. A flag, because a handler may not take a lock."""

    def __init__(self) -> None:
        self.count = 0
        self._before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise Forced

    def restore(self) -> None:
        """Put back the handlers of before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


def directory_path(settings: Settings) -> Path:
    """The file of the directory's event store."""
    return settings.logs / "directory.sqlite"


class Supervisor:
    """One run of `crossbook up`."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self.settings = settings
        self.folder = RunFolder(settings.data_dir)
        self._print = say
        self._output_closed = False
        self._children: dict[str, Child] = {}
        self._keeper = ServerKeeper([], self._say)
        self._state: ExchangeState | None = None

    def run(self) -> int:
        """Start, serve until a signal, stop. Exit code 0, or 1 where it could not start."""
        self.folder.prepare()
        try:
            lock = self.folder.lock()
        except AlreadyRunningError:
            return self._already_running()
        signals = StopSignals()
        try:
            with lock:
                return self._serve(signals)
        finally:
            signals.restore()

    def _say(self, text: str) -> None:
        """Print a line. A reader that went away stops the exchange; a full disk does not."""
        try:
            self._print(text)
        except BrokenPipeError:
            self._output_closed = True
        except OSError:
            log.debug("not printed: %s", text)

    def _already_running(self) -> int:
        state = self.folder.wait_for_state(LEFTOVER_WAIT_S)
        where = f"at {state.url}" if state is not None else "and is just starting"
        self._say(f"an exchange runs on {self.folder.data_dir} already, {where}")
        return 1

    def _serve(self, signals: StopSignals) -> int:
        code = 0
        try:
            if self._start(signals):
                self._watch(signals)
        except (StartError, NoPortError) as error:
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
        end_leftover_roles(self.folder, self._say)
        redis_url, postgres_dsn = self._begin_servers()
        credentials = self._begin_directory()
        self._keeper.wait()
        port = free_port(self.settings.host, self.settings.port)
        url = url_of(self.settings.host, port)
        self._start_roles(port, redis_url, postgres_dsn)
        mark = ProcessMark.of(os.getpid())
        self._state = ExchangeState(url, mark, {}, redis_url, postgres_dsn, time.time())
        self._write_state()
        if not self._wait_until_ready(url, signals):
            return False
        if self.settings.simulate_rate > 0:
            self._start_child(SIMULATOR)
        self._write_state()
        for line in banner(self.settings, url, port, credentials, time.monotonic() - began):
            self._say(line)
        return True

    def _begin_servers(self) -> tuple[str, str]:
        """Begin to start our own servers where the settings name none; where both are to be."""
        data, run_dir = self.folder.data_dir, self.settings.run_dir
        redis_url, postgres_dsn = self.settings.redis_url, self.settings.postgres_dsn
        servers: list[OwnServer] = []
        if redis_url is None:
            redis = EmbeddedRedis(data / "redis", run_dir)
            servers.append(redis)
            redis_url = redis.url
        if postgres_dsn is None:
            postgres = EmbeddedPostgres(data / "postgres", run_dir)
            servers.append(postgres)
            postgres_dsn = postgres.dsn
        self._keeper = ServerKeeper(servers, self._say)
        self._keeper.begin()
        return redis_url, postgres_dsn

    def _begin_directory(self) -> dict[str, str]:
        """First accounts and listings, before the API can change the directory; keys by account."""
        path = directory_path(self.settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        application = DirectoryApplication(sqlite_environment(path))
        directory = Directory(application, self.settings.shards)
        try:
            begun = bootstrap.begin(directory, self.folder)
        except ValueError as error:
            raise StartError(str(error)) from error
        finally:
            directory.close()
        if begun.instruments_listed:
            self._say(f"listed {begun.instruments_listed} instruments")
        return {name: credential.key for name, credential in begun.credentials.items()}

    def _start_roles(self, port: int, redis_url: str, postgres_dsn: str) -> None:
        self._environment = {
            **os.environ,
            "CROSSBOOK_DATA_DIR": str(self.folder.data_dir),
            "CROSSBOOK_LOG_DIR": str(self.settings.logs.absolute()),
            "CROSSBOOK_PORT": str(port),
            "CROSSBOOK_REDIS_URL": redis_url,
            "CROSSBOOK_POSTGRES_DSN": postgres_dsn,
            "CROSSBOOK_SIMULATE_RATE": str(self.settings.simulate_rate),
            "PYTHONUNBUFFERED": "1",
        }
        for name in ROLES:
            self._start_child(name)
        if self.settings.feed_enabled:
            self._start_child(MULTICAST)

    def _start_child(self, name: str) -> None:
        child = Child(name, self.folder.logs_dir / f"{name}.log", self._environment, ROOT)
        child.start()
        self._children[name] = child

    def _wait_until_ready(self, url: str, signals: StopSignals) -> bool:
        deadline = time.monotonic() + READY_WAIT_S
        said = ""
        while not signals.count:
            ready, said = is_ready(url)
            if ready:
                return True
            if time.monotonic() > deadline:
                raise StartError(f"not ready after {READY_WAIT_S:.0f} s: {said}")
            self._tend()
            time.sleep(TEND_INTERVAL_S)
        return False

    # --- running --------------------------------------------------------------------------------

    def _watch(self, signals: StopSignals) -> None:
        assert self._state is not None
        ticker = TradeTicker(self._state.postgres_dsn)
        next_line = time.monotonic()
        try:
            while not signals.count and not self._output_closed:
                self._tend()
                self._keeper.tend()
                now = time.monotonic()
                if now >= next_line:
                    next_line = now + TICKER_INTERVAL_S
                    line = ticker.line()
                    if line:
                        self._say(line)
                time.sleep(TEND_INTERVAL_S)
        finally:
            ticker.close()

    def _tend(self) -> None:
        started = [child.tend(self._say) for child in self._children.values()]
        if any(started):
            try:
                self._write_state()
            except OSError as error:  # a full disk: what runs goes on
                self._say(f"{self.folder.state_path} could not be written: {error}")

    def _write_state(self) -> None:
        assert self._state is not None
        marks = {name: child.mark() for name, child in self._children.items()}
        state = self._state
        roles = {name: mark for name, mark in marks.items() if mark is not None}
        self._state = ExchangeState(
            state.url,
            state.supervisor,
            roles,
            state.redis_url,
            state.postgres_dsn,
            state.started_at,
        )
        self.folder.write_state(self._state)

    # --- stopping -------------------------------------------------------------------------------

    def _stop(self, *, forced: bool) -> None:
        """What takes commands first, then what matches, then what reads, then the servers."""
        try:
            if not forced:
                self._say("stopping")
                deadline = time.monotonic() + STOP_S
                for names in ((SIMULATOR, "api"), ("matching",), ("projections", MULTICAST)):
                    self._stop_children(names, deadline)
                    deadline += NEXT_STOP_S
        except Forced:
            self._say("stopping at once")
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # what is left takes a moment and must be done
        for child in self._children.values():
            child.kill()
        self._keeper.stop()
        self.folder.clear_state()
        with contextlib.suppress(OSError):  # sockets of servers that would not stop stay
            self.settings.run_dir.rmdir()
        self._say("stopped")

    def _stop_children(self, names: tuple[str, ...], deadline: float) -> None:
        children = [self._children[name] for name in names if name in self._children]
        for child in children:
            child.ask_to_stop()
        for child in children:
            if not child.wait(deadline):
                self._say(f"{child.name} did not stop in time: killed")
                child.kill()


def end_leftover_roles(folder: RunFolder, say: Say) -> None:
    """Wait for the roles of a killed supervisor to end by themselves; end those that do not."""
    state = folder.read_state()
    if state is None:
        return
    roles = {name: mark.process() for name, mark in state.roles.items()}
    left = [process for process in roles.values() if process is not None]
    if left:
        say(f"waiting for {len(left)} processes of an exchange that was killed")
    _, alive = psutil.wait_procs(left, timeout=LEFTOVER_WAIT_S)
    for process in alive:
        process.terminate()
    _, alive = psutil.wait_procs(alive, timeout=LEFTOVER_WAIT_S)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=LEFTOVER_WAIT_S)
    folder.clear_state()


def banner(
    settings: Settings, url: str, port: int, keys: dict[str, str], elapsed_s: float
) -> list[str]:
    """What a newcomer needs to know, once everything runs."""
    demo = keys.get("demo", "")
    moved = [f"port {settings.port} is in use: took {port}"] if port != settings.port else []
    if settings.port == 0:
        moved = []
    flow = "no simulator"
    if settings.simulate_rate > 0:
        flow = f"simulator at {settings.simulate_rate:g} orders/s"
    return [
        *moved,
        f"Crossbook is running ({elapsed_s:.1f} s to start; {flow})",
        f"  dashboard    {url}/ui/",
        f"  API          {url}",
        f"  API docs     {url}/docs",
        f"  GraphQL      {url}/graphql",
        f"  demo key     {demo}",
        f"  try          curl {url}/v1/books/AAPL",
        f"  logs         {settings.data_dir / 'logs'}",
        "Ctrl-C stops it.",
    ]


def say_line(text: str) -> None:
    """Print a line at once, whoever reads."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
