"""The instruments and accounts that a new exchange begins with.

Prices are round figures of the right size, from which the simulator starts; they are no quotes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TICK_SIZE_TICKS: Final = 100  # one cent
LOT_SIZE: Final = 1
COLLAR_DIVISOR: Final = 10  # 10 % of the start price


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument of the first start; prices in 1/10,000 dollar."""

    symbol: str
    start_price_ticks: int

    @property
    def price_collar_ticks(self) -> int:
        """How far a market order may trade from the best price, in whole ticks."""
        collar = self.start_price_ticks // COLLAR_DIVISOR
        return max(TICK_SIZE_TICKS, collar // TICK_SIZE_TICKS * TICK_SIZE_TICKS)


@dataclass(frozen=True, slots=True)
class FirstAccount:
    """An account of the first start and the scopes of its key, which `credentials.json` keeps."""

    name: str
    scopes: tuple[str, ...]


ADMIN: Final = "admin"
DEMO: Final = "demo"
SIMULATOR: Final = "simulator"
PLAYER: Final = "player"

FIRST_ACCOUNTS: Final = (
    FirstAccount(ADMIN, ("read", "trade", "admin")),
    FirstAccount(DEMO, ("read", "trade")),
    FirstAccount(SIMULATOR, ("read", "trade")),
    FirstAccount(PLAYER, ("read", "trade")),
)

# Symbols, and start prices in dollars. No price is above $429,496.7295, so the dearest share of
# all, BRK/A, starts where it once was.
_START_PRICES: Final = """
AAPL 230   MSFT 420   NVDA 130   GOOGL 170  AMZN 190   META 570   TSLA 250
AVGO 170   BRK/B 450  BRK/A 350000  LLY 800    JPM 220    V 290      MA 500
UNH 560    XOM 115    COST 890   WMT 80     PG 170     JNJ 160    HD 400
ORCL 170   NFLX 700   ABBV 190   BAC 42     KO 70      MRK 110    CRM 290
CVX 150    AMD 150    PEP 170    ADBE 500   LIN 470    TMO 600    CSCO 55
MCD 300    ABT 115    WFC 62     GE 180     IBM 225    DIS 95     QCOM 170
CAT 390    INTC 23    PFE 29     NKE 80     BA 155     F 11       T 22
GM 48
"""


def _listings() -> tuple[Listing, ...]:
    words = _START_PRICES.split()
    pairs = zip(words[::2], words[1::2], strict=True)
    return tuple(Listing(symbol, int(dollars) * 10_000) for symbol, dollars in pairs)


FIRST_LISTINGS: Final = _listings()
START_PRICES: Final = {each.symbol: each.start_price_ticks for each in FIRST_LISTINGS}
