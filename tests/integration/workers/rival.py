"""A worker in a consumer group of its own: it holds every shard, whoever else does.

Run as `python -m tests.integration.workers.rival NAME` with the environment of a worker. What a
broken network or a process that was frozen makes of two workers, this makes at will."""

from __future__ import annotations

import sys
from typing import Any

from cli import worker
from cli.roles.process import begin
from cli.settings import Settings
from streams.workers import running


def main(name: str) -> int:
    """Run the worker of which `name` is the rival (`rival-redis`; `rival`: matching)."""
    run_worker = running.run_worker

    def run_apart(kind: Any, *given: Any, **named: Any) -> int:
        kind.name = name
        return run_worker(kind, *given, **named)

    running.run_worker = run_apart
    settings = Settings()
    stop = begin(settings, name, with_parent=False)
    work, _ = worker.WORKERS[name.removeprefix("rival").removeprefix("-") or "matching"]
    return work(settings, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
