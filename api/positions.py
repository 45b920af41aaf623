"""Positions as clients see them: `"0-123"`, shard and place in its command log; several are joined
by commas.

Guarantees: a read with `min_position` answers what is at least as new, or 503 `behind`; a text that
is no position is refused with 400, in time bounded by its length.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from api.errors import Problem
from domain.codes import POSITION_MAX

TOKEN: Final = re.compile(r"(?:0|[1-9]\d{0,2})-(?:0|[1-9]\d{0,11})", re.ASCII)
TEXT_LENGTH_MAX: Final = 2_048
ACCOUNTS_REMEMBERED_MAX: Final = 65_536


def position_text(positions: Mapping[int, int]) -> str:
    """Positions by shard as one text."""
    return ",".join(f"{shard}-{position}" for shard, position in sorted(positions.items()))


def parse_positions(text: str | None, shards: int) -> dict[int, int]:
    """Positions by shard; of a shard named twice, the later. Raises Problem (400)."""
    if not text:
        return {}
    found: dict[int, int] = {}
    for token in text.split(",") if len(text) <= TEXT_LENGTH_MAX else [""]:
        if TOKEN.fullmatch(token) is None:
            detail = 'a position is such as "0-123", as a write answered it'
            raise Problem(400, "invalid_position", detail)
        shard_digits, _, position_digits = token.partition("-")
        shard, position = int(shard_digits), int(position_digits)
        if shard >= shards or position > POSITION_MAX:
            raise Problem(400, "invalid_position", f"no shard has the position {token}")
        found[shard] = max(position, found.get(shard, 0))
    return found


class LastWrites:
    """Where each account last wrote, through this process: what its next look-up must have seen.

    Bounded: of too many accounts, the one that wrote longest ago is forgotten.
    """

    def __init__(self, accounts_max: int = ACCOUNTS_REMEMBERED_MAX) -> None:
        self._accounts_max = accounts_max
        self._positions: OrderedDict[int, dict[int, int]] = OrderedDict()

    def note(self, account: int, shard: int, position: int) -> None:
        """An account wrote."""
        positions = self._positions.get(account)
        if positions is None:
            positions = self._positions[account] = {}
            if len(self._positions) > self._accounts_max:
                self._positions.popitem(last=False)
        else:
            self._positions.move_to_end(account)
        if position > positions.get(shard, 0):
            positions[shard] = position

    def of(self, account: int) -> dict[int, int]:
        """The account's last position by shard."""
        return dict(self._positions.get(account, {}))
