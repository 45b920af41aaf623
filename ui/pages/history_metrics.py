"""The analytics of the History page: what each plot shows of which fields of `/v1/analytics/…`, and
the columns of their tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from ui.grids import column, number

FORMATTERS: Final = {
    "price": "cbAnalyticPrice",
    "quantity": "cbQuantity",
    "money": "cbAnalyticMoney",
    "percent": "cbAnalyticPercent",
    "ratio": "cbAnalyticRatio",
    "bps": "cbAnalyticRatio",
}


@dataclass(frozen=True)
class Series:
    """One line, or one row of bars. `colour` is a name of the page's palette."""

    field: str
    name: str
    colour: str = "accent"
    dash: str = "solid"
    kind: str = "line"


@dataclass(frozen=True)
class Metric:
    """One analytic. `x` is the field along the plot ("" for the rows' order), `format` of its
    figures; `fields` are the table's columns: (field, title, format)."""

    name: str
    title: str
    label: str
    formula: str
    x: str
    format: str
    series: tuple[Series, ...]
    fields: tuple[tuple[str, str, str], ...]
    whole: bool = False  # of all instruments, not of the chosen one

    def told(self) -> dict[str, Any]:
        """What the scripts need of it."""
        return asdict(self)


METRICS: Final[tuple[Metric, ...]] = ()

TRADE_FIELDS: Final = (
    ("time", "Time", "time"),
    ("price", "Price", "price"),
    ("quantity", "Quantity", "quantity"),
    ("aggressorSide", "Aggressor", "side"),
    ("matchNumber", "Match", "text"),
    ("position", "Log", "text"),
)
CANDLE_FIELDS: Final = (
    ("begins", "Begins", "time"),
    ("open", "Open", "price"),
    ("high", "High", "price"),
    ("low", "Low", "price"),
    ("close", "Close", "price"),
    ("vwap", "VWAP", "price"),
    ("volume", "Shares", "quantity"),
    ("tradeCount", "Trades", "quantity"),
)
DATASETS: Final = (
    ("trades", "Trades"),
    ("candles", "Candles"),
    *((metric.name, metric.title) for metric in METRICS),
)


def fields_of(dataset: str) -> tuple[tuple[str, str, str], ...]:
    """(field, title, format) of each column of a table. Raises KeyError."""
    known = {"trades": TRADE_FIELDS, "candles": CANDLE_FIELDS}
    known |= {metric.name: metric.fields for metric in METRICS}
    return known[dataset]


def columns_of(dataset: str) -> list[dict[str, Any]]:
    """The columns of a table, as AG Grid has them."""
    return [_column(field, title, kind) for field, title, kind in fields_of(dataset)]


def _column(field: str, title: str, kind: str) -> dict[str, Any]:
    if kind == "time":
        return column(
            field,
            title,
            valueFormatter={"function": "cbMoment(params)"},
            flex=160,
            minWidth=148,
            cellClass="cb-num",
        )
    if kind == "side":
        rules = {"cb-up": "value === 'BUY'", "cb-down": "value === 'SELL'"}
        formatter = {"function": "cbAggressor(params)"}
        return column(field, title, valueFormatter=formatter, cellClassRules=rules, flex=84)
    if kind == "text":
        return column(field, title, flex=72, cellClass="cb-num")
    return number(field, title, FORMATTERS[kind], flex=84, minWidth=64)
