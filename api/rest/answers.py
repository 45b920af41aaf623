"""What a command came to, as the client reads it: one shape for single answers and for items of a
batch.

Guarantees: an answer is a function of the command's outcome (and of the order's row, for a repeat);
ids are strings, prices decimal strings; null, 0 and empty members of a batch's items are left out.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from api.errors import Problem
from api.metrics import rejected
from api.reasons import reason_code, reason_detail, reason_status
from commands.validation import Refusal, price_text
from domain.outcomes import (
    ACCEPTED,
    CANCELLED,
    MASS_CANCELLED_ALL,
    REJECTED,
    REPEATED,
    REPLACED,
    Outcome,
)

JSON: Final = "application/json"


class OrderAnswer(Struct, kw_only=True, gc=False):
    """An order as it is now."""

    order_id: str
    client_order_id: str | None
    symbol: str
    side: str
    type: str
    time_in_force: str
    price: str | None
    quantity: int
    executed_quantity: int
    leaves_quantity: int
    average_price: str | None
    state: str
    reason: str | None
    created_at: str
    updated_at: str
    position: str


class CommandResult(Struct, kw_only=True, gc=False, omit_defaults=True):
    """What one command of a batch came to. `status` is what it would have been as a request."""

    status: int
    outcome: str
    order_id: str | None = None
    client_order_id: str | None = None
    state: str | None = None
    executed_quantity: int = 0
    leaves_quantity: int = 0
    average_price: str | None = None
    cancel_reason: str | None = None
    reason: str | None = None
    refused_by: str | None = None
    detail: str | None = None
    status_url: str | None = None
    order: OrderAnswer | None = None


class CommandAnswer(Struct, kw_only=True, gc=False):
    """What one command came to."""

    status: int
    outcome: str
    order_id: str | None
    client_order_id: str | None
    symbol: str | None
    state: str | None
    executed_quantity: int
    leaves_quantity: int
    average_price: str | None
    cancel_reason: str | None
    position: str
    status_url: str | None = None
    order: OrderAnswer | None = None


class MassCancelAnswer(Struct, kw_only=True):
    """How many orders a mass cancel took."""

    status: int
    outcome: str
    position: str
    cancelled_count: int | UnsetType = UNSET


class BatchAnswer(Struct, kw_only=True):
    """One result a command, in order."""

    position: str
    results: list[CommandResult]


def json_response(
    content: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A Struct (or plain values) as JSON."""
    body = msgspec.json.encode(content)
    return Response(body, status_code=status, headers=headers, media_type=JSON)


def average_price_text(executed_value: int, executed_quantity: int) -> str | None:
    """The mean price, rounded half up to 1/10,000 dollar; None where nothing traded."""
    if executed_quantity == 0:
        return None
    return price_text((2 * executed_value + executed_quantity) // (2 * executed_quantity))


def state_of(outcome: Outcome) -> str:
    """The order's state after its own command."""
    if outcome.leaves_quantity:
        return "partially_filled" if outcome.executed_quantity else "open"
    return "cancelled" if outcome.cancel_reason else "filled"


def result_of(outcome: Outcome, client_order_id: str | None) -> CommandResult:
    """The result of a submit, cancel or replace. A repeat's present order is added by the
    caller, who counts the refusal (`count_refusal`) too, once it is known what is said."""
    kind = outcome.kind
    if kind in (ACCEPTED, REPLACED):
        executed = outcome.executed_quantity
        return CommandResult(
            status=201 if kind == ACCEPTED else 200,
            outcome="accepted" if kind == ACCEPTED else "replaced",
            order_id=str(outcome.order_id),
            client_order_id=client_order_id,
            state=state_of(outcome),
            executed_quantity=executed,
            leaves_quantity=outcome.leaves_quantity,
            average_price=average_price_text(outcome.executed_value, executed)
            if executed
            else None,
            cancel_reason=reason_code(outcome.cancel_reason) if outcome.cancel_reason else None,
        )
    if kind == CANCELLED:
        return CommandResult(
            status=200,
            outcome="cancelled",
            order_id=str(outcome.order_id),
            client_order_id=client_order_id,
            state="cancelled",
            cancel_reason=reason_code(outcome.cancel_reason),
        )
    return _other_result(outcome, client_order_id)


def _other_result(outcome: Outcome, client_order_id: str | None) -> CommandResult:
    order_id = str(outcome.order_id) if outcome.order_id else None
    if outcome.kind == REJECTED:
        return CommandResult(
            status=reason_status(outcome.reason),
            outcome="rejected",
            order_id=order_id,
            client_order_id=client_order_id,
            reason=reason_code(outcome.reason),
            refused_by="engine",
            detail=reason_detail(outcome.reason),
        )
    if outcome.kind == REPEATED:
        return CommandResult(
            status=200, outcome="repeated", order_id=order_id, client_order_id=client_order_id
        )
    if outcome.kind == MASS_CANCELLED_ALL:
        raise ValueError("a mass cancel has an answer of its own")
    raise ValueError(f"the engine said nothing of command {outcome.command_index}")


def count_refusal(result: CommandResult) -> None:
    """Count a command that the engine refused, with the reason that its client is told."""
    if result.outcome == "rejected" and result.reason is not None:
        rejected("engine", result.reason)


def refused_result(refusal: Refusal, client_order_id: str | None) -> CommandResult:
    """The result of a command that the gateway refused."""
    rejected("gateway", refusal.reason)
    return CommandResult(
        status=refusal.status,
        outcome="rejected",
        client_order_id=client_order_id,
        reason=refusal.reason,
        refused_by="gateway",
        detail=refusal.detail,
    )


def problem_of_result(result: CommandResult, position: str) -> Problem:
    """The error answer of a single command that the engine refused."""
    extra = {"refused_by": result.refused_by, "position": position}
    if result.order_id is not None:
        extra["order_id"] = result.order_id
    if result.client_order_id is not None:
        extra["client_order_id"] = result.client_order_id
    if result.state is not None:
        extra["state"] = result.state
    return Problem(result.status, result.reason or "refused", result.detail or "", extra=extra)


def answer_of_result(result: CommandResult, symbol: str | None, position: str) -> CommandAnswer:
    """The answer of a single command that was not refused."""
    return CommandAnswer(
        status=result.status,
        outcome=result.outcome,
        order_id=result.order_id,
        client_order_id=result.client_order_id,
        symbol=symbol,
        state=result.state,
        executed_quantity=result.executed_quantity,
        leaves_quantity=result.leaves_quantity,
        average_price=result.average_price,
        cancel_reason=result.cancel_reason,
        position=position,
        status_url=result.status_url,
        order=result.order,
    )
