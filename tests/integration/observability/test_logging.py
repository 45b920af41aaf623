"""Logging in both forms: what a line holds, and what it never does."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from cli.logging_setup import Redactor, secrets_of, set_up_logging
from cli.settings import Settings

KEY = "cbk_01c2962fe53e_54ff35d6aa00"
SECRETS = (
    (f"GET /v1/books/{KEY}", "54ff35d6aa00"),
    ("Authorization: Bearer abc.def-123", "abc.def-123"),
    ("redis://user:hunter2@host:6379/0 refused", "hunter2"),
    ("rediss://:hunter2@host refused", "hunter2"),
    ("host=h password=hunter2 dbname=d", "hunter2"),
    ("host=h password='hunter 2' dbname=d", "hunter 2"),
    ('{"sasl.password": "hunter2", "x": 1}', "hunter2"),
    ("CROSSBOOK_KAFKA_SASL_PASSWORD=hunter2", "hunter2"),
    ("X-API-Key: hunter2", "hunter2"),
    ("client_secret=hunter2&x=1", "hunter2"),
)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    root.handlers[:], root.level = handlers, level
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(False)
    structlog.reset_defaults()


def logged(form: str, **settings: object) -> io.StringIO:
    out = io.StringIO()
    set_up_logging(Settings(log_format=form, **settings), "matching", stream=out)  # type: ignore[arg-type]
    return out


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_text_for_people_embedded_and_json_distributed_unless_said() -> None:
    assert Settings().log_form == "text"
    assert Settings(kafka_bootstrap_servers="h:1").log_form == "json"
    assert Settings(kafka_bootstrap_servers="h:1", log_format="TEXT").log_form == "text"


def test_a_line_of_json_holds_its_context() -> None:
    out = logged("json", instance="m-1")
    logging.getLogger("streams.x").info("at %d", 7, extra={"shard": 3, "position": 7})
    structlog.get_logger("ours").warning("said", shard=4)
    first, second = lines(out)
    assert (
        first.items()
        >= {
            "event": "at 7",
            "level": "info",
            "logger": "streams.x",
            "role": "matching",
            "instance": "m-1",
            "shard": 3,
            "position": 7,
        }.items()
    )
    assert second.items() >= {"event": "said", "level": "warning", "shard": 4}.items()


def test_a_line_of_text_is_one_line_whatever_a_client_sent() -> None:
    out = logged("text")
    logging.getLogger("x").warning("path /a\n2026 INFO forged\x1b[2J")
    (line,) = out.getvalue().splitlines()
    assert line.endswith(r"WARNING x: path /a\n2026 INFO forged\x1b[2J")


def test_exceptions_that_nobody_caught_go_the_same_way() -> None:
    out = logged("json")

    def fail() -> None:
        raise ValueError(f"of {KEY}")

    thread = threading.Thread(target=fail, name="t-1")
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    for line in lines(out):
        assert "ended by ValueError" in str(line["event"])
        assert "of cbk_01c2962fe53e_[redacted]" in str(line["exception"])
        assert line["level"] == "critical"
    assert len(lines(out)) == 2


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(("said", "secret"), SECRETS)
def test_no_secret_of_a_known_form_is_written(form: str, said: str, secret: str) -> None:
    out = logged(form)
    log = logging.getLogger("x")
    log.info(said)
    log.info("%s", {"headers": [said]}, extra={"where": {"deep": [said, {said: said}]}})
    try:
        raise RuntimeError(said)
    except RuntimeError:
        log.exception("failed")
    assert secret not in out.getvalue()
    assert out.getvalue().count("[redacted]") >= 3
    if form == "json":
        assert len(lines(out)) == 3


def test_fields_with_a_secret_name_are_not_written() -> None:
    out = logged("json")
    structlog.get_logger("x").info("m", password="abc", api_key="abc", nested={"secret": "abc"})
    (line,) = lines(out)
    assert [line["password"], line["api_key"], line["nested"]] == [
        "[redacted]",
        "[redacted]",
        {"secret": "[redacted]"},
    ]


def test_the_settings_own_secrets_are_not_written_in_any_form() -> None:
    settings = Settings(
        kafka_sasl_password=SecretStr("kafka-word"),
        redis_url="redis://:redis-word@h/0",
        postgres_dsn="postgresql://u:post%40word@h/db",
    )
    redact = Redactor(secrets_of(settings)).text
    assert redact("kafka-word redis-word post%40word post@word") == " ".join(["[redacted]"] * 4)
    plain = Settings(postgres_dsn="host=h user=u password=post-word dbname=d")
    assert set(secrets_of(plain)) == {"post-word"}


def test_what_is_no_secret_stays() -> None:
    said = "shard 0: position 7 of session 00ff; GET http://127.0.0.1:8000/v1/books/BRK/A 200"
    assert Redactor().text(said) == said
