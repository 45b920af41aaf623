"""`crossbook topics`: the topics of the distributed mode, made or checked.

Guarantees: topics that are as they must be are left alone; the number of partitions of one that
exists is never changed.
"""

from __future__ import annotations

from typing import Annotated

import typer


def topics(
    check: Annotated[bool, typer.Option("--check", help="Only say what is wrong.")] = False,
) -> None:
    """Make the topics of the command and event logs, one partition a shard, and set them up.

    Settings: CROSSBOOK_KAFKA_BOOTSTRAP_SERVERS, CROSSBOOK_SHARDS, CROSSBOOK_KAFKA_... (see
    docs/settings.md). Exit code 1 where they are not as they must be.
    """
    from cli.cluster_prepare import make_topics
    from cli.kafka_connection import connection_of
    from cli.main import fail, load_settings
    from streams.kafka.topics import TopicError, check_topics

    settings = load_settings(None)
    connection = connection_of(settings)
    try:
        if check:
            check_topics(connection, settings.shards, record_bytes_max=settings.record_bytes_max)
        else:
            make_topics(settings, connection)
    except TopicError as error:
        fail(str(error))
    names = f"{connection.commands_topic} and {connection.events_topic}"
    print(f"{names}: {settings.shards} shards, as they must be")
