"""`crossbook explain`: an order's story, from the logs alone.

Guarantees: every event of the order is told, in order, with its place in the log; why it traded or
did not is told from the book that it met. Names come from the directory beside the logs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cli.replay_command import BadOptionError
from cli.replay_directory import Names
from cli.replay_places import LogPlace, open_commands, shards_in
from domain.codes import APPLIED, REPEAT
from domain.commands import SubmitOrder
from domain.events import (
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderExpired,
    OrderRejected,
    OrderRepeated,
    OrderReplaced,
)
from streams.replay import Progress, Replay
from streams.replay_life import Birth, Life, Named, life_of, submits_named
from streams.replay_logs import LogUnreadableError

ORDER_ID_MAX = 2**63 - 1
CLIENT = "client:"


@dataclass(frozen=True)
class Wanted:
    """Which order: by `order_id`, or where that is 0 by client order id."""

    order_id: int
    client_order_id: str = ""
    account: str = ""
    symbol: str = ""


@dataclass
class Story:
    """A life with what it comes to. `state` is as in the API; `executed_value` is price ticks times
    shares; `others` are later and earlier submits under the same client order id."""

    life: Life
    order: SubmitOrder
    names: Names
    state: str
    executed_quantity: int
    executed_value: int
    leaves_quantity: int
    others: list[Named]
    viewer: int | None = None  # the only account that may be named; None: all

    def account_text(self, number: int) -> str:
        """An account with its name, where that is known."""
        if self.viewer not in (None, number):
            return "another account"
        name = self.names.account(number)
        return f"account {number} ({name})" if name else f"account {number}"


def named_order(order: str, account: str | None, symbol: str | None) -> Wanted:
    """The order that the command line names. Raises BadOptionError."""
    if order.startswith(CLIENT):
        client_order_id = order.removeprefix(CLIENT)
        if not client_order_id or account is None or symbol is None:
            raise BadOptionError("client:ID needs --account NUMBER or NAME, and --symbol")
        return Wanted(0, client_order_id, account, symbol.upper())
    if account is not None or symbol is not None:
        raise BadOptionError("--account and --symbol go with client:ID")
    if not order.isdecimal() or not 0 < int(order) <= ORDER_ID_MAX:
        raise BadOptionError(f"an order is its order id, or client:ID; not {order!r}")
    return Wanted(int(order))


def explain_order(
    place: LogPlace,
    wanted: Wanted,
    *,
    progress: Progress | None,
    begin: Callable[[Birth], Replay] = lambda birth: Replay(birth.shard),
) -> Story | str:
    """The order's story; a sentence where there is no such order. `begin` gives a replay that
    stands before an order's birth. Raises LogUnreadableError, BadOptionError."""
    names = Names(place)
    others: list[Named] = []
    if wanted.order_id:
        birth = Birth.of(wanted.order_id)
    else:
        others = _named_submits(place, wanted, names, progress)
        if not others:
            return (
                f"no submit of account {wanted.account} in {wanted.symbol} carried the client "
                f"order id {wanted.client_order_id!r}"
            )
        birth = _chosen(others).birth
        others = [each for each in others if each.birth != birth]
    if birth.shard not in shards_in(place):
        if not shards_in(place):
            raise LogUnreadableError(f"there are no command logs in {place}")
        return f"no order {birth.order_id}: shard {birth.shard} has no log in {place}"
    with open_commands(place, birth.shard) as commands:
        end = commands.end()
        if not 0 < birth.position <= end:
            return (
                f"no order {birth.order_id}: it would be of position {birth.position:,}, the log "
                f"ends at {end:,}"
            )
        life = life_of(commands, birth, end, progress, begin(birth))
    missing = _why_no_order(life)
    return _story(life, names, others) if not missing else f"no order {birth.order_id}: {missing}"


def _named_submits(
    place: LogPlace, wanted: Wanted, names: Names, progress: Progress | None
) -> list[Named]:
    if wanted.account.isdecimal():
        account = int(wanted.account)
    else:
        number = names.account_number(wanted.account)
        if number is None:
            why = names.missing or "the directory has no account of this name"
            raise BadOptionError(f"--account {wanted.account}: {why}")
        account = number
    shards = shards_in(place)
    if not shards:
        raise LogUnreadableError(f"there are no command logs in {place}")
    shard = names.shard(wanted.symbol)
    found: list[Named] = []
    for each in shards if shard is None else [shard]:
        with open_commands(place, each) as commands:
            found += submits_named(
                commands,
                commands.end(),
                account=account,
                symbol=wanted.symbol,
                client_order_id=wanted.client_order_id.encode("ascii", "replace"),
                progress=progress,
            )
    return found


def _chosen(named: list[Named]) -> Named:
    """The last that was accepted; where none was, the last that was not a repeat."""
    accepted = [each for each in named if isinstance(each.event, OrderAccepted)]
    refused = [each for each in named if not isinstance(each.event, OrderRepeated)]
    return (accepted or refused or named)[-1]


def _why_no_order(life: Life) -> str:
    """Why no order was born where the id says; empty where one was, or was refused."""
    place = f"command {life.birth.command_index} of position {life.birth.position:,}"
    if life.status != APPLIED:
        kind = "a repeat" if life.status == REPEAT else "undecodable"
        return f"position {life.birth.position:,} was {kind}, nothing of it was applied"
    if life.command is None:
        return f"position {life.birth.position:,} has only {life.command_count:,} commands"
    if not isinstance(life.command, SubmitOrder):
        return f"{place} is a {type(life.command).__name__}"
    first = life.happenings[0].event
    if isinstance(first, OrderRepeated) and first.order_id != life.birth.order_id:
        return f"{place} sent order {first.order_id} once more; explain that one"
    return ""


def _story(life: Life, names: Names, others: list[Named]) -> Story:
    assert isinstance(life.command, SubmitOrder)
    order_id = life.birth.order_id
    state, leaves, executed, value = "rejected", 0, 0, 0
    for each in life.happenings:
        event = each.event
        if isinstance(event, OrderAccepted):
            state, leaves = "open", int(event.quantity)
        elif isinstance(event, OrderExecuted):
            executed += event.quantity
            value += event.quantity * event.price_ticks
            is_aggressor = event.aggressor_order_id == order_id
            leaves = int(event.aggressor_leaves if is_aggressor else event.resting_leaves)
            state = "partially_filled" if leaves else "filled"
        elif isinstance(event, OrderReplaced):
            leaves = int(event.leaves_quantity)
        elif isinstance(event, OrderCancelled | OrderExpired):
            state = "cancelled" if isinstance(event, OrderCancelled) else "expired"
            leaves = 0
        else:
            assert isinstance(event, OrderRejected | OrderRepeated), event
    return Story(life, life.command, names, state, int(executed), int(value), leaves, others)
