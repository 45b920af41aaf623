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
Field = tuple[str, str, str]  # of a table: its field, title and format


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
    fields: tuple[Field, ...]
    whole: bool = False  # of all instruments, not of the chosen one
    source: str = ""  # the metric of the API, where it has another name

    def told(self) -> dict[str, Any]:
        """What the scripts need of it."""
        return asdict(self)


BEGINS: Final = ("begins", "Begins", "time")
SHARES: Final = ("volume", "Shares", "quantity")
TRADES: Final = ("trade_count", "Trades", "quantity")
BOUGHT: Final = ("bought", "Bought", "quantity")
SOLD: Final = ("sold", "Sold", "quantity")
IMBALANCE: Final = ("imbalance", "Imbalance", "ratio")


def _sides(kind: str) -> tuple[Series, ...]:
    """What takers bought and sold."""
    return (Series("bought", "bought", "up", kind=kind), Series("sold", "sold", "down", kind=kind))


def _by_interval(
    name: str,
    title: str,
    label: str,
    formula: str,
    figures: str,
    series: tuple[Series, ...],
    *fields: Field,
    source: str = "",
) -> Metric:
    """An analytic with a value for each interval; its table begins with when that began."""
    return Metric(
        name, title, label, formula, "begins", figures, series, (BEGINS, *fields), source=source
    )


METRICS: Final = (
    _by_interval(
        "vwap",
        "VWAP",
        "Volume-weighted average price of each interval",
        "Σ price × quantity / Σ quantity of the interval's trades",
        "price",
        (Series("vwap", "VWAP", "own"),),
        ("vwap", "VWAP", "price"),
        SHARES,
    ),
    _by_interval(
        "twap",
        "TWAP",
        "Time-weighted average price of each interval",
        "Σ price × time / Σ time, each last price for as long as it was in force",
        "price",
        (Series("twap", "TWAP"),),
        ("twap", "TWAP", "price"),
    ),
    _by_interval(
        "quoted-spread",
        "Quoted spread",
        "Time-weighted quoted spread of each interval, in basis points",
        "ask less bid, weighted by time, over the midpoint",
        "bps",
        (Series("spread_bps", "quoted"),),
        ("spread", "Spread $", "price"),
        ("spread_bps", "Basis points", "bps"),
    ),
    _by_interval(
        "effective-spread",
        "Effective spread",
        "Volume-weighted effective spread of each interval, in dollars",
        "twice the distance of price and midpoint just before the trade, weighted by quantity",
        "price",
        (Series("effective_spread", "effective", "down"),),
        ("effective_spread", "Spread $", "price"),
        SHARES,
    ),
    _by_interval(
        "realised-spread",
        "Realised spread",
        "Volume-weighted realised spread of each interval, in dollars",
        "what the resting side kept, against the midpoint 5 s after the trade",
        "price",
        (Series("realised_spread", "realised", "own"),),
        ("realised_spread", "Spread $", "price"),
        SHARES,
    ),
    _by_interval(
        "depth",
        "Depth of the best 5 levels",
        "Time-weighted depth of bids and asks in shares",
        "shares on the best 5 levels of each side, weighted by time",
        "quantity",
        (Series("bid_depth", "bids", "up"), Series("ask_depth", "asks", "down", "dash")),
        ("bid_depth", "Bids", "quantity"),
        ("ask_depth", "Asks", "quantity"),
        IMBALANCE,
    ),
    _by_interval(
        "imbalance",
        "Imbalance",
        "Imbalance of bids and asks, from −1 (all asks) to 1 (all bids)",
        "(bids − asks) / (bids + asks) of the best 5 levels, weighted by time",
        "ratio",
        (Series("imbalance", "imbalance", "up", kind="bar"),),
        IMBALANCE,
        source="depth",
    ),
    _by_interval(
        "order-to-trade",
        "Order-to-trade ratio",
        "Commands for each trade, by interval",
        "(submits + replaces + cancels) / trades",
        "ratio",
        (Series("order_to_trade", "commands a trade"),),
        ("order_to_trade", "Ratio", "ratio"),
        ("submit_count", "Submits", "quantity"),
        ("replace_count", "Replaces", "quantity"),
        ("cancel_count", "Cancels", "quantity"),
        TRADES,
    ),
    _by_interval(
        "fill-rate",
        "Fill rate",
        "Share of the ordered quantity that executed, by interval of acceptance",
        "Σ executed / Σ total quantity; and the share of orders that executed at all",
        "ratio",
        (Series("fill_rate", "of shares"), Series("executed_share", "of orders", "down", "dash")),
        ("fill_rate", "Of shares", "ratio"),
        ("executed_share", "Of orders", "ratio"),
        ("order_count", "Orders", "quantity"),
    ),
    Metric(
        "volatility",
        "Realised volatility",
        "Realised volatility of the range, at each length of an interval",
        "√Σ ln(close / close before)², not annualised; for the interval chosen and longer ones",
        "every",
        "percent",
        (Series("volatility_percent", "volatility", kind="bar"),),
        (
            ("every", "Interval", "text"),
            ("volatility", "Volatility", "ratio"),
            ("return_count", "Returns", "quantity"),
        ),
    ),
    Metric(
        "volume-profile",
        "Volume profile",
        "Shares traded at each price, bought and sold",
        "shares by price: bought and sold by who took",
        "price",
        "quantity",
        _sides("across"),
        (("price", "Price", "price"), BOUGHT, SOLD, TRADES),
    ),
    _by_interval(
        "activity",
        "Activity",
        "Shares bought and sold, by interval",
        "shares by interval: bought and sold by who took",
        "quantity",
        _sides("bar"),
        TRADES,
        BOUGHT,
        SOLD,
    ),
    Metric(
        "movers",
        "Movers of all instruments",
        "Change of the instruments that moved most in the range, in percent",
        "(last − first) / first of the range",
        "symbol",
        "percent",
        (Series("change_percent", "change", "up", kind="across"),),
        (
            ("symbol", "Symbol", "text"),
            ("first", "First", "price"),
            ("last", "Last", "price"),
            ("change_percent", "Change", "percent"),
            SHARES,
        ),
        whole=True,
    ),
)

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


def fields_of(dataset: str) -> tuple[Field, ...]:
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
        rules = {"cb-up": "params.value === 'BUY'", "cb-down": "params.value === 'SELL'"}
        formatter = {"function": "cbAggressor(params)"}
        return column(field, title, valueFormatter=formatter, cellClassRules=rules, flex=84)
    if kind == "text":
        return column(field, title, flex=72, cellClass="cb-num")
    return number(field, title, FORMATTERS[kind], flex=84, minWidth=64)
