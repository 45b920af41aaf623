"""What an exchange of the distributed mode needs before its first process: topics, accounts,
instruments.

Guarantees: running it again changes nothing that is there already; topics that are there and not
as they must be are refused.
"""

from __future__ import annotations

from cli import bootstrap
from cli.run_state import Credential, RunFolder
from cli.settings import Settings
from commands.directory.application import Directory, DirectoryApplication
from commands.directory.postgres import postgres_environment
from streams.kafka.connection import KafkaConnection
from streams.kafka.topics import create_topics


def make_topics(settings: Settings, connection: KafkaConnection) -> None:
    """Make the topics of both logs, one partition a shard. Raises TopicError."""
    create_topics(
        connection,
        settings.shards,
        replication_factor=settings.kafka_replication_factor,
        min_insync_replicas=settings.kafka_min_insync_replicas,
        record_bytes_max=settings.record_bytes_max,
    )


def begin_directory(
    settings: Settings, postgres_dsn: str, folder: RunFolder
) -> dict[str, Credential]:
    """Open the first accounts and list the first instruments, as far as they are missing; keys by
    account, which are kept in the folder's `credentials.json`.

    Raises ValueError where that file is damaged, PersistenceError where PostgreSQL refuses.
    """
    application = DirectoryApplication(postgres_environment(postgres_dsn))
    directory = Directory(application, settings.shards)
    try:
        return bootstrap.begin(directory, folder).credentials
    finally:
        directory.close()
