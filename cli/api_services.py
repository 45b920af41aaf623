"""What the API is made of, whichever mode the exchange runs in: a mode gives the `Parts` that are
its own, `services_over` adds the others and keeps all of it running."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import httpx

from api.graphql.settings import GraphQLLimits, GraphQLSettings
from api.rates.enforce import Rates, RateSettings
from api.rates.limiter import RateLimiter
from api.services import ApiSettings, DirectoryWrites, FeedPlaces, Services
from api.stream.hub import MarketHub
from api.stream.limits import StreamSettings
from cli.metrics_page import Page
from cli.past_process import PastProcess
from cli.roles.process import required
from cli.settings import Settings
from cli.stream_feed import stream_tasks
from commands.directory.application import Directory, DirectoryApplication
from commands.directory.view import DirectoryView
from commands.sequencer import Limits
from projections.multicast.register import FeedRegister
from projections.read_analytics import AnalyticsReader
from projections.read_books import BookReader, BooksUnavailableError
from projections.read_history import HistoryReader, HistoryUnavailableError
from projections.snapshots import SnapshotStore
from streams.gateway import GatewayLimits, LogGateway, ProgressBoard

ASK_EVERY_S: Final = 0.5
FEED_ANSWER_S: Final = 10.0

Tasks: TypeAlias = set[asyncio.Task[None]]


@dataclass
class Parts:
    """What a mode gives. `tasks` run beside the API, and none may end."""

    gateway: LogGateway
    application: DirectoryApplication
    directory_writes: DirectoryWrites
    tasks: Tasks


def gateway_limits_of(settings: Settings) -> GatewayLimits:
    """The bounds of the gateway."""
    return GatewayLimits(lag_batches_max=settings.lag_batches_max)


def batching_of(settings: Settings) -> Limits:
    """The bounds of the sequencers."""
    return Limits(
        batch_commands_max=settings.batch_commands_max,
        batch_bytes_max=settings.batch_bytes_max,
        pending_commands_max=settings.pending_commands_max,
        gather_s=settings.gather_ms / 1000,
    )


def api_settings_of(settings: Settings) -> ApiSettings:
    """The settings that the API itself reads."""
    return ApiSettings(
        shards=settings.shards,
        outcome_wait_ms=settings.outcome_wait_ms,
        read_wait_ms=settings.read_wait_ms,
        lag_batches_max=settings.lag_batches_max,
        body_bytes_max=settings.body_bytes_max,
        cors_origins=tuple(settings.cors_origins.replace(",", " ").split()),
        mode="distributed" if settings.distributed else "embedded",
    )


def rates_of(settings: Settings) -> Rates:
    """The rate limits, with their buckets in Redis."""
    wanted = RateSettings(
        address_requests_per_s=settings.address_requests_per_s_max,
        key_requests_per_s=settings.key_requests_per_s_max,
        key_commands_per_s=settings.key_commands_per_s_max,
    )
    return Rates(wanted, RateLimiter.over(required(settings.redis_url, "REDIS_URL")))


def stream_settings_of(settings: Settings) -> StreamSettings:
    """The settings that the stream reads."""
    return StreamSettings(
        origins=tuple(settings.stream_origins.replace(",", " ").split()),
        subscriptions_max=settings.stream_subscriptions_max,
        message_bytes_max=settings.stream_message_bytes_max,
        messages_per_s_max=settings.stream_messages_per_s_max,
        connections_max=settings.stream_connections_max,
        connections_per_key_max=settings.stream_connections_per_key_max,
        connections_per_address_max=settings.stream_connections_per_address_max,
        heartbeat_ms=settings.stream_heartbeat_ms,
        silent_ms_max=settings.stream_silent_ms_max,
    )


def feed_places_of(settings: Settings, redis_url: str) -> FeedPlaces | None:
    """What the API needs of the multicast feed; None where there is none."""
    if not settings.feed_enabled:
        return None
    client = httpx.AsyncClient(trust_env=False, timeout=FEED_ANSWER_S)
    return FeedPlaces(FeedRegister(redis_url, settings.shards), client)


def graphql_settings_of(settings: Settings) -> GraphQLSettings:
    """The settings that GraphQL reads."""
    return GraphQLSettings(
        GraphQLLimits(
            tokens_max=settings.graphql_tokens_max,
            depth_max=settings.graphql_depth_max,
            aliases_max=settings.graphql_aliases_max,
            fields_max=settings.graphql_fields_max,
            cost_max=settings.graphql_cost_max,
        ),
        subscriptions_max=settings.graphql_subscriptions_max,
        subscriptions_per_account_max=settings.graphql_subscriptions_per_account_max,
    )


@contextlib.asynccontextmanager
async def services_over(settings: Settings, parts: Parts) -> AsyncIterator[tuple[Services, Tasks]]:
    """The running parts behind the API, and the tasks beside it. What is opened here is closed at
    the end; the parts are their maker's to close.
    """
    view = DirectoryView(parts.application)
    await asyncio.to_thread(view.refresh)
    redis_url = required(settings.redis_url, "REDIS_URL")
    books = BookReader(redis_url)
    dsn = required(settings.postgres_dsn, "POSTGRES_DSN")
    history = HistoryReader(dsn, role=settings.postgres_reader_role)
    await history.open()
    tasks = {asyncio.create_task(view.run(), name="directory view")}
    if settings.distributed:
        asking = ask_positions(parts.gateway.progress, books, history, settings.shards)
        tasks.add(asyncio.create_task(asking, name="positions"))
    past = PastProcess(settings)
    hub = MarketHub(settings.shards)
    store = SnapshotStore(dsn, keep=settings.snapshots_kept)
    tasks |= stream_tasks(hub, store, parts.gateway, settings.shards)
    rates = rates_of(settings)
    services = Services(
        gateway=parts.gateway,
        progress=parts.gateway.progress,
        directory=Directory(parts.application, settings.shards),
        directory_view=view,
        directory_writes=parts.directory_writes,
        books=books,
        history=history,
        analytics=AnalyticsReader(dsn, role=settings.postgres_reader_role),
        settings=api_settings_of(settings),
        rates=rates,
        hub=hub,
        stream_settings=stream_settings_of(settings),
        feed=feed_places_of(settings, redis_url),
        graphql_settings=graphql_settings_of(settings),
        past=past,
        lives=past,
        roles_up=Page(settings).roles_up,
    )
    try:
        yield services, {*parts.tasks, *tasks}
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if services.feed is not None:
            await services.feed.client.aclose()
            await services.feed.register.close()
        await past.close()
        await books.close()
        await history.close()
        await rates.limiter.close()
        await asyncio.to_thread(store.close)


async def ask_positions(
    progress: ProgressBoard, books: BookReader, history: HistoryReader, shards: int
) -> None:
    """Ask the read models now and then how far they are: wakes come over Redis and may be lost, or
    all of them, for as long as it is away. Runs until cancelled.
    """
    while True:
        for shard in range(shards):
            with contextlib.suppress(BooksUnavailableError):
                stands = await books.stands_at(shard)
                progress.advance("redis", shard, stands.position)
            with contextlib.suppress(HistoryUnavailableError):
                stands = await history.stands_at(shard)
                progress.advance("postgres", shard, stands.position)
        await asyncio.sleep(ASK_EVERY_S)
