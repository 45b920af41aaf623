"""`python -m benchmarks.exchange_core FILE.csv[.xz] --l2 FILE`: exchange-core's own commands
through our engine.

Prints JSON: `commands, mismatches, l2_equal, rate_median` (commands a second). A command agrees
when it was taken or refused as the file says, with the same trades (matched order, price, quantity,
in order), and took the same quantity off where the file tells of that. Exit code 1 where anything
differs, with the first differences on standard error.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.adapters import (
    BATCH_COMMANDS,
    INSTRUMENT,
    NO_SUCH_ORDER,
    AdapterError,
    Flow,
    batches_of,
    measure,
    number_of,
    opening,
    order_id_at,
    read_bytes,
)
from domain import is_compiled
from domain.codes import (
    BUY,
    FOK,
    GTC,
    IOC,
    LIMIT,
    MARKET,
    REPLACE_REQUEUE,
    REPLACE_TOTAL,
    SELL,
)
from domain.commands import CancelOrder, Command, ReplaceOrder, SubmitOrder
from domain.event_records import decode_events
from domain.events import Event, OrderCancelled, OrderExecuted, OrderRejected, OrderReplaced
from domain.exchange import Exchange
from domain.wire import encode_command

SIDES = {"BID": BUY, "ASK": SELL}
SHAPES = {"GTC": (LIMIT, GTC), "IOC": (LIMIT, IOC), "FOK_BUDGET": (MARKET, FOK)}
SHOWN_MISMATCHES = 10


@dataclass
class Row:
    """One command of the file, with what exchange-core answered; all numbers as in the file."""

    command: str
    order_id: int
    action: str
    order_type: str
    price: int
    size: int
    uid: int
    result: str
    events: list[str]


def read_rows(path: Path) -> list[Row]:
    """Read the file. Raises AdapterError on a row of another shape."""
    rows: list[Row] = []
    for row in csv.DictReader(read_bytes(path).decode().splitlines()):
        try:
            order_id, price, size, uid = (int(row[k]) for k in ("order_id", "price", "size", "uid"))
            events = [event for event in row["events"].split(";") if event]
            command, action, order_type = row["command"], row["action"], row["type"]
            result = row["result"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AdapterError(f"{path.name}, row {len(rows) + 1}: {error!r}") from error
        rows.append(Row(command, order_id, action, order_type, price, size, uid, result, events))
    return rows


class Translator:
    """Turns rows into commands of ours.

    It knows what a client knows: which order of ours each of its ids is, and each order's total
    (so that a reduction becomes a new total, whatever was executed meanwhile).
    """

    def __init__(self) -> None:
        self.accounts: dict[int, int] = {}
        self.order_ids: dict[int, int] = {}
        self.totals: dict[int, int] = {}

    def command_of(self, number: int, row: Row) -> Command:
        """The command of row `number`, from 0. Raises AdapterError where we have none."""
        account = self.accounts.setdefault(row.uid, len(self.accounts) + 1)
        order_id = self.order_ids.get(row.order_id, NO_SUCH_ORDER)
        if row.command == "PLACE_ORDER":
            return self._submit(number, row, account)
        if row.command == "CANCEL_ORDER":
            return CancelOrder(account, INSTRUMENT, order_id)
        if row.command == "MOVE_ORDER":
            return ReplaceOrder(account, INSTRUMENT, order_id, row.price, 0, REPLACE_REQUEUE)
        if row.command == "REDUCE_ORDER":
            total = self.totals.get(row.order_id, 0) - row.size
            if total <= 0:
                return CancelOrder(account, INSTRUMENT, order_id)
            self.totals[row.order_id] = total
            return ReplaceOrder(account, INSTRUMENT, order_id, 0, total, REPLACE_TOTAL)
        raise AdapterError(f"row {number + 1}: command {row.command}")

    def _submit(self, number: int, row: Row, account: int) -> SubmitOrder:
        if row.action not in SIDES or row.order_type not in SHAPES:
            raise AdapterError(f"row {number + 1}: {row.action} {row.order_type}")
        self.order_ids[row.order_id] = order_id_at(number)
        self.totals[row.order_id] = row.size
        order_type, tif = SHAPES[row.order_type]
        price = row.price if order_type == LIMIT else 0
        text = b"core-%d" % number
        side = SIDES[row.action]
        return SubmitOrder(account, INSTRUMENT, side, order_type, tif, price, row.size, text)


def flow_of(rows: list[Row]) -> Flow:
    """The rows as command batches."""
    translator = Translator()
    records = [
        encode_command(translator.command_of(number, row)) for number, row in enumerate(rows)
    ]
    return Flow(opening(1, len(translator.accounts)), batches_of(records), len(rows))


def answer_of(rows: list[Row], events: list[Event]) -> tuple[bool, list[str]]:
    """Whether a command was taken, and its events as the file has them: `TYPE:matched:price:size`.

    As in exchange-core, a reduction is what a cancel or a smaller total takes off a resting order,
    and a rejection is what an order that never rests leaves over, at the price it was sent with.
    """
    taken = True
    answers: list[str] = []
    for event in events:
        if isinstance(event, OrderRejected):
            taken = False
        elif isinstance(event, OrderExecuted):
            matched = rows[number_of(event.resting_order_id)].order_id
            answers.append(f"TRADE:{matched}:{event.price_ticks}:{event.quantity}")
        elif isinstance(event, OrderCancelled):
            order = rows[number_of(event.order_id)]
            if order.order_type == "GTC":
                answers.append(f"REDUCE:0:{event.price_ticks}:{event.quantity}")
            else:
                answers.append(f"REJECT:0:{order.price}:{event.quantity}")
        elif isinstance(event, OrderReplaced) and event.kept_priority:
            less = event.previous_leaves_quantity - event.leaves_quantity
            answers.append(f"REDUCE:0:{event.price_ticks}:{less}")
    return taken, answers


def told_apart(events: list[str]) -> tuple[list[str], list[str]]:
    """Trades, whose order means something, and the rest, whose place among them does not."""
    trades = [event for event in events if event.startswith("TRADE")]
    return trades, sorted(event for event in events if not event.startswith("TRADE"))


def differences(rows: list[Row], flow: Flow, exchange: Exchange) -> Iterator[str]:
    """One line for each command that our engine answers in another way."""
    for batch, image in enumerate(flow.run(exchange)):
        by_command: dict[int, list[Event]] = defaultdict(list)
        for event in decode_events(image):
            by_command[event.command_index].append(event)
        first = batch * BATCH_COMMANDS
        for number in range(first, min(first + BATCH_COMMANDS, len(rows))):
            row = rows[number]
            taken, answers = answer_of(rows, by_command[number - first])
            differs = told_apart(answers) != told_apart(row.events)
            if differs or (row.result and taken != (row.result == "SUCCESS")):
                said = "taken" if taken else "refused"
                yield f"row {number + 1}: {row.result} {row.events}, ours {said} {answers}"


def read_levels(path: Path) -> list[tuple[str, int, int, int]]:
    """The final book of a file: (side, price, volume, orders), sorted."""
    levels: list[tuple[str, int, int, int]] = []
    for fields in csv.reader(read_bytes(path).decode().splitlines()):
        if fields and fields[0] in ("ask", "bid"):
            price, volume, orders = (int(field) for field in fields[1:4])
            levels.append((fields[0], price, volume, orders))
    return sorted(levels)


def levels_of(exchange: Exchange) -> list[tuple[str, int, int, int]]:
    """Our final book in the same shape."""
    sides = (("bid", BUY), ("ask", SELL))
    return sorted(
        (name, *level) for name, side in sides for level in exchange.levels(INSTRUMENT, side)
    )


def main(arguments: list[str] | None = None) -> int:
    """Compare, measure, print; 1 where anything differs or cannot be read."""
    about = "exchange-core's commands through our engine, command by command"
    parser = argparse.ArgumentParser(prog="benchmarks.exchange_core", description=about)
    parser.add_argument("file", type=Path, metavar="FILE", help=".csv or .csv.xz")
    parser.add_argument("--l2", type=Path, required=True, metavar="FILE", help="the final book")
    parser.add_argument("--runs", type=int, default=5, help="timed runs (5)")
    options = parser.parse_args(arguments)
    engine = "compiled" if is_compiled() else "interpreted"
    print(f"{options.file.name}: {options.runs} runs, {engine}", file=sys.stderr)
    try:
        rows = read_rows(options.file)
        wanted = read_levels(options.l2)
        flow = flow_of(rows)
        exchange = Exchange(0)
        found = list(differences(rows, flow, exchange))
        rates = measure(flow, options.runs)
    except (AdapterError, OSError, ValueError) as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return 1
    for line in found[:SHOWN_MISMATCHES]:
        print(line, file=sys.stderr)
    l2_equal = levels_of(exchange) == wanted
    result = {
        "commands": len(rows),
        "mismatches": len(found),
        "l2_equal": l2_equal,
        "rate_median": round(rates.median),
    }
    print(json.dumps(result))
    return 0 if l2_equal and not found else 1


if __name__ == "__main__":
    sys.exit(main())
