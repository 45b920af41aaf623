"""What a cancel or replace is answered whose order is no longer open.

The engine knows open orders alone: of any other it says `unknown_order`. The history knows the
rest. Venues tell the two apart (FIX's CxlRejReason 0, "too late to cancel", and 1, "unknown
order"), and a cancel that is sent again because its first answer was lost must not look like a
failure. Guarantees: only what is said changes, never what was done; all of a request are looked up
at once; an order that was born after the command is none of its; where the history does not come
so far in time, the engine's own answer stands.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.errors import Problem
from api.reasons import REASON_CODES
from api.rest.answers import CommandResult, OrderAnswer
from api.rest.orders_read import history_at, order_answer
from api.services import Services
from commands.validation import Cancel, Replace, instrument_of, order_id_of
from domain.codes import Reason
from projections.read_history import HistoryReader, HistoryUnavailableError, OrderRow

UNKNOWN_ORDER: Final = REASON_CODES[int(Reason.UNKNOWN_ORDER)]
BY_REQUEST: Final = REASON_CODES[int(Reason.BY_REQUEST)]
DONE: Final = frozenset({"filled", "cancelled", "expired", "rejected"})

log = logging.getLogger("crossbook.api")


@dataclass(frozen=True, slots=True)
class UnknownOrder:
    """A command whose order the engine does not know, and its answer so far. `place` is the id that
    an order would have which the command had given birth to: ids grow with the log."""

    asked: Cancel | Replace
    refused: CommandResult
    place: int


async def told_if_done(
    services: Services,
    account: int,
    unknown: Sequence[UnknownOrder],
    positions: Mapping[int, int],
) -> list[CommandResult]:
    """Of each the answer so far, or what is truer: a cancel of an order that a cancel has ended is
    repeated with 200, anything else of an order that is done is 422 `too_late` with the order's
    state. `positions` are where the commands lie, by shard."""
    try:
        history = await history_at(services, positions)
        rows = await _rows(services, history, account, unknown)
    except HistoryUnavailableError as error:
        log.info("%d unknown orders are not looked up: %s", len(unknown), error)
        return [each.refused for each in unknown]
    except Problem as problem:
        if problem.reason != "behind":
            raise
        return [each.refused for each in unknown]
    return [
        _told(each, None if row is None else order_answer(services, row))
        for each, row in zip(unknown, rows, strict=True)
    ]


def _told(unknown: UnknownOrder, order: OrderAnswer | None) -> CommandResult:
    asked = unknown.asked
    if order is None or order.state not in DONE:
        return unknown.refused
    if isinstance(asked, Cancel) and (order.state, order.reason) == ("cancelled", BY_REQUEST):
        return CommandResult(
            status=200,
            outcome="cancelled",
            order_id=order.order_id,
            client_order_id=asked.client_order_id,
            state="cancelled",
            cancel_reason=BY_REQUEST,
        )
    return CommandResult(
        status=422,
        outcome="rejected",
        order_id=order.order_id,
        client_order_id=asked.client_order_id,
        state=order.state,
        reason="too_late",
        refused_by="engine",
        detail=f"the order is {order.state}: there is nothing left to cancel or replace",
    )


async def _rows(
    services: Services, history: HistoryReader, account: int, unknown: Sequence[UnknownOrder]
) -> list[OrderRow | None]:
    """The order that each command means; None where the account had none."""
    symbols = services.directory_view.symbols
    ids: set[int] = set()
    names: list[tuple[int, str, int]] = []
    for each in unknown:
        asked = each.asked
        if asked.order_id is not None:
            ids.add(order_id_of(asked.order_id))
        else:
            assert asked.client_order_id is not None and asked.symbol is not None
            number = instrument_of(asked.symbol, symbols).number
            names.append((number, asked.client_order_id, each.place))
    by_id: dict[int, OrderRow] = {}
    if ids:
        by_id = {row.order_id: row for row in await history.orders_numbered(account, ids)}
    by_name: dict[tuple[int, str | None], list[OrderRow]] = {}
    for row in await history.orders_named(account, names) if names else ():
        by_name.setdefault((row.instrument, row.client_order_id), []).append(row)

    def row_of(each: UnknownOrder) -> OrderRow | None:
        asked = each.asked
        if asked.order_id is not None:
            found = by_id.get(order_id_of(asked.order_id))
            return found if found is not None and found.order_id < each.place else None
        assert asked.symbol is not None
        key = (instrument_of(asked.symbol, symbols).number, asked.client_order_id)
        before = [row for row in by_name.get(key, ()) if row.order_id < each.place]
        return max(before, key=lambda row: row.order_id, default=None)

    return [row_of(each) for each in unknown]
