"""The enums of the schema, made of the engine's own codes: a new one appears here with it."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any, Final

import strawberry

from domain import codes
from projections.postgres.fold import STATUS_NAMES

COUNTLESS: Final = frozenset({"BOTH"})


def _enum(name: str, source: type[IntEnum], says: str) -> Any:
    members = {each.name: each.value for each in source if each.name not in COUNTLESS}
    return strawberry.enum(Enum(name, members), description=says)


Side: Any = _enum("Side", codes.Side, "Which side of the book.")
OrderType: Any = _enum("OrderType", codes.OrderType, "docs/matching.md describes each.")
TimeInForce: Any = _enum("TimeInForce", codes.TimeInForce, "How long an order stays.")
TradingState: Any = _enum("TradingState", codes.TradingState, "What an instrument allows now.")
OrderState: Any = strawberry.enum(
    Enum("OrderState", {name.upper(): code for code, name in enumerate(STATUS_NAMES)}),
    description="What became of an order. OPEN and PARTIALLY_FILLED can still trade.",
)


@strawberry.enum(description="Whether an order of an execution rested, or arrived and met it.")
class Liquidity(Enum):
    """As in the history: which of the two."""

    MAKER = 0
    TAKER = 1


@strawberry.enum(description="How long one candle is. Candles begin at whole multiples since 1970.")
class CandleInterval(Enum):
    """Seconds."""

    M1 = 60
    M5 = 300
    M15 = 900
    M30 = 1_800
    H1 = 3_600
    H4 = 14_400
    D1 = 86_400
