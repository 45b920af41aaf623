"""Real PostgreSQL, Redis and Kafka servers that belong to one data folder.

Guarantees: a server started here listens on Unix sockets only (Kafka, which has none, on
loopback), survives the terminal's Ctrl-C and the death of whoever started it, is found again
through its data folder, and is only ever stopped by the pid that was proved to serve it.
"""

from cli.servers.errors import ServerError
from cli.servers.kafka import KafkaServer
from cli.servers.postgres import EmbeddedPostgres
from cli.servers.redis import EmbeddedRedis

__all__ = ["EmbeddedPostgres", "EmbeddedRedis", "KafkaServer", "ServerError"]
