"""Reads books of now and of the past for their fields."""

from __future__ import annotations

from typing import Any

from api.errors import Problem
from api.graphql.inputs import DEPTH_MAX, PAGE_MAX, AsOf, bounded
from api.graphql.market_types import Ask, Book, BookSteps, RestingOrder, book_of
from api.positions import parse_positions
from api.rest.market import read_at_least
from commands.directory.entries import InstrumentEntry
from projections.read_books import BookSnapshot


async def book_at(
    info: Ask, symbol: str, depth: int, as_of: AsOf | None, min_position: str | None
) -> Book:
    """A book of now, or of the past."""
    context = info.context
    bounded("depth", depth, DEPTH_MAX)
    entry = context.instrument(symbol)
    if as_of is not None:
        raise Problem(503, "no_time_travel", "this server tells no past")
    services = context.services
    wanted = parse_positions(min_position, services.settings.shards).get(entry.shard, 0)

    async def read() -> BookSnapshot | None:
        return await services.books.book(entry.shard, entry.number, depth)

    book = await read_at_least(services, entry.shard, wanted, read)
    return book_of(entry, book, _present_orders(entry))


def _present_orders(entry: InstrumentEntry) -> Any:
    async def orders(info: Ask, side: Any, first: int) -> list[RestingOrder]:
        raise Problem(503, "no_time_travel", "this server tells no orders")

    return orders


async def steps_between(
    info: Ask, symbol: str, after: int, until: int | None, first: int
) -> BookSteps:
    """What happened to a book."""
    bounded("first", first, PAGE_MAX)
    info.context.instrument(symbol)
    raise Problem(503, "no_time_travel", "this server tells no past")
