"""System: the pipeline as a picture, how fast and how well each of its stages is, what was refused,
and whether the state is the one that the log makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dash import html

from ui.charts import chart
from ui.grids import column, grid, number
from ui.page import Page, page_root
from ui.parts import empty_state, live_text, panel, stat


@dataclass(frozen=True)
class Stage:
    """A box of the picture. `figures` are (name, label, hint); the first is the large one."""

    name: str
    title: str
    what: str
    figures: tuple[tuple[str, str, str], ...]


STAGES: Final = (
    Stage("clients", "Clients", "REST, GraphQL, streams", (
        ("requests", "requests/s", "HTTP requests answered"),
        ("streams", "streams", "WebSockets of /v1/stream and GraphQL subscriptions that are open"),
        ("http", "p99", "99 of 100 HTTP requests were answered within this, in the last minute"),
    )),
    Stage("gateway", "Gateway", "checks, then commits in groups", (
        ("rate", "commands/s", "commands made durable"),
        ("waiting", "waiting", "commands that wait to be written"),
        ("outcome", "p99", "from a request's arrival to its outcome, in the last minute"),
    )),
    Stage("commands", "Command log", "the only source of truth", (
        ("rate", "batches/s", "batches made durable"),
        ("position", "end", "the last batch, of all shards added up"),
        ("append", "p99", "to be durable, in the last minute"),
    )),
    Stage("matcher", "Matcher", "a pure function of the log", (
        ("rate", "commands/s", "commands applied by the engine"),
        ("lag", "lag", "batches written and not matched"),
        ("apply", "p99", "the engine's time for a step, in the last minute"),
    )),
    Stage("events", "Event log", "one batch a batch", (
        ("rate", "events/s", "events written"),
        ("position", "end", "the last batch, of all shards added up"),
        ("append", "p99", "to be written, in the last minute"),
    )),
)  # fmt: skip
SINK_FIGURES: Final = (
    ("rate", "batches/s", "batches applied"),
    ("lag", "lag", "batches matched and not applied"),
    ("delay", "p99", "from the gateway's clock to the sink's commit, in the last minute"),
)
SINKS: Final = (
    Stage("redis", "Redis", "books now", SINK_FIGURES),
    Stage("postgres", "PostgreSQL", "history", SINK_FIGURES),
    Stage("multicast", "Multicast", "ITCH over MoldUDP64", (
        ("rate", "messages/s", "ITCH messages published"),
        ("lag", "lag", "batches matched and not published"),
        ("resent", "re-sent", "messages that listeners asked for again"),
    )),
    Stage("stream", "Stream", "WebSockets", (
        ("clients", "clients", "WebSockets of /v1/stream that are open"),
        ("lag", "lag", "batches matched and not streamed"),
        ("waiting", "queued", "most bytes that waited to be sent to one client"),
    )),
)  # fmt: skip

STAGE_COLUMNS: Final = (
    column("stage", "Stage", width=122, cellClass="cb-symbol"),
    number("shard", "Shard", width=58),
    number("position", "Position", width=80),
    number("lag", "Lag", width=46, headerTooltip="batches behind the stage before it"),
    number("rate", "Batches/s", "cbRate", width=84),
    column(
        "health",
        "Health",
        width=96,
        cellClassRules={
            "cb-ok": "params.data.good === true",
            "cb-warn": "params.data.good === false",
        },
    ),
    column(
        "verified",
        "Agrees to",
        width=126,
        headerTooltip="the batch to which its running hash is the log's",
    ),
)
REJECT_COLUMNS: Final = (
    column(
        "reason", "Reason", valueFormatter={"function": "cbWords(params)"}, width=150, minWidth=120
    ),
    column("by", "Refused by", width=84),
    number(
        "recent",
        "Last 5 min",
        width=92,
        sort="desc",
        cellStyle={"function": "cbBar(params, 'sell')"},
    ),
    number("total", "Since start", width=92),
)


def _stage(stage: Stage) -> html.Div:
    """A box with its health, a large figure, its trend, and the rest in a line each."""
    large, *rest = stage.figures
    head = html.Div(
        [
            html.H3(stage.title),
            html.Span(
                [html.Span(className="cb-dot"), live_text(f"stage-{stage.name}-health", "…")],
                className="cb-stage-health",
            ),
        ],
        className="cb-stage-head",
    )
    figure = html.Div(
        [
            live_text(f"stage-{stage.name}-{large[0]}", classes="cb-stage-large"),
            html.Span(large[1], className="cb-dim"),
        ],
        className="cb-stage-figure",
        title=large[2],
    )
    lines = [
        html.Div(
            [
                html.Span(label, className="cb-dim"),
                live_text(f"stage-{stage.name}-{name}"),
            ],
            title=hint,
        )
        for name, label, hint in rest
    ]
    return html.Div(
        [
            head,
            html.Div(stage.what, className="cb-stage-what"),
            figure,
            html.Div(id=f"stage-{stage.name}-trend", className="cb-stage-trend"),
            html.Div(lines, className="cb-stage-lines"),
        ],
        id=f"stage-{stage.name}",
        className="cb-stage",
        role="listitem",
        **{"data-health": "unknown"},
    )


def _pipeline() -> html.Section:
    sinks = html.Div([_stage(sink) for sink in SINKS], className="cb-sinks", role="presentation")
    picture = html.Div(
        [
            html.Div(id="pipeline-lines", className="cb-pipeline-lines"),
            *[_stage(stage) for stage in STAGES],
            sinks,
        ],
        id="pipeline",
        className="cb-pipeline",
        role="list",
        **{"aria-label": "Pipeline: the stages that a command passes, in order"},
    )
    return panel(
        "Pipeline",
        picture,
        name="pipeline-panel",
        live=False,
        actions=live_text("system-asked"),
    )


def _charts() -> list[html.Section]:
    throughput = panel(
        "Throughput",
        chart("throughput", "Commands, events and trades a second over the last five minutes"),
        name="throughput",
        live=False,
        fill=True,
        actions=html.Span("the last five minutes", className="cb-hint"),
    )
    latency = panel(
        "Where the time goes",
        chart("latency", "Median and 99th percentile of each stage's time in the last minute"),
        empty_state("latency-empty", "No orders in the last minute", "times come with the next"),
        name="latency",
        live=False,
        fill=True,
        actions=html.Span("one order, stage by stage, in the last minute", className="cb-hint"),
    )
    rejects = panel(
        "Rejects by reason",
        grid(
            "rejects",
            REJECT_COLUMNS,
            row_key="key",
            label="Commands refused, by reason",
            empty="nothing was refused",
        ),
        name="rejects",
        live=False,
        fill=True,
        actions=live_text("rejects-rate"),
    )
    return [throughput, latency, rejects]


def _tables() -> list[html.Section]:
    stages = panel(
        "Stages by shard",
        grid(
            "stages",
            STAGE_COLUMNS,
            row_key="key",
            label="Each stage of each shard: position, lag, rate, health",
            empty="the exchange has not told yet",
        ),
        name="stages",
        live=False,
        fill=True,
        actions=live_text("stages-mode"),
    )
    hashes = panel(
        "State hash",
        html.Div(id="state-hashes", className="cb-hashes"),
        empty_state(
            "hashes-empty",
            "Not known yet",
            "the first engine snapshot brings the first state hash",
            hidden=False,
        ),
        name="hashes",
        live=False,
        actions=live_text("hashes-verified"),
    )
    gaps = panel(
        "Feed gaps",
        html.Dl(id="gap-rows", className="cb-rows"),
        name="gaps",
        live=False,
        actions=live_text("gaps-state"),
    )
    return [stages, hashes, gaps]


def layout(**_query: Any) -> html.Div:
    """The page."""
    figures = (
        stat("Exchange", "system-ready", hint="whether everything is caught up (/readyz)"),
        stat("Commands/s", "system-commands", hint="made durable, over the last 10 seconds"),
        stat("Events/s", "system-events", hint="written, over the last 10 seconds"),
        stat("Trades/s", "system-trades", hint="matches, over the last 10 seconds"),
        stat("Order to answer, p99", "system-outcome", hint="in the last minute"),
        stat("Order to history, p99", "system-history", hint="to PostgreSQL, in the last minute"),
        stat("Rejects/min", "system-rejects", hint="commands refused in the last minute"),
        stat("Instruments", "system-instruments"),
        stat("Trading time", "system-clock", hint="the exchange's own clock, which ticks move"),
        stat("State verified", "system-verified", hint="when a state hash was last checked"),
    )
    return page_root(
        "system",
        "System",
        html.Div(figures, className="cb-strip"),
        html.Div(id="system-trouble", className="cb-trouble", role="status", hidden=True),
        _pipeline(),
        html.Div([*_charts(), *_tables()], className="cb-system-body"),
    )


PAGE = Page("system", "/system", "System", "s", layout)
