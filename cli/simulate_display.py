"""What `crossbook simulate` shows: a live table on a terminal, a plain line a second elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from cli.simulate import Simulation, Totals
from crossbook_client import AsyncCrossbook, Retries

REFRESH_S = 1.0
PATIENCE = Retries(total_s=600.0)  # an exchange that is being started again is waited for


def run_shown(
    url: str,
    key: str,
    *,
    symbols: Sequence[str],
    rate: float,
    seed: int,
    duration_s: float | None,
) -> None:
    """Simulate until the duration is over or Ctrl-C, and print a summary."""
    # Without a duration, Ctrl-C is how it ends; the summary has been printed by then.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(url, key, list(symbols), rate, seed, duration_s))


async def _run(
    url: str, key: str, symbols: list[str], rate: float, seed: int, duration_s: float | None
) -> None:
    run = f"{time.time_ns() // 1_000_000:x}"
    async with AsyncCrossbook(url, key, retries=PATIENCE) as exchange:
        simulation = Simulation(exchange, rate=rate, seed=seed, run=run, symbols=symbols, say=print)
        flow = asyncio.create_task(simulation.go(duration_s))
        try:
            await _show(simulation, flow)
        except asyncio.CancelledError:
            flow.cancel()
            raise
        finally:
            print(summary(simulation.totals))
        await flow


async def _show(simulation: Simulation, flow: asyncio.Task[None]) -> None:
    console = Console()
    if not console.is_terminal:
        before, at = 0, time.monotonic()
        while not flow.done():
            await asyncio.wait({flow}, timeout=REFRESH_S)
            now, totals = time.monotonic(), simulation.totals
            print(line_of(totals, max(0, totals.sent - before) / max(now - at, 1e-9)))
            sys.stdout.flush()
            before, at = totals.sent, now
        return
    with Live(table_of(simulation.totals, 0.0), console=console, auto_refresh=False) as live:
        before, at = 0, time.monotonic()
        while not flow.done():
            await asyncio.wait({flow}, timeout=REFRESH_S)
            now, totals = time.monotonic(), simulation.totals
            live.update(table_of(totals, max(0, totals.sent - before) / (now - at)), refresh=True)
            before, at = totals.sent, now


def line_of(totals: Totals, rate: float) -> str:
    """One plain line."""
    return (
        f"{totals.elapsed_s:7.1f} s  {rate:9,.1f}/s  sent {totals.sent:,}  accepted "
        f"{totals.accepted:,}  refused {totals.refused:,}  traded {totals.executed_quantity:,}  "
        f"p50 {totals.latency_ms(0.5):.1f} ms  p99 {totals.latency_ms(0.99):.1f} ms"
    )


def table_of(totals: Totals, rate: float) -> Table:
    """The live table."""
    table = Table(title="crossbook simulate", title_justify="left")
    for name in ("time", "commands/s", "sent", "accepted", "refused", "traded", "p50", "p99"):
        table.add_column(name, justify="right")
    table.add_row(
        f"{totals.elapsed_s:.0f} s",
        f"{rate:,.1f}",
        f"{totals.sent:,}",
        f"{totals.accepted:,}",
        f"{totals.refused:,}",
        f"{totals.executed_quantity:,}",
        f"{totals.latency_ms(0.5):.1f} ms",
        f"{totals.latency_ms(0.99):.1f} ms",
    )
    return table


def summary(totals: Totals) -> str:
    """The last line."""
    rate = totals.sent / totals.elapsed_s if totals.elapsed_s else 0.0
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in totals.reasons.items())
    return (
        f"sent {totals.sent:,} commands in {totals.elapsed_s:.1f} s ({rate:,.1f}/s): accepted "
        f"{totals.accepted:,}, refused {totals.refused:,}{f' ({reasons})' if reasons else ''}, "
        f"matched later {totals.pending:,}; {totals.executed_quantity:,} shares traded"
    )
