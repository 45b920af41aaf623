"""What the exchange's API tells of the feed: where its lines are, and messages that were missed."""

from __future__ import annotations

from typing import Final

import httpx
import msgspec

from crossbook_client import transport
from crossbook_client.errors import CrossbookError, error_of

TIMEOUT_S: Final = 5.0
ANY_HOST: Final = ("", "0.0.0.0", "::")


class Address(msgspec.Struct, frozen=True):
    """A host and a port."""

    host: str
    port: int


class Line(msgspec.Struct, frozen=True):
    """One of the redundant lines: a multicast group and a port."""

    name: str
    group: str
    port: int


class FeedShard(msgspec.Struct, frozen=True):
    """One shard's feed. `session` is "" where it is not known yet; addresses are None where there
    is no such service."""

    shard: int
    lines: list[Line]
    session: str = ""
    next_sequence: int = 0
    rerequest: Address | None = None
    snapshot: Address | None = None
    messages_url: str | None = None

    @property
    def session_bytes(self) -> bytes | None:
        """The session as packets carry it."""
        return self.session.ljust(10).encode("ascii", "replace") if self.session else None


class _Feed(msgspec.Struct):
    shards: list[FeedShard]


class FeedApi:
    """The feed's part of an exchange's API. For any thread."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self._url = httpx.URL(url)
        self._client = httpx.Client(**transport.options(url, api_key, TIMEOUT_S))

    @property
    def host(self) -> str:
        """The API's host."""
        return self._url.host

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def shards(self) -> list[FeedShard]:
        """Every shard's feed. Raises ApiError and ConnectionLostError."""
        response = self._get("/v1/feed")
        try:
            found = msgspec.json.decode(response.content, type=_Feed, strict=False).shards
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CrossbookError(f"/v1/feed of {self._url} is no description: {error}") from error
        return [self._reachable(shard) for shard in found]

    def messages(self, url: str, sequence: int, count: int) -> tuple[bytes, int | None]:
        """A block of messages in MoldUDP64's form, empty where nothing is at `sequence` yet, and
        the publisher's next sequence, if it told. Raises ApiError and ConnectionLostError."""
        query = {"from": str(sequence), "count": str(count)}
        response = self._get(url, query, allowed=416)
        told = response.headers.get("x-next-sequence", "")
        block = b"" if response.status_code == 416 else response.content
        return block, int(told) if told.isdigit() else None

    def _get(
        self, url: str, query: dict[str, str] | None = None, *, allowed: int = 0
    ) -> httpx.Response:
        try:
            response = self._client.get(url, params=query)
        except httpx.TransportError as error:
            raise transport.lost(error) from error
        if response.status_code >= 400 and response.status_code != allowed:
            raise error_of(
                response.status_code,
                response.content,
                response.headers.get("x-request-id", ""),
                response.headers.get("retry-after", ""),
            )
        return response

    def _reachable(self, shard: FeedShard) -> FeedShard:
        """Services that listen on every address are where the API is."""
        return msgspec.structs.replace(
            shard, rerequest=self._at(shard.rerequest), snapshot=self._at(shard.snapshot)
        )

    def _at(self, address: Address | None) -> Address | None:
        if address is not None and address.host in ANY_HOST:
            return Address(self.host, address.port)
        return address
