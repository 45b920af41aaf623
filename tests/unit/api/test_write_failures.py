"""What is answered when the log or the matcher fails: exactly what is known, and when to come
again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands.protocols import BehindError, NotWrittenError, OutcomeUnknownError
from domain.commands import MassCancel
from domain.outcomes import MASS_CANCELLED_ALL, Outcome
from domain.wire import decode_command
from tests.unit.api.small_app import SmallApp, small_app

pytestmark = pytest.mark.anyio

FAILURES = [
    (NotWrittenError("disk full", retry_after_s=3), "not_written", "3"),
    (OutcomeUnknownError("?"), "outcome_unknown", "1"),
    (BehindError("far"), "behind", "1"),
]


@pytest.fixture(params=[2])
async def small(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[SmallApp, httpx.AsyncClient]]:
    with small_app(tmp_path, request.param) as made:
        transport = httpx.ASGITransport(made.app)
        headers = {"X-API-Key": made.key}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://x", headers=headers
        ) as client:
            yield made, client


def item(symbol: str) -> dict[str, Any]:
    return {"symbol": symbol, "side": "buy", "quantity": 1, "price": 1, "client_order_id": "c"}


@pytest.mark.parametrize(("failure", "reason", "retry_after"), FAILURES)
async def test_a_write_that_fails_is_503(
    small: tuple[SmallApp, httpx.AsyncClient], failure: Exception, reason: str, retry_after: str
) -> None:
    made, client = small
    made.gateway.failures[0] = failure
    made.gateway.failures[1] = failure
    for method, path, body in (
        ("POST", "/v1/orders", item("S0")),
        ("POST", "/v1/orders/batch", {"commands": [{"op": "submit", **item("S0")}]}),
        ("DELETE", "/v1/orders/65536", None),
        ("DELETE", "/v1/orders", None),
        ("PATCH", "/v1/orders/65536", {"quantity": 1}),
    ):
        answer = await client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["reason"]) == (503, reason), path
        assert answer.headers["retry-after"] == retry_after


@pytest.mark.parametrize(("failure", "reason", "_"), FAILURES)
async def test_one_shard_that_fails_leaves_the_others(
    small: tuple[SmallApp, httpx.AsyncClient], failure: Exception, reason: str, _: str
) -> None:
    made, client = small
    made.gateway.failures[0] = failure
    commands = [{"op": "submit", **item(symbol)} for symbol in ("S0", "S1", "S0")]
    answer = await client.post("/v1/orders/batch", json={"commands": commands})
    assert answer.status_code == 200
    assert answer.json()["position"] == "1-7"
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [503, 202, 503]
    assert results[0]["reason"] == reason
    assert results[0]["outcome"] == ("unknown" if reason == "outcome_unknown" else "rejected")
    assert len(made.gateway.written_records[1]) == 1


async def test_not_matched_in_time_is_202(small: tuple[SmallApp, httpx.AsyncClient]) -> None:
    made, client = small
    answer = await client.post("/v1/orders", json=item("S1"))
    assert answer.status_code == 202
    body = answer.json()
    assert (body["outcome"], body["position"]) == ("pending", "1-7")
    assert body["order_id"] is None, "it may prove to be a repeat of another order"
    assert answer.headers["location"] == "/v1/orders/client:c?min_position=1-7"

    answer = await client.post("/v1/orders", json=item("S1") | {"client_order_id": None})
    assert answer.status_code == 202
    body = answer.json()
    order_id = str(1 << 55 | 7 << 16 | 3)
    assert (body["outcome"], body["order_id"], body["position"]) == ("pending", order_id, "1-7")
    assert answer.headers["location"] == f"/v1/orders/{order_id}?min_position=1-7"

    answer = await client.delete("/v1/orders/65536")
    assert (answer.status_code, answer.json()["order_id"]) == (202, "65536")
    answer = await client.delete("/v1/orders", params={"symbol": "S1", "side": "sell"})
    assert (answer.status_code, answer.json()) == (
        202,
        {"status": 202, "outcome": "pending", "position": "1-7"},
    )
    assert decode_command(made.gateway.written_records[1][-1], 0) == MassCancel(1, 2, 1)


async def test_a_mass_cancel_counts_over_all_shards(
    small: tuple[SmallApp, httpx.AsyncClient],
) -> None:
    made, client = small
    outcome = Outcome(0, MASS_CANCELLED_ALL)
    outcome.count = 5
    made.gateway.told = [outcome]
    answer = await client.delete("/v1/orders")
    assert answer.json() == {
        "status": 200,
        "outcome": "mass_cancelled",
        "position": "0-7,1-7",
        "cancelled_count": 10,
    }


async def test_a_mass_cancel_that_one_shard_missed_says_so(
    small: tuple[SmallApp, httpx.AsyncClient],
) -> None:
    made, client = small
    made.gateway.failures[0] = NotWrittenError("disk full")
    answer = await client.delete("/v1/orders")
    problem = answer.json()
    assert (answer.status_code, problem["reason"]) == (503, "partly_written")
    assert problem["position"] == "1-7"
    assert int(answer.headers["retry-after"]) >= 1
