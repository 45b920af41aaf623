"""The exchange's state, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from api.graphql.errors import refused
from api.graphql.market_types import Ask
from api.graphql.status_types import ExchangeStatus

EVERY_MS_MIN: Final = 250
EVERY_MS_MAX: Final = 60_000


async def statuses(info: Ask, every_ms: int) -> AsyncIterator[ExchangeStatus]:
    """One at once, then one each `every_ms`. Raises Problem (429), GraphQLError."""
    if not EVERY_MS_MIN <= every_ms <= EVERY_MS_MAX:
        detail = f"everyMs is {EVERY_MS_MIN} to {EVERY_MS_MAX}"
        raise refused("invalid_value", detail, status=400)
    live = info.context.live
    with live.subscribed(info.context.connection):
        while True:
            yield await live.status()
            await asyncio.sleep(every_ms / 1_000)
