"""What all reads have in common: entity tags, pages, and the audit trail as one of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.integration.api.exchange import Exchange

pytestmark = pytest.mark.anyio


async def read(exchange: Exchange, path: str, key: str | None = None, **headers: str) -> Any:
    return await exchange.call("GET", path, key=key, headers=headers)


async def test_a_books_tag_holds_until_the_book_changes(exchange: Exchange) -> None:
    symbol, other = await exchange.new_symbol(), await exchange.new_symbol()
    sent = await exchange.submit(symbol, "buy", 1, price="1.00")
    path = f"/v1/books/{symbol}?min_position="
    book = await read(exchange, path + sent.json()["position"])
    tag = book.headers["etag"]
    assert tag.startswith('W/"') and book.headers["cache-control"] == "no-cache"
    for named in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        same = await read(exchange, path + sent.json()["position"], **{"If-None-Match": named})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    moved = await exchange.submit(other, "buy", 1, price="1.00")
    query = path + moved.json()["position"]
    assert (await read(exchange, query, **{"If-None-Match": tag})).status_code == 304
    moved = await exchange.submit(symbol, "buy", 1, price="1.00")
    query = path + moved.json()["position"]
    changed = await read(exchange, query, **{"If-None-Match": tag})
    assert (changed.status_code, changed.json()["bids"][0]["quantity"]) == (200, 2)
    assert changed.headers["etag"] != tag
    deeper = await read(exchange, query + "&depth=1", **{"If-None-Match": '"x"'})
    assert deeper.status_code == 200


async def test_tags_of_instruments_and_orders(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    order = (await exchange.submit(symbol, "buy", 2, price="1.00")).json()
    query = f"?min_position={order['position']}"
    for path, key in (
        ("/v1/instruments", None),
        (f"/v1/instruments/{symbol}", None),
        (f"/v1/orders/{order['order_id']}{query}", "alice"),
    ):
        first = await read(exchange, path, key)
        tag = first.headers["etag"]
        assert re.fullmatch(r'"[0-9a-f]{24}"', tag), path
        again = await read(exchange, path, key, **{"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b""), path
        is_private = "private" in first.headers["cache-control"]
        assert is_private == (key is not None)
        assert ("Authorization" in first.headers.get("vary", "")) == (key is not None)
    changed = await exchange.call("PATCH", f"/v1/orders/{order['order_id']}", {"quantity": 1})
    query = f"?min_position={changed.json()['position']}"
    path = f"/v1/orders/{order['order_id']}{query}"
    assert (await read(exchange, path, "alice", **{"If-None-Match": tag})).status_code == 200
    # A tag is no way around a key.
    assert (await read(exchange, path, "bob", **{"If-None-Match": "*"})).status_code == 404


@pytest.mark.parametrize(
    ("path", "key", "members", "name"),
    [
        ("/v1/instruments", None, "instruments", "symbol"),
        ("/v1/admin/instruments", "admin", "instruments", "number"),
        ("/v1/admin/accounts", "admin", "accounts", "account"),
        ("/v1/admin/audit", "admin", "changes", "notification_id"),
    ],
)
async def test_pages_are_together_the_whole(
    exchange: Exchange, path: str, key: str | None, members: str, name: str
) -> None:
    whole = (await read(exchange, f"{path}?limit=1000", key)).json()
    assert whole["next_cursor"] is None and len(whole[members]) > 3
    found: list[Any] = []
    cursor = ""
    for _ in range(1_000):
        page = (await read(exchange, f"{path}?limit=2{cursor}", key)).json()
        found += page[members]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [each[name] for each in found] == [each[name] for each in whole[members]]
    assert len({each[name] for each in found}) == len(found)


async def test_the_audit_trail_tells_who_did_what(exchange: Exchange) -> None:
    body = {"name": f"trail-{exchange.settings.shards}", "limits": {"order_quantity_max": 7}}
    opened = (await exchange.call("POST", "/v1/admin/accounts", body, key="admin")).json()
    account = opened["account"]
    path = f"/v1/admin/accounts/{account}"
    made = await exchange.call("POST", f"{path}/keys", {"scopes": ["read"]}, key="admin")
    key_id = made.json()["key_id"]
    await exchange.call("DELETE", f"{path}/keys/{key_id}", key="admin")
    await exchange.call("PUT", f"{path}/state", {"state": "killed"}, key="admin")
    symbol = await exchange.new_symbol()
    where = f"/v1/admin/instruments/{symbol}/state"
    await exchange.call("PUT", where, {"state": "halted"}, key="admin")

    trail = await read(exchange, "/v1/admin/audit?limit=6", "admin")
    by = f"key:{exchange.keys['admin'].split('_')[1]}"
    told = [(each["event"], each["subject"], each["by"]) for each in trail.json()["changes"]]
    number = str(account)
    assert told == [
        ("instrument.trading-state-set", symbol, by),
        ("instrument.listed", symbol, "test"),
        ("account.kill-switch-set", number, by),
        ("account.key-revoked", number, by),
        ("account.key-created", number, by),
        ("account.created", number, by),
    ]
    changes = [each["changes"] for each in trail.json()["changes"]]
    assert changes[0] == {"state": "halted"}
    assert changes[4] == {"key_id": key_id, "scopes": ["read"]}
    assert changes[5]["order_quantity_max"] == 7
    assert made.json()["key"].split("_")[2] not in trail.text and "sha256" not in trail.text
    for key in ("alice", "reader"):
        assert (await read(exchange, "/v1/admin/audit", key)).status_code == 403
