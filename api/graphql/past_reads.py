"""Reads books of now and of the past for their fields.

Guarantees: a book of now comes from Redis, or, where its orders are asked for too, from the replica
behind the stream: one source for all of one `Book`, and so one instant.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from strawberry.types.nodes import SelectedField

from api.errors import Problem, behind
from api.graphql.enums import Side, TradingState
from api.graphql.errors import refused
from api.graphql.inputs import DEPTH_MAX, PAGE_MAX, AsOf, bounded
from api.graphql.market_types import (
    Ask,
    Book,
    BookStep,
    BookSteps,
    LevelChange,
    OrderChange,
    RestingOrder,
    Trade,
    book_of,
    levels_of,
    trade_of,
)
from api.graphql.scalars import NUMBER_MAX
from api.past import Past, StepTold
from api.positions import parse_positions
from api.rest.market import read_at_least
from api.rest.orders_read import history_at
from api.services import Services
from commands.directory.entries import InstrumentEntry
from projections.market_data.past import Moment, PastBook
from projections.read_books import BookSnapshot

ORDERS_MAX: Final = 1_000
ORDERS_FIRST: Final = 100  # the default of `orders(first:)`
LOOK_S: Final = 0.01


async def book_at(
    info: Ask, symbol: str, depth: int, as_of: AsOf | None, min_position: str | None
) -> Book:
    """A book of now, or of the past."""
    context = info.context
    bounded("depth", depth, DEPTH_MAX)
    entry = context.instrument(symbol)
    services = context.services
    queued = _orders_asked(info)
    if as_of is not None:
        moment = _moment(entry, as_of, services.settings.shards)
        past = _past(services)
        found = await past.book(entry.shard, entry.number, moment, depth=depth, queued=queued)
        return _book(entry, found, is_past=True)
    wanted = parse_positions(min_position, services.settings.shards).get(entry.shard, 0)
    if queued:
        present = await _present(services, entry, wanted, depth=depth, queued=queued)
        return _book(entry, present, is_past=False)

    async def read() -> BookSnapshot | None:
        return await services.books.book(entry.shard, entry.number, depth)

    return book_of(entry, await read_at_least(services, entry.shard, wanted, read))


def _past(services: Services) -> Past:
    if services.past is None:
        raise Problem(503, "no_time_travel", "this server tells no past")
    return services.past


def _moment(entry: InstrumentEntry, as_of: AsOf, shards: int) -> Moment:
    if isinstance(as_of.sequence, int):
        return Moment(sequence=as_of.sequence)
    if isinstance(as_of.time, int):
        return Moment(time_ns=max(-NUMBER_MAX, min(NUMBER_MAX, as_of.time)))
    if isinstance(as_of.position, str):
        positions = parse_positions(as_of.position, shards)
        if entry.shard not in positions:
            detail = f"{entry.symbol} is of shard {entry.shard}: give a position of it"
            raise refused("invalid_position", detail, status=400)
        return Moment(position=positions[entry.shard])
    raise refused("invalid_value", "asOf has one of sequence, time and position", status=400)


def _orders_asked(info: Ask) -> int:
    """How many orders of each side the query asks for; 0 where for none. Raises GraphQLError."""
    asked: list[int] = []
    waiting: list[Any] = [each for field in info.selected_fields for each in field.selections]
    while waiting:
        found = waiting.pop()
        if not isinstance(found, SelectedField):  # a fragment
            waiting += found.selections
        elif found.name == "orders":
            first = found.arguments.get("first")
            asked.append(ORDERS_FIRST if first is None else int(first))  # a literal is text
    return max((bounded("first", each, ORDERS_MAX) for each in asked), default=0)


async def _present(
    services: Services, entry: InstrumentEntry, wanted: int, *, depth: int, queued: int
) -> PastBook:
    """The book that the stream has, once it is at least as new as `wanted`."""
    hub = services.hub
    deadline = time.monotonic() + services.settings.read_wait_s
    while hub is not None:
        book = hub.book(entry, depth=depth, queued=queued)
        if book is not None and book.position >= wanted:
            return book
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_S)
    raise behind(f"the books of shard {entry.shard} have not come so far yet")


def _book(entry: InstrumentEntry, found: PastBook, *, is_past: bool) -> Book:
    return Book(
        symbol=entry.symbol,
        sequence=found.sequence,
        position=f"{found.shard}-{found.position}",
        state=TradingState(found.state),
        bids=levels_of(found.bids),
        asks=levels_of(found.asks),
        trading_time=found.trading_time_ns or None,
        is_past=is_past,
        last=None,
        told=found,
        entry=entry,
    )


async def last_trade_at(info: Ask, entry: InstrumentEntry, found: PastBook) -> Trade | None:
    """The newest trade that is in a book of the past. Raises Problem (503) where the history has
    not come so far."""
    services = info.context.services
    await history_at(services, {found.shard: found.position})
    row = await services.market.last_trade(entry.number, found.match_number)
    return None if row is None else trade_of(entry.symbol, row)


def orders_in(info: Ask, found: PastBook, side: Any, first: int) -> list[RestingOrder]:
    """The orders of a book, marked where they are the caller's."""
    bounded("first", first, ORDERS_MAX)
    caller = info.context.caller()
    own = -1 if caller is None else caller.account.number
    sides = (0, 1) if side is None else (side.value,)
    return [
        RestingOrder(
            order_id=order_id, side=Side(at), price=price, quantity=leaves, own=account == own
        )
        for at in sides
        for order_id, account, price, leaves in found.queues[at][:first]
    ]


async def steps_between(
    info: Ask, symbol: str, after: int, until: int | None, first: int
) -> BookSteps:
    """What happened to a book."""
    bounded("first", first, PAGE_MAX)
    services = info.context.services
    entry = info.context.instrument(symbol)
    top = await info.context.loaders.tops.load(entry)
    newest = after if top is None else top.sequence
    if after >= newest:
        return BookSteps(
            symbol=symbol, after=after, sequence=after, newest=newest, has_more=False, steps=[]
        )
    told = await _past(services).steps(entry.shard, entry.number, after, until, first)
    return BookSteps(
        symbol=symbol,
        after=after,
        sequence=told.sequence,
        newest=max(newest, told.sequence),
        has_more=told.has_more,
        steps=[_step(entry, each) for each in told.steps],
    )


def _step(entry: InstrumentEntry, told: StepTold) -> BookStep:
    position = f"{entry.shard}-{told.position}"
    return BookStep(
        sequence=told.sequence,
        previous_sequence=told.previous_sequence,
        position=position,
        command_index=told.command_index,
        time=told.time_ns,
        trading_time=told.trading_time_ns or None,
        events=told.events,
        levels=[
            LevelChange(
                sequence=each.sequence,
                side=Side(each.side),
                price=each.price_ticks,
                quantity=each.quantity,
                order_count=each.order_count,
            )
            for each in told.levels
        ],
        trades=[
            Trade(
                symbol=entry.symbol,
                match_number=each.match_number,
                price=each.price_ticks,
                quantity=each.quantity,
                aggressor_side=Side(each.aggressor_side),
                time=each.executed_at_ns,
                trading_time=told.trading_time_ns or None,
                position=position,
                sequence=each.sequence,
            )
            for each in told.trades
        ],
        orders=[
            OrderChange(
                kind=each.event,
                order_id=each.order_id,
                side=Side(each.side),
                price=each.price_ticks,
                quantity=each.leaves,
                executed=each.executed,
                match_number=each.match_number or None,
            )
            for each in told.orders
        ],
        state=None if told.state is None else TradingState(told.state),
    )
