"""The feed through the API: found by the register, fetched from the publisher, refused with a
reason."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec
import pytest
import redis

from api.services import FeedPlaces
from projections.multicast.packets import header
from projections.multicast.register import FeedRegister, key_of
from tests.integration.multicast.conftest import Publisher, until
from tests.property.itch_book import unpack
from tests.unit.api.small_app import small_app

MESSAGES = "/v1/feed/0/messages"


def ask(folder: Path, redis_url: str | None, *paths: str) -> list[httpx.Response]:
    """The answers of an API whose register is this Redis; None: that has no feed."""

    async def get() -> list[httpx.Response]:
        with TemporaryDirectory(dir=folder) as name, small_app(Path(name)) as small:
            places = None
            if redis_url is not None:
                places = FeedPlaces(
                    FeedRegister(redis_url, 1), httpx.AsyncClient(trust_env=False, timeout=5.0)
                )
                small.app.state.services.feed = places
            transport = httpx.ASGITransport(small.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                answers = [await client.get(path) for path in paths]
            if places is not None:
                await places.client.aclose()
                await places.register.close()
            return answers

    folder.mkdir(exist_ok=True)
    return asyncio.run(get())


def reasons(answers: list[httpx.Response]) -> list[tuple[int, str]]:
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
    return [(answer.status_code, answer.json()["reason"]) for answer in answers]


def registered(publisher: Publisher, folder: Path, redis_url: str, end: int) -> dict[str, object]:
    """The shard as the API tells of it, once it tells of now."""

    client = redis.Redis.from_url(redis_url)

    def is_told() -> bool:
        entry = client.get(key_of(0))
        return bool(entry) and msgspec.json.decode(entry)["next_sequence"] == end

    until(is_told, "the register tells of now")
    client.close()
    (answer,) = ask(folder, redis_url, "/v1/feed")
    (found,) = answer.json()["shards"]
    assert isinstance(found, dict)
    return found


def test_the_feed_is_found_and_its_messages_are_the_publishers(
    publisher: Publisher, tmp_path: Path, redis_url: str
) -> None:
    end = publisher.go(6)
    found = registered(publisher, tmp_path, redis_url, end)
    entry = publisher.feed.entries()[0]
    assert found == {
        "shard": 0,
        "session": publisher.session.decode(),
        "position": str(len(publisher.flow.batches)),
        "first_sequence": "1",
        "next_sequence": str(end),
        "lines": [
            {"name": line.name, "group": line.group, "port": line.port} for line in publisher.lines
        ],
        "rerequest": {"host": "127.0.0.1", "port": entry.rerequest.port},
        "snapshot": {"host": "127.0.0.1", "port": entry.snapshot.port},
        "messages_url": MESSAGES,
    }
    whole, empty, one = ask(
        tmp_path,
        redis_url,
        f"{MESSAGES}?from=1&count=65534",
        f"{MESSAGES}?from={end}",
        f"{MESSAGES}?from=3&count=1",
    )
    assert whole.headers["content-type"] == "application/octet-stream"
    assert whole.headers["x-next-sequence"] == str(end)
    assert whole.headers["x-first-sequence"] == "1"
    session, first, messages = unpack(whole.content)
    assert (session, first, len(messages)) == (publisher.session, 1, end - 1)
    assert empty.content == header(publisher.session, end, 0)
    assert unpack(one.content)[2] == messages[2:3]


def test_what_cannot_be_given_is_refused_with_a_reason(
    publisher: Publisher, tmp_path: Path, redis_url: str
) -> None:
    end = publisher.go(6)
    registered(publisher, tmp_path, redis_url, end)
    paths = [
        f"{MESSAGES}?from={end + 1}",
        "/v1/feed/7/messages?from=1",
        f"{MESSAGES}?from=0",
        f"{MESSAGES}?from=1&count=65535",
        f"{MESSAGES}?from=1&count=0",
        f"{MESSAGES}?from={2**63}",
        MESSAGES,
        "/v1/feed/x/messages?from=1",
    ]
    malformed = (400, "invalid_parameter")
    assert reasons(ask(tmp_path, redis_url, *paths)) == [
        (416, "beyond_the_end"),
        (404, "unknown_shard"),
        *[malformed] * 6,
    ]


def test_a_sequence_that_is_no_longer_kept(
    publisher: Publisher, tmp_path: Path, redis_url: str
) -> None:
    publisher.close()
    publisher.plan = {"messages_kept": 300}
    publisher.open()
    for _ in range(12):
        end = publisher.go()
    found = registered(publisher, tmp_path, redis_url, end)
    assert int(str(found["first_sequence"])) > 1
    assert reasons(ask(tmp_path, redis_url, f"{MESSAGES}?from=1")) == [(410, "too_old")]


@pytest.mark.parametrize("path", ["/v1/feed", f"{MESSAGES}?from=1"])
def test_without_a_feed_a_redis_or_a_publisher(tmp_path: Path, path: str) -> None:
    assert reasons(ask(tmp_path, None, path)) == [(503, "no_feed")]
    (answer,) = ask(tmp_path, "redis://127.0.0.1:1/0", path)
    assert reasons([answer]) == [(503, "feed_unavailable")]
    assert int(answer.headers["retry-after"]) >= 1


def test_a_publisher_that_was_killed_is_said_to_be_away(
    tmp_path: Path, redis_url: str, publisher: Publisher
) -> None:
    """Its entry outlives it for some seconds: its port answers no more."""
    end = publisher.go()
    registered(publisher, tmp_path, redis_url, end)
    publisher.close()
    found = ask(tmp_path, redis_url, f"{MESSAGES}?from=1")
    publisher.open()
    assert reasons(found) == [(503, "feed_unavailable")]
