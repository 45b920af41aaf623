"""Rate limits: the buckets, their sharing through a real Redis, and what a client sees."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
import redis.asyncio

from api.rates.buckets import LocalBuckets
from api.rates.enforce import Rates, RateSettings, address_of
from api.rates.limiter import RateLimiter
from api.rates.policies import Policy
from cli.servers import EmbeddedRedis
from tests.unit.api.small_app import small_app

pytestmark = pytest.mark.anyio
KEY = Policy("key", 10, "requests")


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_no_more_than_flows_in() -> None:
    clock = Clock()
    buckets = LocalBuckets(now=clock)
    given = sum(not buckets.take(KEY, "a", 1).wait_s for _ in range(50))
    assert given == 10
    refused = buckets.take(KEY, "a", 3)
    assert refused.wait_s == pytest.approx(0.3)
    assert not buckets.take(KEY, "b", 10).wait_s, "each has its own"
    clock.now += 0.3
    assert not buckets.take(KEY, "a", 3).wait_s
    clock.now += 100
    assert buckets.take(KEY, "a", 4).remaining == 6, "no more is saved up than a second's worth"
    assert not buckets.take(KEY, "c", 99).wait_s, "a cost above the bucket asks for all of it"
    assert buckets.take(KEY, "c", 1).wait_s


def test_the_table_of_buckets_is_bounded() -> None:
    buckets = LocalBuckets(buckets_max=3)
    for name in "abcade":
        buckets.take(KEY, name, 1)
    assert len(buckets) == 3


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1%eth0", "2001:db8:1:2::/64"),
        ("", "unknown"),
    ],
)
def test_whom_an_address_counts_for(host: str, counted: str) -> None:
    assert address_of({"client": (host, 1)}) == counted


def patient(url: str) -> RateLimiter:
    """One that waits for a Redis on a busy machine."""
    return RateLimiter(redis.asyncio.Redis.from_url(url), redis_wait_s=60)


async def test_processes_share_a_bucket(redis_url: str) -> None:
    policy = Policy("key", 1_000, "requests")
    limiters = [patient(redis_url) for _ in range(3)]
    began = asyncio.get_running_loop().time()
    given = 0
    for _ in range(1_200):
        verdicts = await asyncio.gather(*(each.take(policy, "k") for each in limiters))
        given += sum(not verdict.wait_s for verdict in verdicts)
    elapsed = asyncio.get_running_loop().time() - began
    # A lease that ends takes its tokens with it, so there may be fewer, never more.
    assert given <= 1_000 + elapsed * 1_000 + 1
    assert given >= 700
    for each in limiters:
        await each.close()


async def test_a_lease_spares_most_questions(redis_url: str) -> None:
    client = redis.asyncio.Redis.from_url(redis_url)
    limiter = RateLimiter(client, redis_wait_s=60)
    policy = Policy("commands", 20_000, "commands")
    await limiter.take(policy, "k")
    before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    for _ in range(900):
        assert not (await limiter.take(policy, "k")).wait_s
    assert (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] - before <= 2
    await limiter.close()


async def test_without_redis_each_process_limits_by_itself(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "redis", tmp_path / "run")
    server.start()
    clock = Clock()
    limiter = RateLimiter.over(server.url)
    limiter._now = limiter._local._now = clock
    try:
        assert not (await limiter.take(KEY, "k")).wait_s
    finally:
        server.stop()
    clock.now += 2
    given = sum([not (await limiter.take(KEY, "k")).wait_s for _ in range(30)])
    assert given == 10
    server.start()
    try:
        clock.now += 2
        assert not (await limiter.take(KEY, "k")).wait_s
        async with redis.asyncio.Redis.from_url(server.url) as client:
            assert await client.exists("crossbook:rate:key:k"), "it is asked again"
    finally:
        server.stop()
        await limiter.close()


async def test_what_a_client_is_told(tmp_path: Path) -> None:
    settings = RateSettings(key_requests_per_s=4, key_commands_per_s=1_000)
    with small_app(tmp_path, rates=Rates(settings)) as made:
        transport = httpx.ASGITransport(made.app, client=("10.1.1.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            headers = {"X-API-Key": made.key}
            order = {"symbol": "S0", "side": "buy", "quantity": 1, "price": 1}
            batch = {"commands": [{"op": "submit", **order}] * 600}
            answer = await client.post("/v1/orders/batch", json=batch, headers=headers)
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == (
                '"address";q=2000;w=1, "key";q=4;w=1, "commands";q=1000;w=1'
            )
            assert answer.headers["ratelimit"].endswith('"key";r=3;t=1, "commands";r=400;t=1')
            answer = await client.post("/v1/orders/batch", json=batch, headers=headers)
            problem = answer.json()
            assert (answer.status_code, problem["reason"]) == (429, "rate_limited")
            assert "order commands" in problem["detail"]
            assert answer.headers["retry-after"] == "1"
            assert len(made.gateway.written_records[0]) == 600, "nothing of it was carried out"

            wrong = headers["X-API-Key"][:-1] + ("0" if headers["X-API-Key"][-1] != "0" else "1")
            for _ in range(20):
                answer = await client.get("/v1/orders", headers={"X-API-Key": wrong})
                assert answer.status_code == 401, "nobody is limited for what others send"
            found = [
                (await client.delete("/v1/orders/client:x?symbol=S0", headers=headers)).status_code
                for _ in range(9)
            ]
            assert 429 in found


async def test_addresses_are_limited_and_probes_are_not(tmp_path: Path) -> None:
    settings = RateSettings(address_requests_per_s=3)
    with small_app(tmp_path, rates=Rates(settings)) as made:
        for address, expected in (("10.0.0.1", {200, 429}), ("10.0.0.2", {200})):
            transport = httpx.ASGITransport(made.app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                count = 9 if 429 in expected else 3
                asked = [client.get("/v1/instruments") for _ in range(count)]
                answers = await asyncio.gather(*asked)
                assert {answer.status_code for answer in answers} == expected
                refused = [answer for answer in answers if answer.status_code == 429]
                assert len(refused) == (6 if refused else 0)
                for answer in refused:
                    assert answer.headers["x-content-type-options"] == "nosniff"
                    assert answer.json()["request_id"] == answer.headers["x-request-id"]
                for _ in range(9):
                    assert (await client.get("/livez")).status_code == 200
