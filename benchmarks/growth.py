"""`python -m benchmarks.growth [instruments|log]`: whether the pipeline stays as fast as it grows.

One JSON line an exchange, each started on a folder of its own and loaded as in
`benchmarks.pipeline`'s first run: `orders_per_second` is submits whose rows are committed, over the
time from the first send to the last row; `ratio` is that over the first line's of the same case.
`instruments`: orders spread over 1, 50 and 1,000 instruments. `log`: an empty log, and one of
20,000,000 commands with the state that `benchmarks.prefill` describes, the load in the middle of
its books; `--history` makes its rows in PostgreSQL as well, which takes minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.flows import MIDDLE_TICKS
from benchmarks.pipeline import CONNECTIONS, Journal, throughput
from benchmarks.pipeline_load import Batch, Load, LoadSymbol
from benchmarks.pipeline_modes import Running, running_exchange
from benchmarks.pipeline_rows import Rows, judge
from benchmarks.prefill import fill, settings_of
from cli.listings import FIRST_LISTINGS, LOT_SIZE, TICK_SIZE_TICKS
from cli.main import quiet_servers
from cli.supervisor import directory_path
from commands.directory.application import Directory, DirectoryApplication, sqlite_environment
from commands.directory.entries import InstrumentTerms

INSTRUMENTS: Final = (1, 50, 1_000)
LOG_COMMANDS: Final = 20_000_000
SECONDS: Final = 10.0
RESTING: Final = 800  # orders a connection has resting before the clock starts
MIDDLE_CENTS: Final = 20_000


class EvenLoad(Load):
    """The pipeline's load with as many orders resting at first whatever the number of symbols.

    Connections that share a symbol trade with each other, so a few cancels come too late.
    """

    def opening(self) -> Batch:
        """The orders that rest before the clock starts, spread evenly."""
        count = len(self._symbols)
        return self._sealed(
            [self._rest(self._symbols[at % count], at // count % 2 == 0) for at in range(RESTING)]
        )


def symbols_of(count: int) -> list[LoadSymbol]:
    """The first `count` symbols of an exchange that `list_more` has prepared."""
    first = [LoadSymbol(each.symbol, each.start_price_ticks // 100) for each in FIRST_LISTINGS]
    return (first + [LoadSymbol(f"G{number}", MIDDLE_CENTS) for number in range(count)])[:count]


def list_more(folder: Path, count: int) -> None:
    """List what `count` instruments take beyond those that an exchange begins with."""
    path = directory_path(settings_of(folder))
    path.parent.mkdir(parents=True)
    directory = Directory(DirectoryApplication(sqlite_environment(path)), 1)
    collar = MIDDLE_CENTS * 10
    for symbol in symbols_of(count)[len(FIRST_LISTINGS) :]:
        terms = InstrumentTerms(
            symbol.symbol, tick_size=TICK_SIZE_TICKS, lot_size=LOT_SIZE, price_collar=collar
        )
        directory.list_instrument(terms, by="benchmark")
    directory.close()


def loads_of(symbols: list[LoadSymbol], name: str) -> Iterator[Load]:
    """A load for each connection; where there are fewer symbols than connections they share."""
    for at in range(CONNECTIONS):
        mine = symbols[at::CONNECTIONS] or [symbols[at % len(symbols)]]
        yield EvenLoad(mine, f"{name}{at}-", at)


def rate(running: Running, loads: list[Load], seconds: float) -> int:
    """Orders a second whose rows are committed. Exits where one is lost or there twice."""
    rows = Rows(running.postgres_dsn)

    async def run() -> tuple[Journal, float]:
        return await throughput(running.connections(len(loads)), loads, seconds)

    journal, began = uvloop.run(run())
    ended = rows.wait_for(journal.positions)
    verdict = judge(journal.acknowledged, rows.orders(running.player.account))
    rows.close()
    if verdict.lost or verdict.duplicated:
        raise SystemExit(f"{verdict.lost} orders lost, {verdict.duplicated} duplicated")
    print(f"{journal.commands:,} commands, refused {dict(journal.refused)}", file=sys.stderr)
    return round(verdict.with_rows / (ended - began))


def measured(folder: Path, symbols: list[LoadSymbol], seconds: float) -> int:
    """Start the exchange of a folder, load it, stop it."""
    with running_exchange(folder) as running:
        return rate(running, list(loads_of(symbols, "g")), seconds)


def by_instruments(counts: list[int], seconds: float) -> None:
    """The same load over more and more instruments."""
    first = 0
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="crossbook-growth-") as name:
            folder = Path(name)
            list_more(folder, count)
            found = measured(folder, symbols_of(count), seconds)
        first = first or found
        line = {"case": "instruments", "instruments": count, "orders_per_second": found}
        print(json.dumps(line | {"ratio": round(found / first, 3)}), flush=True)


def by_log(commands: int, seconds: float, *, history: bool) -> None:
    """The same load on an empty log and on a long one, with its rows in PostgreSQL or without."""
    first = 0
    symbols = [LoadSymbol(each.symbol, MIDDLE_TICKS // 100) for each in FIRST_LISTINGS]
    for count in (0, commands):
        with tempfile.TemporaryDirectory(prefix="crossbook-growth-") as name:
            folder = Path(name)
            if count:
                print(f"filling {count:,} commands", file=sys.stderr)
                fill(folder, count, history=history)
            found = measured(folder, symbols, seconds)
        first = first or found
        line = {"case": "log", "commands": count, "history": history, "orders_per_second": found}
        print(json.dumps(line | {"ratio": round(found / first, 3)}), flush=True)


def main() -> int:
    """Run both cases, or the one named."""
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="benchmarks.growth", description=about)
    parser.add_argument("case", nargs="?", choices=["instruments", "log"], help="default: both")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load (10)")
    parser.add_argument("--instruments", default=",".join(map(str, INSTRUMENTS)))
    parser.add_argument("--commands", type=int, default=LOG_COMMANDS, help="of the long log")
    parser.add_argument("--history", action="store_true", help="make the long log's rows as well")
    options = parser.parse_args()
    quiet_servers()
    if options.case != "log":
        by_instruments([int(part) for part in options.instruments.split(",")], options.seconds)
    if options.case != "instruments":
        by_log(options.commands, options.seconds, history=options.history)
    return 0


if __name__ == "__main__":
    sys.exit(main())
