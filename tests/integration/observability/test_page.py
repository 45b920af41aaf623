"""Where metrics are shown, and that docs/observability.md names each of them."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
from prometheus_client import REGISTRY, CollectorRegistry, Counter

import api.metrics
import commands.metrics
import projections.metrics
import projections.multicast.metrics
import streams.metrics
from cli.addresses import free_port
from cli.metrics_page import Page, RoleSocket, merge, socket_path
from cli.settings import Settings
from tests.integration.observability.watched import ROOT, Scrape, until

assert api.metrics and commands.metrics and projections.metrics and streams.metrics
assert projections.multicast.metrics
DOCUMENTED = re.compile(r"^\| `(crossbook_[a-z_]+)`", re.MULTILINE)
WORKER = """
import sys
from cli.roles.process import begin
from cli.settings import Settings
import streams.metrics
streams.metrics.MatcherMetrics(2).recovered(7, 0.5)
begin(Settings(), "matching", with_parent=False).wait()
"""


def test_docs_name_every_metric_and_no_other() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    described = (family for family in REGISTRY.collect() if family.name.startswith("crossbook_"))
    known = {each.name + ("_total" if each.type == "counter" else "") for each in described}
    assert len(known) > 30
    assert sorted(DOCUMENTED.findall(text)) == sorted(known)


def test_names_end_in_their_unit() -> None:
    units = ("seconds", "batches", "commands", "requests", "shards", "connections", "bytes_max")
    units = (*units, "messages", "packets")
    states = ("ready", "up", "stopped")
    for family in REGISTRY.collect():
        if family.name.startswith("crossbook_") and family.type != "counter":
            assert family.name.endswith((*units, *states)), family.name


def test_pages_are_merged_family_by_family() -> None:
    head = "# HELP a_total of a\n# TYPE a_total counter\n"
    other = "# HELP b of b\n# TYPE b gauge\n"
    merged = merge(
        [f'{head}a_total{{r="1"}} 1\n{other}', f'{other}b 2\n{head}a_total{{r="2"}} 3\n']
    )
    assert merged == f'{head}a_total{{r="1"}} 1\na_total{{r="2"}} 3\n{other}b 2\n'


def test_a_role_that_is_frozen_dead_or_cut_off_is_down(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    registry = CollectorRegistry()
    Counter("crossbook_test", "test", registry=registry).inc(3)
    living = RoleSocket(socket_path(settings.run_dir, "living"), registry)
    living.start()
    frozen = _listening(socket_path(settings.run_dir, "frozen"))
    _listening(socket_path(settings.run_dir, "dead")).close()
    page = Page(settings, roles=("living", "frozen", "dead", "absent"))
    found = Scrape(asyncio.run(page()).decode())
    frozen.close()
    assert found.total("crossbook_test_total") == 3
    up = {role: found.all("crossbook_role_up", role=role) for role in ("frozen", "dead", "absent")}
    assert up == {"frozen": [0], "dead": [0], "absent": [0]}
    assert found.all("crossbook_role_up", role="living") == [1]


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen(1)
    return listening


def test_a_worker_shows_its_metrics_on_the_port_of_the_settings(tmp_path: Path) -> None:
    port = free_port("127.0.0.1", 0)
    environment = {
        "PYTHONPATH": str(ROOT),
        "CROSSBOOK_DATA_DIR": str(tmp_path),
        "CROSSBOOK_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "CROSSBOOK_METRICS_PORT": str(port),
        "CROSSBOOK_INSTANCE": "m-1",
    }
    output = tmp_path / "worker.log"
    with output.open("wb") as written:
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER], cwd=ROOT, env=environment, stderr=written
        )
    try:

        def scraped() -> str:
            assert worker.poll() is None, output.read_text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            except httpx.TransportError:
                return ""

        found = Scrape(until(scraped, "the port"))
    finally:
        worker.terminate()
    assert worker.wait(timeout=20) == 0
    labels = {"role": "matching", "instance": "m-1", "shard": "2"}
    assert found.all("crossbook_matcher_position_batches", **labels) == [7]
    assert found.all("process_cpu_seconds_total", role="matching", instance="m-1")
