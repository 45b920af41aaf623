"""The Faust application of a worker: which options it has, and how it reaches the broker.

Guarantees: at least once and nothing more (effects are exactly once by positions, never by Kafka
transactions); no tables, no topics of Faust's own, no web server: a worker listens nowhere."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any, Final

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from streams.kafka.connection import KafkaConnection
from streams.workers.seldom import tell_seldom
from streams.workers.tables import NoTables

SESSION_TIMEOUT_S: Final = 10.0
HEARTBEAT_S: Final = 3.0
COMMIT_INTERVAL_S: Final = 0.5
PRODUCER_TIMEOUT_S: Final = 5.0
REQUEST_TIMEOUT_S: Final = 15.0
POLL_RECORDS_MAX: Final = 256
BUFFER_RECORDS_MAX: Final = 512
FETCH_BYTES_MAX: Final = 8_000_000
NOISY_LOGGERS: Final = ("faust", "mode", "streams.workers.tables")


def make_app(
    connection: KafkaConnection, name: str, *, instance: str | None, scratch: Path
) -> faust.App:
    """The application of a worker; all workers of one `name` share the shards out among them.

    `instance` makes the worker a static member of the group: one that comes back under the same
    name gets its shards at once, without a rebalance. `scratch` is a folder that Faust wants to
    have; nothing is kept there."""
    return faust.App(
        f"{connection.topic_prefix}crossbook-{name}",
        broker=broker_urls(connection),
        broker_credentials=broker_credentials(connection),
        consumer_group_instance_id=instance,
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_request_timeout=REQUEST_TIMEOUT_S,
        broker_commit_interval=COMMIT_INTERVAL_S,
        broker_max_poll_records=POLL_RECORDS_MAX,
        consumer_max_fetch_size=FETCH_BYTES_MAX,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        producer_request_timeout=PRODUCER_TIMEOUT_S,
        stream_buffer_maxsize=BUFFER_RECORDS_MAX,
        stream_wait_empty=True,
        topic_disable_leader=True,
        topic_allow_declare=False,
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        TableManager=NoTables,
        datadir=scratch,
        web_enabled=False,
        autodiscover=False,
    )


def broker_urls(connection: KafkaConnection) -> list[str]:
    """The brokers as Faust names them."""
    servers = connection.bootstrap_servers.split(",")
    return [f"kafka://{server.strip()}" for server in servers if server.strip()]


def broker_credentials(connection: KafkaConnection) -> CredentialsT | None:
    """How Faust proves who it is; None on a plain connection."""
    protocol = connection.security_protocol
    encrypted = _ssl_context(connection) if protocol in ("SSL", "SASL_SSL") else None
    if protocol.startswith("SASL_"):
        return SASLCredentials(
            mechanism=connection.sasl_mechanism or "PLAIN",
            username=connection.sasl_username,
            password=connection.sasl_password,
            ssl_context=encrypted,
        )
    return SSLCredentials(encrypted) if encrypted is not None else None


def _ssl_context(connection: KafkaConnection) -> ssl.SSLContext:
    authorities = connection.ssl_ca_location
    context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
    if connection.ssl_certificate_location:
        context.load_cert_chain(connection.ssl_certificate_location, connection.ssl_key_location)
    return context


class QuietWorker(faust.Worker):
    """Faust's worker without its command line: our logging, our signals, and nothing printed."""

    def __init__(self, app: faust.App, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(
            app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False, **options
        )
        self.spinner = None
        for name in NOISY_LOGGERS:  # they tell of each service that starts and stops
            logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
        tell_seldom()

    def install_signal_handlers(self) -> None:
        """None: whoever runs the worker decides when it stops."""

    def _setproctitle(self, info: str, *, ident: str = "") -> None:
        """Leave the process's title as it is."""
