"""Reads the exchange's state, from what is looked at anyway for `/readyz`.

Guarantees: however many ask, the stores are looked at once a second and the roles and snapshots
every few; what could not be asked is null.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from api.errors import Problem
from api.graphql.status_types import (
    ClientsStatus,
    ExchangeStatus,
    ProjectionStatus,
    RoleStatus,
    ShardStatus,
    StateHash,
)
from api.readiness import SINKS, Readiness, Report, ShardHealth
from api.services import Services
from projections.multicast.register import FeedUnavailableError
from projections.read_market import Kept

if TYPE_CHECKING:
    from api.lives import StateTold

OLD_S: Final = 2.0
ROLES_KEPT_S: Final = 2.0
STATES_KEPT_S: Final = 10.0
FEEDS_KEPT_S: Final = 1.0
MULTICAST: Final = "multicast"


class StatusBoard:
    """The state as one API process sees it."""

    def __init__(self, services: Services, readiness: Readiness) -> None:
        self._services = services
        self._readiness = readiness
        self._looking = Kept(readiness.look, OLD_S / 2)
        self._roles = Kept(services.roles_up, ROLES_KEPT_S)
        self._states = Kept(self._ask_states, STATES_KEPT_S)
        self._feeds = Kept(self._ask_feeds, FEEDS_KEPT_S)

    async def status(self, *, streams: int, subscriptions: int) -> ExchangeStatus:
        """As it was looked at last, at most some seconds ago."""
        reports = self._readiness.reports
        if not reports or time.monotonic() - reports[-1].at > OLD_S:
            await self._looking.get()
        report, before = reports[-1], reports[0]
        states = self._states.latest() or {}
        up = dict(await self._roles.get())
        feeds = await self._feeds.get()
        if feeds:  # of another machine, as far as its publisher says so
            up.setdefault(MULTICAST, True)
        return ExchangeStatus(
            ready=not report.behind,
            behind=list(report.behind),
            time=report.at_ns,
            mode=self._services.settings.mode,
            directory=report.directory,
            shards=[
                self._shard(health, report, before, state=states.get(health.shard), feeds=feeds)
                for health in report.shards
            ],
            roles=[_role(name, is_up, report.behind) for name, is_up in up.items()],
            clients=ClientsStatus(streams=streams, subscriptions=subscriptions),
        )

    async def _ask_states(self) -> dict[int, StateTold]:
        """The newest snapshot of each shard, as far as it can be told now."""
        past = self._services.past
        found: dict[int, StateTold] = {}
        for shard in range(self._services.settings.shards) if past is not None else ():
            try:
                told = await past.state(shard)
            except Problem:  # not now: the status tells the rest
                continue
            if told is not None:
                found[shard] = told
        return found

    async def _ask_feeds(self) -> dict[int, int]:
        """How far the multicast feed of each shard is that is published now."""
        feed = self._services.feed
        if feed is None:
            return {}
        try:
            return {entry.shard: entry.position for entry in await feed.register.entries()}
        except FeedUnavailableError:  # not now: the status tells the rest
            return {}

    def _shard(
        self,
        health: ShardHealth,
        report: Report,
        before: Report,
        *,
        state: StateTold | None,
        feeds: dict[int, int],
    ) -> ShardStatus:
        shard, hub = health.shard, self._services.hub
        entries = self._services.directory_view.instruments()
        streamed = 0 if hub is None else hub.position(shard)
        projections = [self._projection(name, health, report, before) for name in SINKS]
        if shard in feeds:
            projections.append(_published(health, feeds[shard]))
        return ShardStatus(
            shard=shard,
            written=f"{shard}-{health.written}",
            matched=f"{shard}-{health.matched}",
            lag_batches=max(0, health.written - health.matched),
            batches_per_second=_rate(report, before, shard, "matched"),
            streamed=f"{shard}-{streamed}" if streamed else None,
            trading_time=(hub.trading_time_ns(shard) or None) if hub is not None else None,
            instruments=sum(entry.shard == shard for entry in entries),
            projections=projections,
            state_hash=None if state is None else _state_hash(shard, state),
        )

    def _projection(
        self, name: str, health: ShardHealth, report: Report, before: Report
    ) -> ProjectionStatus:
        shard = health.shard
        position: int | None = getattr(health, name)
        verified = self._readiness.verified(name, shard)
        return ProjectionStatus(
            name=name,
            position=None if position is None else f"{shard}-{position}",
            lag_batches=None if position is None else max(0, health.matched - position),
            batches_per_second=_rate(report, before, shard, name),
            running_hash=None if verified is None else verified[0].chain.hex(),
            verified_position=None if verified is None else f"{shard}-{verified[0].position}",
            verified_at=None if verified is None else verified[1],
        )


def _published(health: ShardHealth, position: int) -> ProjectionStatus:
    """The multicast feed, which tells its place alone, each second."""
    return ProjectionStatus(
        name=MULTICAST,
        position=f"{health.shard}-{position}",
        lag_batches=max(0, health.matched - position),
        batches_per_second=None,
        running_hash=None,
        verified_position=None,
        verified_at=None,
    )


def _rate(report: Report, before: Report, shard: int, stage: str) -> float | None:
    """Batches a second between two looks."""
    seconds = report.at - before.at
    now, then = getattr(report.shards[shard], stage), getattr(before.shards[shard], stage)
    if seconds <= 0 or now is None or then is None or now < then:
        return None
    return round((now - then) / seconds, 1)


def _role(name: str, is_up: bool | None, behind: list[str]) -> RoleStatus:
    own = {"matching": ("matcher",), "projections": SINKS}.get(name, ())
    detail = "; ".join(each for each in behind if each.startswith(own)) if own else ""
    return RoleStatus(role=name, up=is_up, detail=detail)


def _state_hash(shard: int, told: StateTold) -> StateHash:
    return StateHash(
        position=f"{shard}-{told.position}",
        sha256=told.sha256,
        taken_at=told.saved_at_ns,
        verified_at=told.verified_at_ns or None,
    )
