"""Questions about the market's past, as REST and GraphQL both ask them.

Guarantees: one question is answered alike over both, within the same bounds and in the same turn
(`projections.read_analytics`); what cannot be answered is a Problem with its reason.
"""

from __future__ import annotations

import time
from typing import Any, Final

from api.errors import Problem, retry_after
from api.services import Services
from projections.read_analytics import AnalyticsBusyError
from projections.read_history import HistoryUnavailableError

RANGE_NS: Final = 86_400 * 10**9
RETRY_S: Final = 1.0


def range_of(from_ns: int | None, until_ns: int | None) -> tuple[int, int]:
    """[from, until) in ns: what is left out is now, and a day before."""
    until = time.time_ns() if until_ns is None else until_ns
    return max(0, until - RANGE_NS) if from_ns is None else from_ns, until


def needs_symbol(metric: str, symbol: str | None) -> None:
    """Raises Problem (422) where a metric of one symbol is asked without."""
    if symbol is None and metric != "movers":
        raise Problem(422, "symbol_required", f"{metric} is of one symbol")


async def figures(
    services: Services,
    metric: str,
    symbol: str | None,
    *,
    from_ns: int,
    until_ns: int,
    every_ns: int,
) -> list[dict[str, Any]]:
    """The metric's rows, as `AnalyticsReader.ask` gives them. Raises Problem: 422, 503."""
    if services.analytics is None:
        detail = "this server has no history to analyse"
        raise Problem(503, "history_unavailable", detail, headers=retry_after(RETRY_S))
    try:
        return await services.analytics.ask(
            metric, symbol, from_ns=from_ns, until_ns=until_ns, every_ns=every_ns
        )
    except ValueError as error:
        raise Problem(422, "invalid_range", str(error)) from error
    except AnalyticsBusyError as error:
        raise Problem(503, "busy", str(error), headers=retry_after(RETRY_S)) from error
    except HistoryUnavailableError as error:
        detail = "the history cannot be read now; try again"
        raise Problem(503, "history_unavailable", detail, headers=retry_after(RETRY_S)) from error
