"""What a cancel or replace is answered whose order is no longer open.

The engine knows open orders alone: of any other it says `unknown_order`. The history knows the
rest. Venues tell the two apart (FIX's CxlRejReason 0, "too late to cancel", and 1, "unknown
order"), and a cancel that is sent again because its first answer was lost must not look like a
failure. Guarantees: only what is said changes, never what was done; where the history does not come
so far in time, the engine's own answer stands.
"""

from __future__ import annotations

import logging
from typing import Final

from api.errors import Problem
from api.reasons import REASON_CODES
from api.rest.answers import CommandResult, OrderAnswer
from api.rest.orders_read import find_by_client_order_id, find_order, history_at
from api.services import Services
from commands.validation import Cancel, Replace, instrument_of
from domain.codes import Reason
from projections.read_history import HistoryUnavailableError

UNKNOWN_ORDER: Final = REASON_CODES[int(Reason.UNKNOWN_ORDER)]
BY_REQUEST: Final = REASON_CODES[int(Reason.BY_REQUEST)]
DONE: Final = frozenset({"filled", "cancelled", "expired", "rejected"})

log = logging.getLogger("crossbook.api")


async def told_if_done(
    services: Services,
    account: int,
    asked: Cancel | Replace,
    refused: CommandResult,
    positions: dict[int, int],
) -> CommandResult:
    """`refused`, or what is truer: a cancel of an order that a cancel has ended is repeated with
    200, anything else of an order that is done is 422 `too_late` with the order's state."""
    try:
        order = await _order(services, account, asked, positions)
    except HistoryUnavailableError as error:
        log.info("an unknown order is not looked up: %s", error)
        return refused
    except Problem as problem:
        if problem.reason not in (UNKNOWN_ORDER, "behind"):
            raise
        return refused
    if order.state not in DONE:
        return refused
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


async def _order(
    services: Services, account: int, asked: Cancel | Replace, positions: dict[int, int]
) -> OrderAnswer:
    history = await history_at(services, positions)
    if asked.order_id is not None:
        return await find_order(services, history, account, asked.order_id)
    assert asked.client_order_id is not None and asked.symbol is not None
    instrument = instrument_of(asked.symbol, services.directory_view.symbols)
    return await find_by_client_order_id(
        services, history, account, asked.client_order_id, instrument
    )
