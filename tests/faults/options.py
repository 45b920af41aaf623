"""How long and from which seed the fault tests run: read from the environment, once.

`CROSSBOOK_FAULT_SEED` repeats instants and load of a run; `CROSSBOOK_FAULT_KILLS` is how often each
role is killed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Final

from tests.faults.exchange import FaultExchange

SEED_VARIABLE: Final = "CROSSBOOK_FAULT_SEED"
KILLS_VARIABLE: Final = "CROSSBOOK_FAULT_KILLS"
KILLS_DEFAULT: Final = 20

SEED: Final = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(1, 10**6))
KILLS: Final = int(os.environ.get(KILLS_VARIABLE) or KILLS_DEFAULT)

NewExchange = Callable[..., FaultExchange]
