"""What the API is made of: the parts that the composition root hands to `create_app`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import httpx
from fastapi import Request

from api.graphql.settings import GraphQLSettings
from api.lives import Lives
from api.past import Past
from api.positions import LastWrites
from api.rates.enforce import Rates
from api.stream.interface import Hub
from api.stream.limits import StreamSettings
from commands.directory.application import Directory
from commands.directory.view import DirectoryView
from commands.protocols import Gateway, Progress
from projections.multicast.register import FeedRegister
from projections.read_analytics import AnalyticsReader
from projections.read_books import BookReader
from projections.read_history import HistoryReader
from projections.read_market import MarketReader
from projections.read_pages import PageReader


class DirectoryWrites(Protocol):
    """Tells where the shard commands of a directory change lie (`streams.directory_follower`)."""

    @property
    def notification_id(self) -> int:
        """The last change whose commands are in every shard's log."""
        ...

    def wake(self) -> None:
        """There is a new change. Callable from any thread."""
        ...

    async def positions_of(self, notification_id: int, wait_s: float) -> dict[int, int] | None:
        """Position by shard; None where they are not all in the logs within `wait_s`."""
        ...


async def _only_this() -> dict[str, bool | None]:
    return {"api": True}


@dataclass(frozen=True)
class ApiSettings:
    """The settings that the API reads; the composition root takes them from its own."""

    shards: int = 1
    outcome_wait_ms: int = 2_000
    read_wait_ms: int = 2_000
    lag_batches_max: int = 2_000
    body_bytes_max: int = 1_048_576
    cors_origins: tuple[str, ...] = ()
    mode: str = "embedded"

    @property
    def outcome_wait_s(self) -> float:
        """How long a write waits for its outcome."""
        return self.outcome_wait_ms / 1_000

    @property
    def read_wait_s(self) -> float:
        """How long a read waits for `min_position`."""
        return self.read_wait_ms / 1_000


@dataclass
class FeedPlaces:
    """Where the multicast feed is published, and what its publishers are asked with."""

    register: FeedRegister
    client: httpx.AsyncClient


@dataclass
class Services:
    """The running parts behind the endpoints."""

    gateway: Gateway
    progress: Progress
    directory: Directory
    directory_view: DirectoryView
    directory_writes: DirectoryWrites
    books: BookReader
    history: HistoryReader
    settings: ApiSettings = field(default_factory=ApiSettings)
    last_writes: LastWrites = field(default_factory=LastWrites)
    rates: Rates = field(default_factory=Rates)
    hub: Hub | None = None
    stream_settings: StreamSettings = field(default_factory=StreamSettings)
    feed: FeedPlaces | None = None
    graphql_settings: GraphQLSettings = field(default_factory=GraphQLSettings)
    lives: Lives | None = None
    past: Past | None = None
    analytics: AnalyticsReader | None = None
    roles_up: Callable[[], Awaitable[dict[str, bool | None]]] = _only_this
    market: MarketReader = field(init=False)
    pages: PageReader = field(init=False)

    def __post_init__(self) -> None:
        self.market = MarketReader(self.history)
        self.pages = PageReader(self.history)


def services_of(request: Request) -> Services:
    """The running parts behind the app that a request came to."""
    services: Services = request.app.state.services
    return services
