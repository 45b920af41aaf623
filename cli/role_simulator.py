"""The role `simulator`: the gentle flow that `crossbook up` starts. It ends with its parent."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path

from cli.listings import SIMULATOR
from cli.logging_setup import set_up_logging
from cli.run_state import RunFolder
from cli.settings import Settings
from cli.simulate import Simulation
from crossbook_client import AsyncCrossbook, Retries

PARENT_CHECK_S = 0.5
FOR_EVER = Retries(total_s=float("inf"))

log = logging.getLogger("crossbook.simulator")


def run_simulator(settings: Settings) -> None:
    """Simulate at the settings' rate until SIGTERM, SIGINT or the parent's end."""
    set_up_logging(settings, "simulator")
    asyncio.run(_simulate(settings, os.getppid()))


async def _simulate(settings: Settings, parent: int) -> None:
    folder = RunFolder(Path(settings.data_dir))
    state = folder.read_state()  # written before this role is started
    if state is None or state.supervisor.pid != parent:
        raise SystemExit("this role is started by `crossbook up`, once the exchange is ready")
    key = folder.read_credentials()[SIMULATOR].key
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # A seed of its own each time: the exchange would otherwise see the same orders once more.
    seed = time.time_ns()
    run = f"{seed // 1_000_000:x}"
    async with AsyncCrossbook(state.url, key, retries=FOR_EVER) as exchange:
        rate = settings.simulate_rate
        simulation = Simulation(exchange, rate=rate, seed=seed, run=run, say=log.info)
        flow = asyncio.create_task(simulation.go(None))
        watch = asyncio.create_task(_until_stopped(stop, parent))
        done, _ = await asyncio.wait({flow, watch}, return_when=asyncio.FIRST_COMPLETED)
        for task in {flow, watch} - done:
            task.cancel()
        if flow in done:
            flow.result()


async def _until_stopped(stop: asyncio.Event, parent: int) -> None:
    while not stop.is_set() and os.getppid() == parent:
        try:
            async with asyncio.timeout(PARENT_CHECK_S):
                await stop.wait()
        except TimeoutError:
            continue
