"""What a listener is told to listen to, and how."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from crossbook_client.feed.directory import FeedShard
from crossbook_client.feed.terms import Patience


@dataclass(frozen=True)
class ListenOptions:
    """`url` discovers everything; without it, `shards` says where to listen.

    `lines`: names of lines to listen to, empty for all. `interface`: name or address of the one to
    join on; by default the one that leads to the API, or loopback. `only`: shard numbers, empty for
    all. `beginning`: apply whole sessions instead of a snapshot. `record`: an ITCH file to write.
    `username`, `password`: for the snapshot service.
    """

    url: str | None = None
    api_key: str | None = None
    shards: Collection[FeedShard] = ()
    lines: Collection[str] = ()
    interface: str | None = None
    only: Collection[int] = ()
    beginning: bool = False
    record: Path | None = None
    username: str = ""
    password: str = ""
    patience: Patience = field(default_factory=Patience)
