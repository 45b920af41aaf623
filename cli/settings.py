"""Every setting of the exchange, in one typed place. Read from the environment (`CROSSBOOK_…`) by
the composition root alone; docs/settings.md lists them, and a test holds the two together.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    pending_commands_max: int = Field(
        100_000, ge=1000, description="commands that may wait to be written; more are refused (503)"
    )
    record_bytes_max: int = Field(
        900_000, ge=1024, description="bytes of one record of the event log at most"
    )
    body_bytes_max: int = Field(
        1_048_576, ge=1024, description="bytes of one HTTP request body at most (else 413)"
    )
    delta_stream_length_max: int = Field(
        10_000, ge=1, description="entries of one instrument's delta stream in Redis at most"
    )
    snapshot_commands: int = Field(
        1_000_000, ge=1, description="commands between two engine snapshots"
    )
    snapshots_kept: int = Field(3, ge=1, description="engine snapshots kept of each shard")
    clock_interval_ms: int = Field(
        1000, ge=0, description="time between two clock ticks; 0: no ticks"
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("one of DEBUG, INFO, WARNING, ERROR")
        return value.upper()

    @property
    def logs(self) -> Path:
        """The folder of the logs and the directory."""
        return self.log_dir if self.log_dir is not None else self.data_dir / "log"

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
