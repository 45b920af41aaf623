"""Every setting of the exchange, in one typed place. Read from the environment (`CROSSBOOK_…`) by
the composition root alone; docs/settings.md lists them, and a test holds the two together.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.trading_hours import TradingHours

TOPIC_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{0,200}")


def _one_of(value: str, *known: str) -> str:
    if value not in known:
        raise ValueError(f"one of {', '.join(known)}")
    return value


class Settings(BaseSettings):
    """The settings of one exchange. Unknown `CROSSBOOK_…` variables are left alone."""

    model_config = SettingsConfigDict(env_prefix="CROSSBOOK_", extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path("data"), description="folder that holds everything the exchange keeps"
    )
    log_dir: Path | None = Field(
        None, description="folder of the logs and the directory; default: data_dir/log"
    )
    host: str = Field("127.0.0.1", description="address that the API listens on")
    port: int = Field(
        8000,
        ge=0,
        le=65535,
        description="port of the API; the next free one is taken if it is in use",
    )
    shards: int = Field(
        1, ge=1, le=64, description="number of shards; fixed once the first instrument is listed"
    )
    redis_url: str | None = Field(None, description="Redis to use instead of one of our own")
    postgres_dsn: str | None = Field(
        None, description="PostgreSQL to use instead of one of our own"
    )
    postgres_reader_role: str | None = Field(
        None,
        description="role that the API reads history as, such as `crossbook_reader`; default: the "
        "user of the DSN",
    )
    simulate_rate: float = Field(
        20.0, ge=0, description="orders/s of the simulator that `up` starts; 0: none"
    )
    outcome_wait_ms: int = Field(
        2000, ge=0, le=30_000, description="how long a write waits for its outcome (201, else 202)"
    )
    read_wait_ms: int = Field(
        2000, ge=0, le=30_000, description="how long a read waits for min_position (else 503)"
    )
    lag_batches_max: int = Field(
        2000, ge=1, description="commands are refused (503) when the matcher lags by more batches"
    )
    batch_commands_max: int = Field(
        4096, ge=1000, le=65_535, description="commands of one batch of the log at most"
    )
    batch_bytes_max: int = Field(
        900_000, ge=100_000, le=8_000_000, description="bytes of one batch of the log at most"
    )
    gather_ms: int = Field(
        40,
        ge=0,
        le=500,
        description="under load a batch of the log waits so many ms at most for more commands;"
        " 0: never",
    )
    pending_commands_max: int = Field(
        100_000, ge=1000, description="commands that may wait to be written; more are refused (503)"
    )
    record_bytes_max: int = Field(
        900_000, ge=1024, description="bytes of one record of the event log at most"
    )
    body_bytes_max: int = Field(
        1_048_576, ge=1024, description="bytes of one HTTP request body at most (else 413)"
    )
    cors_origins: str = Field(
        "",
        description="origins (`https://desk.example`, ...) whose web pages may call the API; "
        "`*`: all; default: none",
    )
    trusted_proxies: str = Field(
        "",
        description="addresses of proxies whose X-Forwarded-For is believed; default: none",
    )
    address_requests_per_s_max: int = Field(
        2000, ge=0, description="requests a second from one address at most (else 429); 0: no limit"
    )
    key_requests_per_s_max: int = Field(
        1000, ge=0, description="requests a second with one key at most (else 429); 0: no limit"
    )
    key_commands_per_s_max: int = Field(
        20_000,
        ge=0,
        description="order commands a second with one key at most, 1000 or more (else 429); "
        "0: no limit",
    )
    stream_origins: str = Field(
        "",
        description="origins (`https://desk.example`, ...) whose web pages may open a stream "
        "besides our own; `*`: all",
    )
    stream_subscriptions_max: int = Field(
        1000, ge=1, description="subscriptions (a channel of a symbol) of one stream at most"
    )
    stream_message_bytes_max: int = Field(
        65_536, ge=1024, description="bytes of one message to a stream at most (else closed, 1009)"
    )
    stream_messages_per_s_max: int = Field(
        50, ge=1, description="messages a second to one stream at most, as many at once"
    )
    stream_connections_max: int = Field(
        10_000, ge=1, description="streams of one API process at most (else 429)"
    )
    stream_connections_per_key_max: int = Field(
        100, ge=1, description="streams of one API process with one key at most (else 429)"
    )
    stream_connections_per_address_max: int = Field(
        2000, ge=1, description="streams of one API process from one address at most (else 429)"
    )
    stream_heartbeat_ms: int = Field(
        5000, ge=100, description="time between two heartbeats of a stream"
    )
    stream_silent_ms_max: int = Field(
        4500, ge=300, description="a stream whose client answers no ping for so long is cut off"
    )
    graphql_tokens_max: int = Field(
        2000, ge=1, description="tokens of one GraphQL document at most"
    )
    graphql_depth_max: int = Field(
        12, ge=1, description="levels of braces of one GraphQL operation at most"
    )
    graphql_aliases_max: int = Field(
        30,
        ge=1,
        description="aliases, and fields named again beside themselves, of one GraphQL "
        "operation at most",
    )
    graphql_fields_max: int = Field(
        400, ge=1, description="fields of one GraphQL operation at most, fragments written out"
    )
    graphql_cost_max: int = Field(
        10_000,
        ge=1,
        description="values that one GraphQL operation may answer at most, as far as its "
        "arguments tell",
    )
    graphql_subscriptions_max: int = Field(
        100, ge=1, description="GraphQL subscriptions of one WebSocket at most"
    )
    graphql_subscriptions_per_account_max: int = Field(
        500, ge=1, description="GraphQL subscriptions of one account in one API process at most"
    )
    delta_stream_length_max: int = Field(
        10_000, ge=1, description="entries of one instrument's delta stream in Redis at most"
    )
    feed_enabled: bool = Field(True, description="whether the multicast feed is published")
    feed_dir: Path | None = Field(
        None, description="folder of the feed's packets; default: data_dir/feed"
    )
    feed_group_a: str = Field("239.255.26.1", description="multicast group of line A")
    feed_port_a: int = Field(
        26_400, ge=1, le=65_000, description="port of line A, of shard 0; shard N is on port + N"
    )
    feed_group_b: str = Field("239.255.26.2", description="multicast group of line B")
    feed_port_b: int = Field(
        26_500, ge=1, le=65_000, description="port of line B, of shard 0; shard N is on port + N"
    )
    feed_interface: str = Field(
        "127.0.0.1",
        description="interface that the lines are sent on: its IPv4 address, or its name",
    )
    feed_ttl: int = Field(
        1, ge=0, le=255, description="how many networks packets of the lines may reach"
    )
    feed_heartbeat_ms: int = Field(
        1000, ge=50, le=10_000, description="time between two heartbeats on the lines"
    )
    feed_packets_per_s_max: int = Field(
        20_000, ge=1, description="packets a second on each line at most; others wait"
    )
    feed_waiting_packets_max: int = Field(
        20_000,
        ge=0,
        description="packets that wait for that pace at most; the oldest are then not sent",
    )
    feed_host: str = Field(
        "127.0.0.1",
        description="address that the feed's re-request, snapshot and catch-up services listen on",
    )
    feed_advertised_host: str | None = Field(
        None, description="host that listeners and APIs are told for them; default: feed_host"
    )
    feed_rerequest_port: int = Field(
        0, ge=0, le=65_535, description="UDP port of re-requests; 0: any free one"
    )
    feed_snapshot_port: int = Field(
        0, ge=0, le=65_535, description="TCP port of snapshots; 0: any free one"
    )
    feed_http_port: int = Field(
        0, ge=0, le=65_535, description="TCP port at which APIs ask for messages; 0: any free one"
    )
    feed_rerequest_bytes_per_s_max: int = Field(
        10_000_000,
        ge=10_000,
        description="bytes a second of answers to re-requests, a quarter of it to one address",
    )
    feed_snapshot_connections_max: int = Field(
        8, ge=1, description="connections to the snapshot service at most"
    )
    feed_messages_kept: int = Field(
        50_000_000, ge=0, description="newest messages of each shard that are kept; 0: all"
    )
    snapshot_commands: int = Field(
        1_000_000,
        ge=1,
        description="commands between two engine snapshots, at most; a young log has them sooner",
    )
    snapshots_kept: int = Field(3, ge=1, description="engine snapshots kept of each shard")
    clock_interval_ms: int = Field(
        1000, ge=0, description="time between two clock ticks; 0: no ticks"
    )
    schedule: str = Field(
        "",
        description="when instruments close and open each day, in UTC (`22:00-22:05`); default: "
        "never by themselves",
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: str | None = Field(
        None, description="text or json; default: text embedded, json distributed"
    )
    instance: str | None = Field(
        None,
        description="name of this worker among its like: one that comes back under it resumes at "
        "once (Kafka's static membership)",
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="port on which a worker serves /metrics; default: none"
    )
    kafka_bootstrap_servers: str | None = Field(
        None, description="host:port, ...; set: the distributed mode, with its logs on Kafka"
    )
    kafka_topic_prefix: str = Field(
        "", description="what the names of the topics begin with, such as `prod.`"
    )
    kafka_security_protocol: str = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_sasl_mechanism: str | None = Field(
        None, description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_sasl_username: str | None = Field(None, description="user of the broker")
    kafka_sasl_password: SecretStr | None = Field(None, description="the user's password")
    kafka_ssl_ca_location: Path | None = Field(
        None, description="file of the authorities that sign the broker's certificate (PEM)"
    )
    kafka_ssl_certificate_location: Path | None = Field(
        None, description="file of the client's certificate (PEM)"
    )
    kafka_ssl_key_location: Path | None = Field(
        None, description="file of the key of the client's certificate (PEM)"
    )
    kafka_replication_factor: int = Field(
        3, ge=1, description="brokers that hold each record, of topics that are made"
    )
    kafka_min_insync_replicas: int = Field(
        2, ge=1, description="brokers that must have a record before it counts as written"
    )

    @field_validator("schedule")
    @classmethod
    def _are_hours(cls, value: str) -> str:
        TradingHours.parse(value)
        return value

    @field_validator("key_commands_per_s_max")
    @classmethod
    def _takes_a_batch(cls, value: int) -> int:
        if 0 < value < 1000:
            raise ValueError("0, or 1000 or more: a batch may have 1,000 commands")
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        return _one_of(value.upper(), "DEBUG", "INFO", "WARNING", "ERROR")

    @field_validator("log_format")
    @classmethod
    def _known_format(cls, value: str | None) -> str | None:
        return None if value is None else _one_of(value.lower(), "text", "json")

    @field_validator("feed_group_a", "feed_group_b")
    @classmethod
    def _multicast_group(cls, value: str) -> str:
        if not ipaddress.IPv4Address(value).is_multicast:
            raise ValueError("an IPv4 multicast group, 224.0.0.0 to 239.255.255.255")
        return value

    @field_validator("kafka_security_protocol")
    @classmethod
    def _known_protocol(cls, value: str) -> str:
        return _one_of(value.upper(), "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

    @field_validator("kafka_sasl_mechanism")
    @classmethod
    def _known_mechanism(cls, value: str | None) -> str | None:
        known = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
        return None if value is None else _one_of(value.upper(), *known)

    @field_validator("kafka_topic_prefix")
    @classmethod
    def _legal_prefix(cls, value: str) -> str:
        if TOPIC_PREFIX.fullmatch(value) is None:
            raise ValueError("letters, digits, '.', '_' and '-', 200 at most")
        return value

    @property
    def log_form(self) -> str:
        """How log lines are written: `text` or `json`."""
        return self.log_format or ("json" if self.distributed else "text")

    @property
    def distributed(self) -> bool:
        """Whether the logs are on Kafka."""
        return self.kafka_bootstrap_servers is not None

    @property
    def logs(self) -> Path:
        """The folder of the logs and the directory."""
        return self.log_dir if self.log_dir is not None else self.data_dir / "log"

    @property
    def feeds(self) -> Path:
        """The folder of the feed's packets."""
        return self.feed_dir if self.feed_dir is not None else self.data_dir / "feed"

    @property
    def run_dir(self) -> Path:
        """A short folder for sockets, of this user alone: socket paths are limited to about 100
        bytes.

        Raises PermissionError where another user owns it.
        """
        tag = hashlib.sha256(str(self.data_dir.resolve()).encode()).hexdigest()[:12]
        path = Path(tempfile.gettempdir()) / f"crossbook-{os.getuid()}-{tag}"
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.stat(follow_symlinks=False)
        if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
            raise PermissionError(f"{path} is not a private folder of this user: remove it")
        return path
