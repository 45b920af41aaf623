"""How to reach the Kafka cluster: addresses, credentials, topic names and how long to wait.

Guarantees: every client made from a connection has the same short, bounded timeouts; secrets are
not in its repr."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

COMMANDS: Final = "orders.commands"
EVENTS: Final = "orders.events"
ENVIRONMENT_PREFIX: Final = "KAFKA_"

QUIET_S: Final = 30.0

log = logging.getLogger("streams.kafka.client")


class _Seldom(logging.Filter):
    """A broker that is away fails several connections a second: the client's words about one
    address pass once in `QUIET_S`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        subject = str(record.args) + str(record.msg)
        subject = subject[subject.find("[thrd:") :][:80]
        now = time.monotonic()
        if now < self._next.get(subject, 0.0):
            return False
        if len(self._next) > 1_000:
            self._next.clear()
        self._next[subject] = now + QUIET_S
        return True


log.addFilter(_Seldom())


@dataclass(frozen=True)
class KafkaConnection:
    """Where the cluster is and who we are to it.

    `answer_timeout_s` bounds one question to a broker on the write path, `down_timeout_s` a command
    write while no broker is reachable, `delivery_timeout_s` any, `patient_timeout_s` a write of
    events, `read_timeout_s` any read."""

    bootstrap_servers: str
    topic_prefix: str = ""
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca_location: str | None = None
    ssl_certificate_location: str | None = None
    ssl_key_location: str | None = None
    answer_timeout_s: float = 0.3
    down_timeout_s: float = 0.4
    delivery_timeout_s: float = 5.0
    patient_timeout_s: float = 6.0
    read_timeout_s: float = 2.0

    @property
    def commands_topic(self) -> str:
        """The topic of the command logs; one partition a shard."""
        return self.topic_prefix + COMMANDS

    @property
    def events_topic(self) -> str:
        """The topic of the event logs; one partition a shard."""
        return self.topic_prefix + EVENTS

    def librdkafka(self) -> dict[str, str]:
        """What every librdkafka client of ours is configured with."""
        settings = {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": "crossbook",
            "security.protocol": self.security_protocol,
            "socket.nagle.disable": "true",
            "socket.connection.setup.timeout.ms": "2000",
            "reconnect.backoff.ms": "50",
            "reconnect.backoff.max.ms": "500",
            "topic.metadata.refresh.fast.interval.ms": "50",
            "log.connection.close": "false",
        }
        secrets = {
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
            "ssl.ca.location": self.ssl_ca_location,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
        }
        return settings | {name: value for name, value in secrets.items() if value is not None}

    def client(self, **settings: Any) -> dict[str, Any]:
        """A client's configuration: `librdkafka()`, and settings with underscores for dots. Its
        messages go to the logger `streams.kafka.client`.
        """
        named = {name.replace("_", "."): value for name, value in settings.items()}
        return {**self.librdkafka(), **named, "logger": log}

    def environment(self) -> dict[str, str]:
        """The same as variables of an eventsourcing environment (KAFKA_BOOTSTRAP_SERVERS, …)."""
        return {
            ENVIRONMENT_PREFIX + each.name.upper(): str(getattr(self, each.name))
            for each in fields(self)
            if getattr(self, each.name) is not None
        }

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> KafkaConnection:
        """Read what `environment` wrote. Raises KeyError without KAFKA_BOOTSTRAP_SERVERS,
        ValueError where a timeout is no number.
        """
        given: dict[str, Any] = {}
        for each in fields(KafkaConnection):
            value = environment.get(ENVIRONMENT_PREFIX + each.name.upper())
            if value is not None:
                given[each.name] = float(value) if each.name.endswith("_s") else value
        if "bootstrap_servers" not in given:
            raise KeyError(f"{ENVIRONMENT_PREFIX}BOOTSTRAP_SERVERS is not set")
        return KafkaConnection(**given)


VARIABLES: Final = tuple(ENVIRONMENT_PREFIX + each.name.upper() for each in fields(KafkaConnection))
