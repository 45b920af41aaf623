"""Tables of the History page as files: CSV and Parquet, made by Polars from what the API answers.

Guarantees: prices stay decimal and times UTC; at most `ROWS_MAX` rows, and whoever asked is told
where there were more; neither asking nor writing blocks the process.
"""

from __future__ import annotations

import asyncio
import io
from datetime import datetime
from typing import Any, Final

import dash
import polars as pl
from dash import Input, Output, dcc, no_update

from crossbook_client import AsyncCrossbook, CrossbookError
from crossbook_client.calls import Call, json_body, query_of
from ui.pages.history_metrics import METRICS, fields_of

ROWS_MAX: Final = 200_000
PAGE_ROWS: Final = 500
KINDS: Final = ("csv", "parquet")
TRADES: Final = """
query($symbol: String!, $first: Int!, $after: String, $filter: TradeFilter) {
  trades(symbol: $symbol, first: $first, after: $after, filter: $filter) {
    pageInfo { hasNextPage endCursor }
    edges { node { time tradingTime price quantity aggressorSide matchNumber position } }
  }
}"""
CANDLES: Final = """
query($symbol: String!, $interval: CandleInterval!, $since: Time, $until: Time) {
  candles(symbol: $symbol, interval: $interval, since: $since, until: $until, first: 1000) {
    begins ends open high low close vwap volume turnover tradeCount
  }
}"""

Row = dict[str, Any]


class ExportRefusedError(Exception):
    """Why there is no file."""


async def ask(exchange: AsyncCrossbook, query: str, variables: Row) -> Row:
    """The `data` of a GraphQL answer. Raises ExportRefusedError with its first error."""
    body = json_body(query=query, variables=variables)
    answer: Row = await exchange.run(Call("POST", "/graphql", dict, {}, body))
    if answer.get("errors"):
        raise ExportRefusedError(answer["errors"][0]["message"])
    data: Row = answer["data"]
    return data


async def trades(exchange: AsyncCrossbook, wanted: Row) -> tuple[list[Row], bool]:
    """The range's trades, newest first, and whether there are more than ROWS_MAX."""
    limits = {name: wanted[name] for name in ("since", "until") if wanted.get(name)}
    found: list[Row] = []
    after: str | None = None
    while len(found) < ROWS_MAX:
        variables = {
            "symbol": wanted["symbol"],
            "first": PAGE_ROWS,
            "after": after,
            "filter": limits,
        }
        page = (await ask(exchange, TRADES, variables))["trades"]
        found.extend(edge["node"] for edge in page["edges"])
        if not page["pageInfo"]["hasNextPage"]:
            return found, False
        after = page["pageInfo"]["endCursor"]
    return found[:ROWS_MAX], True


async def rows_of(exchange: AsyncCrossbook, wanted: Row) -> tuple[list[Row], bool]:
    """The rows of a table, and whether they are cut off. Raises CrossbookError,
    ExportRefusedError."""
    dataset = wanted["dataset"]
    if dataset == "trades":
        return await trades(exchange, wanted)
    if dataset == "candles":
        variables = {name: wanted.get(name) for name in ("symbol", "since", "until")}
        answer = await ask(exchange, CANDLES, {**variables, "interval": wanted["candles"]})
        return answer["candles"], False
    return await analytics(exchange, wanted), False


async def analytics(exchange: AsyncCrossbook, wanted: Row) -> list[Row]:
    """The rows of an analytic, as the API has them: prices in price ticks, times in ns."""
    metric = next((each for each in METRICS if each.name == wanted["dataset"]), None)
    if metric is None:
        raise ExportRefusedError(f"there is no table {wanted['dataset']}")
    query = query_of(
        symbol=None if metric.whole else wanted["symbol"],
        interval=wanted["interval"],
        **{"from": nanoseconds(wanted["since"]), "to": nanoseconds(wanted["until"])},
    )
    call: Call[Row] = Call("GET", f"/v1/analytics/{metric.source or metric.name}", dict, query)
    rows: list[Row] = (await exchange.run(call))["rows"]
    return rows


def nanoseconds(time: str) -> int:
    """RFC 3339 as nanoseconds since 1970. Raises ExportRefusedError."""
    try:
        return round(datetime.fromisoformat(time).timestamp() * 1_000) * 1_000_000
    except ValueError as error:
        raise ExportRefusedError(f"no time: {time}") from error


def frame_of(rows: list[Row], dataset: str) -> pl.DataFrame:
    """Rows as Polars has them: prices Decimal with 4 places, times UTC."""
    kinds = {field: kind for field, _, kind in fields_of(dataset)}
    frame = pl.DataFrame(rows, infer_schema_length=None)
    changes = []
    for name, kind in zip(frame.columns, frame.dtypes, strict=True):
        if kind != pl.String:
            continue
        if kinds.get(name) == "time" or name in ("ends", "tradingTime"):
            changes.append(pl.col(name).str.to_datetime("%+", time_unit="ns", time_zone="UTC"))
        elif kinds.get(name) in ("price", "money") or name == "turnover":
            changes.append(pl.col(name).cast(pl.Decimal(38, 4)))
    return frame.with_columns(changes)


def file_of(rows: list[Row], dataset: str, kind: str) -> bytes:
    """The file's bytes. Blocks: for a thread."""
    frame = frame_of(rows, dataset)
    written = io.BytesIO()
    if kind == "csv":
        frame.write_csv(written, datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    else:
        frame.write_parquet(written)
    return written.getvalue()


def name_of(wanted: Row) -> str:
    """A file name that says what is in it: AAPL_trades_20261127T1400_20261127T1500.csv."""
    short = [
        "".join(c for c in str(wanted.get(name) or "") if c.isalnum())[:13]
        for name in ("since", "until")
    ]
    symbol = "".join(c if c.isalnum() else "-" for c in wanted["symbol"])
    return "_".join([symbol, wanted["dataset"], *filter(None, short)]) + f".{wanted['kind']}"


def notice(kind: str, title: str, text: str) -> None:
    """Tell the user for some seconds."""
    colour = {"done": "blue", "refused": "orange"}[kind]
    message = {"action": "show", "title": title, "message": text, "color": colour}
    dash.set_props("notices", {"sendNotifications": [{**message, "id": title}]})


def add_export_callback(app: dash.Dash, api_url: str) -> None:
    """Makes the file that `export-wanted` asks for."""

    @app.callback(
        Output("export-file", "data"), Input("export-wanted", "data"), prevent_initial_call=True
    )
    async def export(wanted: Row | None) -> Any:
        if not wanted or wanted.get("kind") not in KINDS:
            return no_update
        try:
            async with AsyncCrossbook(api_url) as exchange:
                rows, is_cut = await rows_of(exchange, wanted)
            if not rows:
                raise ExportRefusedError("there is nothing in this range")
            made = await asyncio.to_thread(file_of, rows, wanted["dataset"], wanted["kind"])
        except (CrossbookError, ExportRefusedError) as error:
            notice("refused", "No file was made", str(error))
            return no_update
        name = name_of(wanted)
        cut = " There are more: ask for a shorter range to have all of them." if is_cut else ""
        notice("done", name, f"{len(rows):,} rows, {len(made):,} bytes.{cut}")
        return dcc.send_bytes(made, name)
