"""What a process shows of its metrics, and where: a port of its own, a socket in the run folder, or
the API's `/metrics`, which shows those of the other roles of its machine too.

Guarantees: every sample says its role, and its instance where it has one; a role that is dead or
frozen costs the page at most `ROLE_WAIT_S` and is said to be down, never shown as it last was;
showing metrics never ends a process, nor keeps it alive."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Gauge,
    Metric,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)

from cli.settings import Settings

ROLE_WAIT_S: Final = 1.0
PAGE_BYTES_MAX: Final = 8_000_000
EMBEDDED_ROLES: Final = ("matching", "projections")
MULTICAST: Final = "multicast"  # which need not run
HEAD: Final = "# HELP "

ROLE_UP: Final = Gauge(
    "crossbook_role_up", "1 where a role of this machine shows its metrics, else 0", ["role"]
)

log = logging.getLogger("crossbook.metrics")
disable_created_metrics()


class Labelled(CollectorRegistry):
    """All metrics of this process, with labels of its own; a sample's own labels go before."""

    def __init__(self, labels: dict[str, str]) -> None:
        super().__init__()
        self._labels = labels

    def collect(self) -> Iterator[Metric]:
        """Every family that has samples."""
        for family in REGISTRY.collect():
            family.samples = [
                sample._replace(labels={**self._labels, **sample.labels})
                for sample in family.samples
            ]
            if family.samples:
                yield family


def registry_of(settings: Settings, role: str) -> Labelled:
    """What this process shows."""
    labels = {"role": role}
    if settings.instance:
        labels["instance"] = settings.instance
    return Labelled(labels)


def merge(pages: Iterable[str]) -> str:
    """Several pages as one: the text format wants a family's samples together."""
    families: dict[str, tuple[str, list[str]]] = {}
    for page in pages:
        for block in page.split(f"\n{HEAD}"):
            head, samples = _parts(block.removeprefix(HEAD))
            if samples:
                name = head.partition(" ")[0]
                families.setdefault(name, (head, []))[1].extend(samples)
    blocks = (f"{HEAD}{head}\n" + "\n".join(samples) for head, samples in families.values())
    return "\n".join(blocks) + "\n"


def _parts(block: str) -> tuple[str, list[str]]:
    """A family's two lines of description, and its samples."""
    lines = block.splitlines()
    return "\n".join(lines[:2]), [line for line in lines[2:] if line]


# --- the processes that show ----------------------------------------------------------------------


def show_metrics(settings: Settings, role: str) -> None:
    """Show this process's metrics, where the settings say. What fails is logged, and no more."""
    registry = registry_of(settings, role)
    try:
        if not settings.distributed:
            RoleSocket(socket_path(settings.run_dir, role), registry).start()
        elif settings.metrics_port is not None:
            server, _ = start_http_server(
                settings.metrics_port, addr=settings.host, registry=registry
            )
            log.info("metrics on http://%s:%d/metrics", settings.host, server.server_port)
    except OSError as error:
        log.error("no metrics can be shown: %r", error)


def socket_path(run_dir: Path, role: str) -> Path:
    """Where a role of this machine shows its metrics."""
    return run_dir / f"{role}.metrics"


class RoleSocket:
    """A Unix socket that answers each connection with the page and closes it. Only this user can
    reach it, as all of the run folder.
    """

    def __init__(self, path: Path, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._path = path
        path.unlink(missing_ok=True)  # of one that was killed
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(8)

    def start(self) -> None:
        """Answer from a thread, until the process ends."""
        atexit.register(self._path.unlink, missing_ok=True)
        threading.Thread(target=self._serve, name="metrics", daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(ROLE_WAIT_S)
                try:
                    connection.sendall(generate_latest(self._registry))
                except OSError as error:
                    log.debug("nobody read the metrics to their end: %r", error)


# --- the API's page -------------------------------------------------------------------------------


class Page:
    """The API's `/metrics`: its own, and in the embedded mode those of the other roles."""

    def __init__(self, settings: Settings, roles: Sequence[str] = EMBEDDED_ROLES) -> None:
        self._registry = registry_of(settings, "api")
        self._sockets: dict[str, Path] = {}
        if not settings.distributed:
            roles = [*roles, MULTICAST] if settings.feed_enabled else roles
            self._sockets = {role: socket_path(settings.run_dir, role) for role in roles}

    async def __call__(self) -> bytes:
        """The whole page. Rendered in a thread: it is some milliseconds' work."""
        asked = await asyncio.gather(*map(self._ask, self._sockets.values()))
        for role, page in zip(self._sockets, asked, strict=True):
            ROLE_UP.labels(role).set(page is not None)
        return await asyncio.to_thread(self._render, [page for page in asked if page is not None])

    async def roles_up(self) -> dict[str, bool | None]:
        """Which roles show their metrics, this one first; None where they are not of this
        machine."""
        if not self._sockets:
            return {"api": True} | dict.fromkeys(EMBEDDED_ROLES)
        asked = await asyncio.gather(*map(self._ask, self._sockets.values()))
        found = zip(self._sockets, asked, strict=True)
        return {"api": True} | {role: page is not None for role, page in found}

    def _render(self, others: list[bytes]) -> bytes:
        pages = [generate_latest(self._registry), *others]
        return merge(page.decode() for page in pages).encode()

    @staticmethod
    async def _ask(path: Path) -> bytes | None:
        """A role's page; None where it does not answer whole, in time."""
        try:
            async with asyncio.timeout(ROLE_WAIT_S):
                reader, writer = await asyncio.open_unix_connection(str(path), limit=PAGE_BYTES_MAX)
                with contextlib.closing(writer):
                    page = await reader.read()
        except (OSError, TimeoutError) as error:
            log.debug("%s shows no metrics: %r", path.name, error)
            return None
        return page if page.endswith(b"\n") else None
