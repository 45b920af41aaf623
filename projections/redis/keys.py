"""The names of the books' keys in Redis, and the scripts that touch them.

All keys of a shard carry its number in braces, so that a Redis cluster keeps them together:

    crossbook:{0}:generation               the generation that is served
    crossbook:{0}:generations              every generation that has keys
    crossbook:{0}:7:position               hash: position, chain
    crossbook:{0}:7:instruments            set of instrument numbers
    crossbook:{0}:7:12:book                hash: sequence, state, last_trade
    crossbook:{0}:7:12:bids:prices         sorted set of prices; asks: likewise
    crossbook:{0}:7:12:bids:levels         hash: price to "quantity:order count"
    crossbook:{0}:7:12:deltas              stream, entry id = last book sequence of the entry
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

SCRIPTS: Final = Path(__file__).parent / "scripts"
BOOK_KEYS: Final = (
    "book",
    "bids:prices",
    "bids:levels",
    "asks:prices",
    "asks:levels",
    "deltas",
)


def shard_prefix(shard: int) -> str:
    """What every key of a shard begins with."""
    return f"crossbook:{{{shard}}}:"


def live_key(shard: int) -> str:
    """The key of the generation that is served."""
    return f"{shard_prefix(shard)}generation"


def script(name: str) -> str:
    """The text of one script."""
    return (SCRIPTS / f"{name}.lua").read_text()
