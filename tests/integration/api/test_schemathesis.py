"""Schemathesis, with all of its checks, against a running exchange: its OpenAPI document is true.

Requests that the document allows are not refused as malformed, those that it forbids are, and every
answer is of a documented status, type, schema and header. Bounded and deterministic; what it asks
is in schemathesis.toml.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crossbook_client import Crossbook, Retries
from tests.integration.api.schemathesis_run import UNLIMITED, check_document
from tests.integration.observability.watched import Watched, until


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("schemathesis"), **UNLIMITED)
    try:
        until(watched.is_up, "up")
        yield watched
    finally:
        watched.stop()


def secret_of(key: str) -> str:
    """The part of a key that nobody may read."""
    return key.split("_")[2]


@pytest.fixture(scope="module")
def key(exchange: Watched) -> str:
    """A key with every scope."""
    with exchange.client("admin") as admin:
        account = admin.admin.create_account("asked").account
        return admin.admin.create_key(account, ["read", "trade", "admin"]).key


def test_the_document_is_true(exchange: Watched, key: str, tmp_path: Path) -> None:
    check_document(exchange.state.url, key, tmp_path, examples=6)


def test_no_secret_is_in_a_log(exchange: Watched, key: str) -> None:
    """After all of that, at DEBUG: keys that were used, made, mistyped and revoked."""
    kept = [held.key for held in exchange.run.read_credentials().values()]
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    with Crossbook(exchange.state.url, key, retries=Retries(0)) as client:
        account = client.admin.create_account("logged").account
        made = client.admin.create_key(account, ["trade"])
        client.admin.revoke_key(account, made.key_id)
    for odd in (wrong, made.key, key + "x", f"{key} {key}"):
        for headers in ({"Authorization": f"Bearer {odd}"}, {"X-API-Key": odd}):
            assert exchange.get("/v1/orders", **headers).status_code == 401
    exchange.get(f"/v1/orders?key={key}", Authorization=f"Basic {key}")
    exchange.get(f"/v1/orders/{key}", Authorization=f"Bearer {key}")
    logs = [exchange.output, *exchange.run.logs_dir.glob("*.log")]
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    # `up` greets a newcomer with the key of the demo account, on its own screen.
    text = "\n".join(line for line in lines if not line.startswith("  demo key "))
    assert made.key_id in text, "who did what is in the log"
    for secret in map(secret_of, [*kept, key, wrong, made.key]):
        assert secret not in text
