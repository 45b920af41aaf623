"""docker-compose.yml is sound, and says what our own programs understand.

`docker-compose config` (no engine is needed) reads it; a machine without that program skips, and
with CI=true fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cli.cluster import Topology
from cli.main import app
from cli.servers.kafka_programs import POM
from cli.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
INSTALL = "no docker-compose here: on Debian and Ubuntu, `apt-get install docker-compose`"
OURS = "crossbook:local"
JOBS = {"topics", "accounts"}
SECRET = "a password of the test's"


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """The whole file as docker-compose understands it, every profile."""
    program = shutil.which("docker-compose")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "POSTGRES_PASSWORD": SECRET}
    done = subprocess.run(
        [program, "--profile", "monitoring", "config"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


@pytest.fixture
def ours(composed: dict[str, Any]) -> dict[str, Any]:
    """The services that run our image."""
    services = composed["services"]
    return {name: each for name, each in services.items() if each["image"] == OURS}


def parse(arguments: list[str]) -> None:
    """Parse a command line as `crossbook` would, without running it. Raises what it would."""
    command: Any = typer.main.get_command(app)
    name = "crossbook"
    context = command.make_context(name, list(arguments))
    rest = list(arguments)
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, list(rest), parent=context)


def test_every_command_is_one_of_ours(ours: dict[str, Any]) -> None:
    assert len(ours) == 11
    for service in ours.values():
        parse(service["command"])


@pytest.mark.parametrize("wrong", [["worker", "matchmaking"], ["api", "--shards", "4"], ["topic"]])
def test_a_command_that_is_none_of_ours_is_noticed(wrong: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such (command|option)"):
        parse(wrong)


def test_every_setting_is_one_of_ours(
    ours: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [name for name in os.environ if name.startswith("CROSSBOOK_")]:
        monkeypatch.delenv(variable)
    for name, service in ours.items():
        given = {key: value for key, value in service["environment"].items() if "CROSS" in key}
        fields = {key.removeprefix("CROSSBOOK_").lower() for key in given}
        assert fields <= set(Settings.model_fields), name
        with monkeypatch.context() as patch:
            for key, value in given.items():
                patch.setenv(key, value)
            settings = Settings()
        assert settings.distributed, name
        assert settings.postgres_dsn is not None and SECRET in settings.postgres_dsn


def test_it_is_the_topology_that_cluster_up_starts(ours: dict[str, Any]) -> None:
    here = {
        name: (service["environment"]["CROSSBOOK_INSTANCE"], service["command"])
        for name, service in ours.items()
        if name not in JOBS
    }
    parts = Topology().parts()
    assert here == {part.name: (part.name, list(part.arguments)) for part in parts}
    shards = {service["environment"]["CROSSBOOK_SHARDS"] for service in ours.values()}
    assert shards == {str(Topology().shards)}


def test_nothing_listens_beyond_loopback(composed: dict[str, Any]) -> None:
    published = [port for each in composed["services"].values() for port in each.get("ports", [])]
    assert len(published) == 4
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_what_should_live_is_watched_and_started_again(composed: dict[str, Any]) -> None:
    for name, service in composed["services"].items():
        if name in JOBS:
            assert service["restart"] == "on-failure", name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_what_must_not_be_lost_is_on_named_volumes(composed: dict[str, Any]) -> None:
    volumes = set(composed["volumes"])
    for name in ("kafka", "redis", "postgres", "accounts", "multicast-1", "prometheus"):
        kept = [each.partition(":")[0] for each in composed["services"][name]["volumes"]]
        assert volumes & set(kept), name


def test_prometheus_scrapes_every_process(ours: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    scraped = {
        target
        for job in config["scrape_configs"]
        for listed in job["static_configs"]
        for target in listed["targets"]
    }
    ports = ("CROSSBOOK_METRICS_PORT", "CROSSBOOK_PORT")
    listening = {
        f"{name}:{service['environment'][port]}"
        for name, service in ours.items()
        for port in ports
        if port in service["environment"]
    }
    assert scraped == listening


def test_its_broker_is_the_release_of_the_local_one(composed: dict[str, Any]) -> None:
    jar = re.search(r"<artifactId>kafka_2.13</artifactId>\s*<version>(.+?)<", POM.read_text())
    assert jar is not None
    assert composed["services"]["kafka"]["image"] == f"apache/kafka:{jar.group(1)}"


def test_the_image_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER crossbook"]
    assert lines.index(users[0]) < lines.index('ENTRYPOINT ["crossbook"]')
