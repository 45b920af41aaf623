"""Schemathesis with all of its checks, run against an exchange that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from api.rest.operations import OPERATIONS

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
WAIT_S = 240.0
# What it sends is not to be refused for coming too often.
UNLIMITED = {
    "ADDRESS_REQUESTS_PER_S_MAX": "0",
    "KEY_REQUESTS_PER_S_MAX": "0",
    "KEY_COMMANDS_PER_S_MAX": "0",
}


def check_document(url: str, key: str, folder: Path, examples: int) -> None:
    """Ask every endpoint, so many examples of each kind, always the same. Raises AssertionError
    with what it said; `folder` is where it may write."""
    words = [str(Path(sys.executable).parent / "schemathesis")]
    words += ["--config-file", str(HERE / "schemathesis.toml")]
    words += ["run", f"{url}/openapi.json"]
    words += ["--header", f"Authorization: Bearer {key}", "--max-examples", str(examples)]
    words += ["--generation-deterministic", "--no-shrink"]
    ran = subprocess.run(
        words,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.integration.api.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
    count = len(OPERATIONS)
    assert f"{count}/{count}" in ran.stdout, "every endpoint is asked"
