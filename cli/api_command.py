"""`crossbook api`: one API process of the distributed mode. Any number of them may run.

Guarantees: it serves nothing before the topics are as they must be; a broker, Redis or PostgreSQL
that goes later costs answers and not the process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from api.services import Services
    from cli.api_services import Parts, Tasks
    from cli.settings import Settings

log = logging.getLogger("crossbook.api")

EXIT_FAILED = 1
PORT_MAX = 65_535


def api(
    port: Annotated[
        int | None, typer.Option(min=0, max=PORT_MAX, help="Port; default: CROSSBOOK_PORT.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address; default: CROSSBOOK_HOST.")] = None,
) -> None:
    """Run one API process of the distributed mode, until SIGTERM.

    Needs CROSSBOOK_KAFKA_BOOTSTRAP_SERVERS, CROSSBOOK_REDIS_URL and CROSSBOOK_POSTGRES_DSN. The
    embedded mode's API is part of `crossbook up`.
    """
    from cli.api_server import run_server
    from cli.kafka_connection import connection_of
    from cli.main import load_settings
    from cli.roles.process import begin
    from cli.worker import wait_for_topics
    from cli.worker_system import check_needed
    from streams.kafka.topics import TopicError

    settings = load_settings(None, port=port, host=host)
    stop = begin(settings, "api", with_parent=False)
    check_needed(settings)
    try:
        if wait_for_topics(settings, connection_of(settings), stop):
            run_server(settings, services_of, stop)
    except TopicError as error:
        log.critical("%s", error)
        raise typer.Exit(EXIT_FAILED) from None


@contextlib.asynccontextmanager
async def services_of(settings: Settings) -> AsyncIterator[tuple[Services, Tasks]]:
    """The running parts behind the API, and the tasks beside it, none of which may end."""
    from cli.api_services import services_over

    async with _distributed_parts(settings) as parts, services_over(settings, parts) as running:
        yield running


@contextlib.asynccontextmanager
async def _distributed_parts(settings: Settings) -> AsyncIterator[Parts]:
    from cli.api_services import Parts, batching_of, gateway_limits_of
    from cli.kafka_connection import connection_of
    from commands.directory.application import DirectoryApplication
    from commands.directory.postgres import postgres_environment
    from streams.directory_bookmarks import PostgresBookmarks
    from streams.directory_observer import DirectoryObserver
    from streams.kafka.gateway import KafkaGateway
    from streams.redis_wake import RedisWaker

    assert settings.postgres_dsn is not None and settings.redis_url is not None
    dsn = settings.postgres_dsn
    application = await asyncio.to_thread(lambda: DirectoryApplication(postgres_environment(dsn)))
    bookmarks = await asyncio.to_thread(PostgresBookmarks, application)
    waker = RedisWaker(settings.redis_url, settings.kafka_topic_prefix)

    def ask(notification_id: int) -> None:
        waker.send("directory", "directory", 0, notification_id)

    observer = DirectoryObserver(application, settings.shards, bookmarks, ask)
    gateway = await KafkaGateway.open(
        connection_of(settings),
        settings.shards,
        redis_url=settings.redis_url,
        limits=gateway_limits_of(settings),
        batching=batching_of(settings),
        on_directory=observer.note,
    )
    observing = asyncio.create_task(observer.run(), name="directory observer")
    try:
        yield Parts(gateway, application, observer, {observing, gateway.poller})
    finally:
        observing.cancel()
        await asyncio.gather(observing, return_exceptions=True)
        await gateway.close()
        await asyncio.to_thread(waker.close)
        application.close()
