"""Reads the exchange's state."""

from __future__ import annotations

from api.errors import Problem
from api.graphql.context import Context
from api.graphql.status_types import ExchangeStatus


async def exchange_status(context: Context) -> ExchangeStatus:
    """As it was looked at last."""
    raise Problem(503, "no_status", "nothing was looked at yet")
