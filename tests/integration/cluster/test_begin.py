"""`crossbook topics` and `crossbook cluster begin`: what servers of one's own need, once."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.run_state import RunFolder

ROOT = Path(__file__).resolve().parents[3]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(kafka_bootstrap: str, postgres_dsn: str, tmp_path: Path) -> Run:
    """Runs a command with the settings of an exchange of its own on the session's servers."""
    kept = {name: value for name, value in os.environ.items() if "CROSSBOOK" not in name}
    settings = {
        "DATA_DIR": str(tmp_path),
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "KAFKA_TOPIC_PREFIX": f"begin-{uuid.uuid4().hex[:8]}.",
        "KAFKA_REPLICATION_FACTOR": "1",
        "KAFKA_MIN_INSYNC_REPLICAS": "1",
        "POSTGRES_DSN": postgres_dsn,
        "SHARDS": "3",
    }

    def command(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        given = {f"CROSSBOOK_{name}": text for name, text in {**settings, **changed}.items()}
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=ROOT,
            env={**kept, **given},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return command


def test_topics_are_made_once_and_checked(run: Run) -> None:
    before = run("topics", "--check")
    assert before.returncode == 1
    assert "does not exist" in before.stderr and "crossbook topics" in before.stderr
    for arguments in (["topics"], ["topics"], ["topics", "--check"]):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        assert "3 shards" in done.stdout
    other = run("topics", SHARDS="4")
    assert other.returncode == 1
    assert "3 partitions for 4 shards" in other.stderr


def test_accounts_are_opened_once(run: Run, tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        done = run("cluster", "begin")
        assert done.returncode == 0, done.stderr
        found.append(RunFolder(tmp_path).read_credentials())
    assert {"admin", "demo"} <= set(found[0])
    assert found[0] == found[1]


def test_a_store_that_does_not_answer_is_said(run: Run) -> None:
    done = run("cluster", "begin", POSTGRES_DSN="postgresql://nobody@127.0.0.1:9/none")
    assert done.returncode == 1
    assert done.stderr.startswith("crossbook: ") and "Traceback" not in done.stderr
