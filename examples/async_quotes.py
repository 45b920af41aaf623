"""Quote both sides of a symbol around its middle for a while, with one batch a second.

    .venv/bin/python examples/async_quotes.py MSFT 10

Needs a running exchange with both sides of the book populated. Client order ids are chosen here,
so a batch whose answer is lost can be sent again without quoting twice: the client does that by
itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from decimal import Decimal

from quickstart import demo_key

from crossbook_client import AsyncCrossbook, CancelCommand, Command, SubmitCommand

URL = os.environ.get("CROSSBOOK_URL", "http://127.0.0.1:8000")
HALF_SPREAD_TICKS = 3
QUANTITY = 10


async def quote(exchange: AsyncCrossbook, symbol: str, rounds: int) -> None:
    """Replace both quotes `rounds` times, then take them off."""
    tick = (await exchange.instrument(symbol)).tick_size
    run = uuid.uuid4().hex[:8]
    resting: list[str] = []
    for number in range(rounds + 1):
        commands: list[Command] = [CancelCommand(symbol, client_order_id=name) for name in resting]
        resting = []
        book = await exchange.book(symbol, depth=1)
        if number < rounds and book.bids and book.asks:
            middle = (book.bids[0].price + book.asks[0].price) / 2 // tick * tick
            away: Decimal = HALF_SPREAD_TICKS * tick
            for side, price in (("buy", middle - away), ("sell", middle + away)):
                name = f"{run}-{number}-{side}"
                resting.append(name)
                commands.append(SubmitCommand(symbol, side, QUANTITY, price, client_order_id=name))
        if commands:
            answer = await exchange.batch(commands)
            print(", ".join(item.reason or item.outcome for item in answer.results))
        await asyncio.sleep(1.0)


async def main() -> None:
    """Quote the symbol of the command line."""
    symbol = sys.argv[1] if len(sys.argv) > 1 else "MSFT"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    async with AsyncCrossbook(URL, demo_key()) as exchange:
        await quote(exchange, symbol, rounds)


if __name__ == "__main__":
    asyncio.run(main())
