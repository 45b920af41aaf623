"""How the processes of the distributed mode reach Kafka, from the settings."""

from __future__ import annotations

import os
from pathlib import Path

from cli.settings import Settings
from streams.kafka.connection import KafkaConnection


def connection_of(settings: Settings) -> KafkaConnection:
    """The brokers that the settings name. Ends the process, saying so, where they name none."""
    if settings.kafka_bootstrap_servers is None:
        raise SystemExit("CROSSBOOK_KAFKA_BOOTSTRAP_SERVERS is not set: it names the brokers")
    password = settings.kafka_sasl_password
    return KafkaConnection(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        topic_prefix=settings.kafka_topic_prefix,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_username=settings.kafka_sasl_username,
        sasl_password=None if password is None else password.get_secret_value(),
        ssl_ca_location=_text(settings.kafka_ssl_ca_location),
        ssl_certificate_location=_text(settings.kafka_ssl_certificate_location),
        ssl_key_location=_text(settings.kafka_ssl_key_location),
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else os.fspath(path)
