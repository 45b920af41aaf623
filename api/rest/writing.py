"""From checked command records to answers: write, wait for the outcome, and say what is known.

Guarantees: nothing is answered before the log has it; an answer never claims more than the log and
the event log say (201/200 matched, 202 durable only, 503 with what is known of a failure).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from fastapi import Request

from api.metrics import outcome_known
from api.rest.answers import CommandResult
from api.rest.orders_read import history_at, order_answers
from api.services import Services
from commands.protocols import BehindError, NotWrittenError, OutcomeUnknownError, Receipt
from commands.validation import ORDER_ID_SHARD_BITS
from domain.outcomes import Outcome

POSITION_BITS: Final = 16

WriteError: TypeAlias = NotWrittenError | OutcomeUnknownError | BehindError


@dataclass(frozen=True, slots=True)
class Written:
    """Where commands lie, and what they came to (None: not known in time)."""

    receipt: Receipt
    outcomes: list[Outcome] | None


def responds_async(request: Request) -> bool:
    """Whether the client asked not to wait (RFC 7240, `Prefer: respond-async`)."""
    prefer = request.headers.get("prefer")
    return prefer is not None and "respond-async" in prefer.lower()


def order_id_at(receipt: Receipt, index: int) -> int:
    """The id of the order that the command at `index` of a receipt gave birth to."""
    place = receipt.position << POSITION_BITS | (receipt.first_index + index)
    return receipt.shard << ORDER_ID_SHARD_BITS | place


async def write(
    services: Services, account: int, shard: int, records: Sequence[bytes], *, wait: bool
) -> Written:
    """Write an account's commands to one shard and, if asked, wait for what came of them.

    Raises NotWrittenError, OutcomeUnknownError or BehindError.
    """
    began = time.perf_counter()
    receipt = await services.gateway.write(shard, records)
    services.last_writes.note(account, shard, receipt.position)
    if not wait:
        return Written(receipt, None)
    outcomes = await services.gateway.outcomes(receipt, services.settings.outcome_wait_s)
    if outcomes is not None:
        outcome_known(shard, time.perf_counter() - began)
    return Written(receipt, outcomes)


def pending_result(
    receipt: Receipt, index: int, *, submit: bool, client_order_id: str | None, order_id: str | None
) -> CommandResult:
    """202: durable, and no more is known yet.

    A new order's id follows from its place; but one with a client order id may prove to be a
    repeat of another order, so it is named, and to be looked up, by that.
    """
    known_id = order_id
    if submit and client_order_id is None:
        known_id = str(order_id_at(receipt, index))
    token = f"{receipt.shard}-{receipt.position}"
    url = None
    if known_id is not None:
        url = f"/v1/orders/{known_id}?min_position={token}"
    elif client_order_id is not None:
        url = f"/v1/orders/client:{quote(client_order_id, safe='')}?min_position={token}"
    return CommandResult(
        status=202,
        outcome="pending",
        order_id=known_id,
        client_order_id=client_order_id,
        status_url=url,
    )


async def add_present_orders(
    services: Services, account: int, repeats: Sequence[CommandResult], positions: dict[int, int]
) -> None:
    """Give repeats their order as it is now, and with it the original outcome.

    Raises Problem (503 `behind`) where the orders read model does not come so far in time.
    """
    history = await history_at(services, positions)
    ids = [int(result.order_id) for result in repeats if result.order_id is not None]
    orders = await order_answers(services, history, account, ids)
    for result in repeats:
        result.order = orders.get(result.order_id or "")
        if result.order is not None:
            result.state = result.order.state
            result.executed_quantity = result.order.executed_quantity
            result.leaves_quantity = result.order.leaves_quantity
            result.average_price = result.order.average_price


async def gather_writes(
    services: Services, account: int, by_shard: dict[int, list[bytes]], *, wait: bool
) -> dict[int, Written | WriteError]:
    """Write to several shards at once; each gives its result or its error."""

    async def attempt(shard: int, records: list[bytes]) -> Written | WriteError:
        try:
            return await write(services, account, shard, records, wait=wait)
        except (NotWrittenError, OutcomeUnknownError, BehindError) as error:
            return error

    if len(by_shard) == 1:
        shard, records = next(iter(by_shard.items()))
        return {shard: await attempt(shard, records)}
    done = await asyncio.gather(*(attempt(*item) for item in by_shard.items()))
    return dict(zip(by_shard, done, strict=True))
