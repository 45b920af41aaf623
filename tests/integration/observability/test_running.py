"""What a running exchange shows of itself: metrics, readiness, logs.

The tests run in order on one exchange; those that trouble it leave it ready.
"""

from __future__ import annotations

import json
import math
import signal

import pytest
import redis

from crossbook_client import ApiError
from tests.integration.observability.watched import Scrape, Watched, until

ROLES = {"api", "matching", "multicast", "projections"}
STAGES = (
    "crossbook_sequencer_queue_seconds",
    "crossbook_command_append_seconds",
    "crossbook_matcher_apply_seconds",
    "crossbook_event_append_seconds",
    "crossbook_matcher_delay_seconds",
    "crossbook_outcome_seconds",
    "crossbook_sink_apply_seconds",
    "crossbook_sink_delay_seconds",
    "crossbook_http_request_seconds",
)


def caught_up(found: Scrape) -> bool:
    return found.all("crossbook_lag_batches") == [0, 0, 0]


def test_counters_move_with_the_orders(exchange: Watched) -> None:
    before = exchange.scrape()
    with exchange.client("demo") as client:
        for _ in range(5):
            client.submit("AAPL", "buy", 10, price="100.00")
        sold = client.submit("AAPL", "sell", 20, price="100.00")
        assert sold.executed_quantity == 20
        with pytest.raises(ApiError, match="unknown_order"):
            client.cancel("1234567", symbol="AAPL")
        with pytest.raises(ApiError, match="quantity_required"):
            client.submit("AAPL", "buy", 0, price="100.00")
    after = until(lambda: _when_written(exchange, before), "the trades in the history")

    def moved(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    assert moved("crossbook_written_commands_total", role="api", shard="0") == 7
    assert moved("crossbook_written_batches_total") == 7
    assert moved("crossbook_matched_commands_total", role="matching", shard="0") == 7
    assert moved("crossbook_matched_batches_total", status="applied") == 7
    assert moved("crossbook_matched_batches_total", status="repeat") == 0
    assert moved("crossbook_matched_batches_total", status="undecodable") == 0
    assert moved("crossbook_events_total") > 7
    assert moved("crossbook_trades_total", role="projections") == 2
    assert moved("crossbook_history_rows_total", rows="orders_inserted") == 6
    for sink in ("redis", "postgres"):
        assert moved("crossbook_sink_batches_total", sink=sink) == 7
    posted = {"method": "POST", "route": "/v1/orders"}
    assert moved("crossbook_http_requests_total", **posted, status="201") == 6
    assert moved("crossbook_http_requests_total", **posted, status="422") == 1
    assert after.total("crossbook_ready") == 1
    assert after.all("crossbook_role_up") == [1, 1, 1]


def _when_written(exchange: Watched, before: Scrape) -> Scrape | None:
    now = exchange.scrape()
    trades = now.total("crossbook_trades_total") - before.total("crossbook_trades_total")
    return now if trades >= 2 and caught_up(now) else None


def test_refusals_are_counted_by_who_and_why(exchange: Watched) -> None:
    name = "crossbook_rejects_total"
    found = exchange.scrape()
    assert found.total(name, by="engine", reason="unknown_order") == 1
    assert found.total(name, by="gateway", reason="quantity_required") == 1
    submit = {"op": "submit", "symbol": "AAPL", "side": "buy", "quantity": 1, "price": "100.00"}
    cancel = {"op": "cancel", "symbol": "AAPL", "order_id": "1234567"}
    refused = [{**submit, "quantity": 0}, {**submit, "symbol": "NONE"}, cancel, cancel]
    answer = exchange.post("/v1/orders/batch", {"commands": [submit, *refused]})
    results = answer.json()["results"]
    assert [each.get("refused_by") for each in results] == [None, *2 * ["gateway"], *2 * ["engine"]]
    after = exchange.scrape()
    assert after.total(name, by="engine", reason="unknown_order") == 3
    assert after.total(name, by="gateway", reason="quantity_required") == 2
    assert after.total(name, by="gateway") == found.total(name, by="gateway") + 2


def test_every_stage_has_a_sane_histogram(exchange: Watched) -> None:
    found = exchange.scrape()
    histograms = [name for name, kind in found.types.items() if kind == "histogram"]
    assert set(STAGES) <= set(histograms)
    for name in histograms:
        series: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
        for labels, value in found.samples[f"{name}_bucket"].items():
            bound = float(dict(labels)["le"])
            others = frozenset(each for each in labels if each[0] != "le")
            series.setdefault(others, []).append((bound, value))
        for labels, buckets in series.items():
            counts = [count for _, count in sorted(buckets)]
            assert counts == sorted(counts), (name, labels)
            assert max(buckets)[0] == math.inf
            assert counts[-1] == found.samples[f"{name}_count"][labels]
            assert found.samples[f"{name}_sum"][labels] >= 0
        if name in STAGES:
            assert found.total(f"{name}_count") > 0, name
    for name in STAGES:
        # A clock or a unit that is wrong would put every observation past the last bound.
        count = found.total(f"{name}_count")
        assert found.total(f"{name}_bucket", le="10.0") == count, name


def test_every_role_shows_itself(exchange: Watched) -> None:
    found = exchange.scrape()
    roles = {dict(labels)["role"] for labels in found.samples["process_cpu_seconds_total"]}
    assert roles == ROLES
    sinks = [dict(labels) for labels in found.samples["crossbook_sink_stopped"]]
    assert {(each["role"], each["sink"]) for each in sinks} == {
        ("projections", "redis"),
        ("projections", "postgres"),
        ("multicast", "multicast"),
    }


def test_projections_that_stand_still_make_it_unready(exchange: Watched) -> None:
    exchange.signal_role("projections", signal.SIGSTOP)
    try:
        with exchange.client("demo") as client:
            client.submit("MSFT", "buy", 1, price="100.00")
        until(lambda: len(exchange.behind()) == 2, "not ready")
        assert [each.partition(":")[0] for each in exchange.behind()] == [
            "redis of shard 0",
            "postgres of shard 0",
        ]
        assert all("1 batches behind, and stands still" in each for each in exchange.behind())
        assert exchange.get("/livez").status_code == 200
        found = exchange.scrape()
        assert found.all("crossbook_ready") == [0]
        assert found.all("crossbook_role_up", role="projections") == [0]
        assert found.all("crossbook_role_up", role="matching") == [1]
        assert found.all("crossbook_lag_batches", stage="postgres") == [1]
    finally:
        exchange.signal_role("projections", signal.SIGCONT)
    until(lambda: not exchange.behind(), "ready again")
    until(lambda: caught_up(exchange.scrape()), "no lag")
    assert exchange.scrape().all("crossbook_ready") == [1]


def test_a_matcher_that_stands_still_makes_it_unready(exchange: Watched) -> None:
    exchange.signal_role("matching", signal.SIGSTOP)
    try:
        order = {"symbol": "MSFT", "side": "buy", "quantity": 1, "price": "100.00"}
        assert exchange.post("/v1/orders", order, Prefer="respond-async").status_code == 202
        until(exchange.behind, "not ready")
        assert exchange.behind() == ["matcher of shard 0: 1 batches behind, and stands still"]
        assert exchange.get("/livez").status_code == 200
    finally:
        exchange.signal_role("matching", signal.SIGCONT)
    until(lambda: not exchange.behind(), "ready again")


def test_a_killed_role_is_shown_down_then_up_again(exchange: Watched) -> None:
    pid = exchange.signal_role("matching", signal.SIGKILL)

    def again() -> bool:
        mark = exchange.state.roles.get("matching")
        return mark is not None and mark.pid != pid

    until(again, "another matcher")
    found = until(
        lambda: now if (now := exchange.scrape()).all("crossbook_role_up") == [1, 1, 1] else None,
        "its metrics",
    )
    position = found.total("crossbook_written_batches_total")
    with exchange.client("demo") as client:
        client.submit("MSFT", "buy", 1, price="100.00")
    after = until(lambda: now if caught_up(now := exchange.scrape()) else None, "no lag")
    assert after.total("crossbook_written_batches_total") == position + 1
    # A matcher that begins anew counts what it matches, not what it replays.
    assert after.total("crossbook_matched_commands_total") == 1
    assert after.all("crossbook_matcher_recovery_seconds", role="matching")


def test_a_projection_that_stopped_on_a_fork_is_not_ready(exchange: Watched) -> None:
    with redis.Redis.from_url(exchange.state.redis_url) as store:
        generation = store.get("crossbook:{0}:generation")
        assert isinstance(generation, bytes)
        key = f"crossbook:{{0}}:{generation.decode()}:position"
        sound = store.hget(key, "chain")
        assert isinstance(sound, bytes)
        store.hset(key, "chain", bytes(32))
        try:
            until(exchange.behind, "the fork is seen before anything moves")
            (said,) = exchange.behind()
            assert said.startswith("redis of shard 0: stopped at ")
            assert said.endswith("its history is not the log's")
            with exchange.client("demo") as client:
                client.submit("MSFT", "buy", 1, price="100.00")
            until(
                lambda: exchange.scrape().all("crossbook_sink_stopped", sink="redis") == [1],
                "the sink stopped",
            )
            found = exchange.scrape()
            assert found.total("crossbook_sink_errors_total", sink="redis", kind="stopped") >= 1
            assert found.all("crossbook_sink_stopped", sink="postgres") == [0]
        finally:
            store.hset(key, "chain", sound)
    until(lambda: not exchange.behind(), "ready again")
    until(lambda: exchange.scrape().all("crossbook_sink_stopped") == [0, 0, 0], "the sink goes on")
    until(lambda: caught_up(exchange.scrape()), "no lag")


def test_administration_is_in_the_log_with_who_and_the_request(exchange: Watched) -> None:
    credential = exchange.run.read_credentials()["admin"]
    base = "/v1/admin/accounts"
    more = {"account": "admin", "X-Request-ID": "audit-7"}
    made = exchange.post(base, {"name": "watched"}, **more).json()
    created = exchange.post(f"{base}/{made['account']}/keys", {"scopes": ["read"]}, **more).json()
    exchange.post(f"{base}/99999/keys", {"scopes": ["read"]}, **more)
    lines = [line for line in _lines(exchange, "api") if line.get("request_id") == "audit-7"]
    audit = [line for line in lines if line["logger"] == "crossbook.audit"]
    by = f"key:{credential.key.split('_')[1]}"
    assert [line["by"] for line in audit] == [by] * 3
    assert audit[0]["event"].startswith(f"POST /v1/admin/accounts by {by}: change ")
    assert "refused" in audit[2]["event"]
    assert created["key"].split("_")[2] not in json.dumps(lines)


def _lines(exchange: Watched, role: str) -> list[dict[str, str]]:
    text = (exchange.data_dir / "logs" / f"{role}.log").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_every_log_line_is_json_and_says_its_role(exchange: Watched) -> None:
    for role in sorted(ROLES):
        lines = _lines(exchange, role)
        assert lines, role
        for line in lines:
            assert line["role"] == role
            assert {"timestamp", "level", "logger", "event"} <= line.keys()
    matching = _lines(exchange, "matching")
    assert any(line.get("shard") == 0 and "position" in line for line in matching)
    stopped = [line for line in _lines(exchange, "projections") if line["level"] == "critical"]
    assert stopped and all(line["sink"] == "redis" for line in stopped)


def test_no_secret_is_in_any_log(exchange: Watched) -> None:
    keys = [credential.key for credential in exchange.run.read_credentials().values()]
    # Where a user may put a key by mistake; the last is logged, and as long as a key id may be.
    for path in (f"/v1/books/{keys[0]}", f"/v1/orders?key={keys[0]}", f"/{keys[0]}"):
        assert exchange.get(path, **{"X-Request-ID": keys[0][:64]}).status_code >= 400
    revoke = f"/v1/admin/accounts/1/keys/{keys[0][:64]}"
    assert exchange.send("DELETE", revoke, None, "admin").status_code == 404
    secrets = [key.split("_")[2][:40] for key in keys]
    assert f"keys/{keys[0][:16]}_[redacted] by key:" in _lines(exchange, "api")[-1]["event"]
    logs = sorted((exchange.data_dir / "logs").iterdir())
    assert len(logs) >= 3
    for log in logs:
        text = log.read_text()
        assert not [each for each in secrets if each in text], log.name
