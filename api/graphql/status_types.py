"""The exchange's state as GraphQL shows it: how far each stage is, how fast, and who is up.

Guarantees: what is not known is null, never 0; it holds no account and no secret, as `/metrics`.
"""

from __future__ import annotations

import strawberry

from api.graphql.scalars import LogPosition, Time


@strawberry.type(description="One read model along one shard.")
class ProjectionStatus:
    """A sink."""

    name: str = strawberry.field(description="redis (the present) or postgres (the past).")
    position: LogPosition | None = strawberry.field(
        description="The last batch in it; null where its store does not answer."
    )
    lag_batches: int | None = strawberry.field(description="Batches behind the matcher.")
    batches_per_second: float | None = strawberry.field(
        description="Applied, over the last seconds; null where not known yet."
    )
    running_hash: str | None = strawberry.field(
        description="Of the history that brought it there, in hexadecimal."
    )
    verified_position: LogPosition | None = strawberry.field(
        description="Where its running hash was last compared with the log's, and agreed."
    )
    verified_at: Time | None = strawberry.field(description="When that was.")


@strawberry.type(
    description="SHA-256 of an engine's whole state: equal for two engines exactly when they would "
    "answer every later command alike."
)
class StateHash:
    """A known state."""

    position: LogPosition = strawberry.field(description="The state after this batch.")
    sha256: str = strawberry.field(description="In hexadecimal; `crossbook replay` tells the same.")
    taken_at: Time = strawberry.field(description="When the matcher took the snapshot.")
    verified_at: Time | None = strawberry.field(
        description="When this process last restored it and got the same hash; null: not yet."
    )


@strawberry.type(description="One shard: its log, its matcher, and what follows it.")
class ShardStatus:
    """A shard."""

    shard: int = strawberry.field(description="Its number, from 0.")
    written: LogPosition = strawberry.field(description="The end of the command log.")
    matched: LogPosition = strawberry.field(description="The end of the event log.")
    lag_batches: int = strawberry.field(description="Batches written and not matched.")
    batches_per_second: float | None = strawberry.field(
        description="Matched, over the last seconds; null where not known yet."
    )
    streamed: LogPosition | None = strawberry.field(
        description="How far the stream of this process is; null before it began."
    )
    trading_time: Time | None = strawberry.field(
        description="The exchange's own clock; null before its first tick."
    )
    instruments: int = strawberry.field(description="Instruments listed in it.")
    projections: list[ProjectionStatus] = strawberry.field(
        description="redis, postgres; multicast, where this shard's feed is published."
    )
    state_hash: StateHash | None = strawberry.field(
        description="Of the newest engine snapshot; null where there is none."
    )


@strawberry.type(description="One role of the exchange, a process or several.")
class RoleStatus:
    """A role."""

    role: str = strawberry.field(description="api, matching or projections.")
    up: bool | None = strawberry.field(
        description="Whether it answers; null where this process cannot ask it (distributed)."
    )
    detail: str = strawberry.field(description="What is known of it, in words; may be empty.")


@strawberry.type(description="What clients of this process have open.")
class ClientsStatus:
    """Connections."""

    streams: int = strawberry.field(description="WebSockets of /v1/stream.")
    subscriptions: int = strawberry.field(description="GraphQL subscriptions.")


@strawberry.type(description="The exchange as this API process sees it; a second old at most.")
class ExchangeStatus:
    """The status."""

    ready: bool = strawberry.field(description="Whether /readyz answers 200.")
    behind: list[str] = strawberry.field(description="What is not ready, and why.")
    time: Time = strawberry.field(description="When this was looked at, by this process's clock.")
    mode: str = strawberry.field(description="embedded or distributed.")
    directory: int = strawberry.field(description="The last change of the directory read here.")
    shards: list[ShardStatus] = strawberry.field(description="In order.")
    roles: list[RoleStatus] = strawberry.field(description="api first.")
    clients: ClientsStatus = strawberry.field(description="Of this process.")
