"""`python -m benchmarks.tapes FILE…`: the public matching-engine tapes through the product's own
engine.

One JSON line a tape: `tape, messages, rate_median, rate_best` (messages a second) and `sha256`, of
the reports that the benchmark defines (arXiv:2606.01183). Timed is `Exchange.apply`, command bytes
to event bytes in batches of 512, with a client order id on every new order, level changes and
duplicate checks; reports and hashes are made outside.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.adapters import (
    BATCH_COMMANDS,
    AdapterError,
    Flow,
    Tape,
    flow_of_tape,
    measure,
    number_of,
    read_tape,
)
from domain import is_compiled
from domain.codes import CommandType
from domain.event_records import decode_events
from domain.events import (
    Event,
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderRejected,
    OrderReplaced,
)
from domain.exchange import Exchange

ORDER_ACK, TRADE, CANCEL_ACK, MODIFY_ACK, CANCEL_REJECT, MODIFY_REJECT = range(6)


def report_of(tape: Tape, event: Event) -> tuple[int, str] | None:
    """The benchmark's report of an event: its type, and its fields after the sequence number."""
    if isinstance(event, OrderExecuted):
        maker = tape.tape_id(number_of(event.resting_order_id))
        taker = tape.tape_id(number_of(event.aggressor_order_id))
        price = tape.price_of(event.price_ticks)
        return TRADE, f"{price},{event.quantity},{maker},{taker}"
    if isinstance(event, OrderAccepted):
        tape_id, price = tape.tape_id(number_of(event.order_id)), tape.price_of(event.price_ticks)
        return ORDER_ACK, f"{event.side},{tape_id},{price},{event.quantity}"
    if isinstance(event, OrderCancelled):
        tape_id, price = tape.tape_id(number_of(event.order_id)), tape.price_of(event.price_ticks)
        return CANCEL_ACK, f"{event.side},{tape_id},{price}"
    if isinstance(event, OrderReplaced):
        tape_id, price = tape.tape_id(number_of(event.order_id)), tape.price_of(event.price_ticks)
        return MODIFY_ACK, f"{event.side},{tape_id},{price},{event.leaves_quantity}"
    return None


def reports_of(tape: Tape, first: int, image: bytes) -> Iterator[str]:
    """The report lines of one event batch, whose command 0 is the tape's message `first`.

    Stably sorted by (sequence number, type); sequence numbers ascend from batch to batch.
    """
    messages = list(tape.messages(first, BATCH_COMMANDS))
    reports: list[tuple[int, int, str]] = []
    for event in decode_events(image):
        sequence = messages[event.command_index][4]
        if isinstance(event, OrderRejected):
            if event.command_type == CommandType.SUBMIT_ORDER:
                raise AdapterError(f"{tape.name}: the order of message {sequence} was refused")
            cancel = event.command_type == CommandType.CANCEL_ORDER
            kind = CANCEL_REJECT if cancel else MODIFY_REJECT
            tape_id = messages[event.command_index][5]
            reports.append((sequence, kind, str(tape_id)))
        elif (report := report_of(tape, event)) is not None:
            reports.append((sequence, *report))
    reports.sort(key=lambda report: report[:2])
    return (f"{kind},{sequence},{rest}" for sequence, kind, rest in reports)


def hash_of(tape: Tape, flow: Flow) -> str:
    """SHA-256 of the tape's reports, one a line, without a last line's end."""
    digest = hashlib.sha256()
    joint = ""
    for number, image in enumerate(flow.run(Exchange(0))):
        lines = "\n".join(reports_of(tape, number * BATCH_COMMANDS, image))
        if lines:
            digest.update(f"{joint}{lines}".encode())
            joint = "\n"
    return digest.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Run the tapes named on the command line; 1 where one of them cannot be run."""
    parser = argparse.ArgumentParser(prog="benchmarks.tapes", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".bin or .bin.xz")
    parser.add_argument("--runs", type=int, default=5, help="timed runs a tape (5)")
    options = parser.parse_args(arguments)
    for path in options.files:
        engine = "compiled" if is_compiled() else "interpreted"
        print(f"{path.name}: reading, then {options.runs} runs, {engine}", file=sys.stderr)
        try:
            tape = read_tape(path)
            flow = flow_of_tape(tape)
            rates = measure(flow, options.runs)
            digest = hash_of(tape, flow)
        except (AdapterError, OSError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 1
        result = {
            "tape": tape.name,
            "messages": flow.messages,
            "rate_median": round(rates.median),
            "rate_best": round(rates.best),
            "sha256": digest,
        }
        print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
