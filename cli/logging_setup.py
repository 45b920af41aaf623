"""Logging of every process: lines for people (`text`) or one JSON object a line (`json`).

Guarantees: our own loggers, those of libraries, warnings and exceptions that nobody caught go
through one chain, to standard error; every line says its role, and its instance where it has one;
no API key, password or bearer token is written, whoever put it into a message, a field or an
exception: all of a line's values are searched for them last of all. What is neither of a known form
nor a secret of the settings cannot be recognised."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO
from urllib.parse import unquote, urlsplit

import structlog
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from structlog.typing import EventDict, Processor, WrappedLogger

from cli.settings import Settings

# These say at INFO what happens to each request or heartbeat.
QUIET_LOGGERS: Final = ("httpx", "httpcore", "aiokafka", "kafka", "asyncio", "eventsourcing")
SECRET_LENGTH_MIN: Final = 6
REDACTED: Final = "[redacted]"
CONTEXT_IN_TEXT: Final = ("request_id",)

_VALUE = r"""(?:'[^']*'|\\?"[^"]*"|['"]?[^\s"',;&}\\]+)"""
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
SECRET_NAME: Final = re.compile(r"(?i)(?:password|passwd|secret|authorization|api[_-]key)$")
PATTERNS: Final = (
    # cbk_<key id>_<secret>: the id stays, to tell whose key it was.
    (re.compile(r"\b(cbk_[0-9A-Za-z]{1,64})_[0-9A-Za-z]+"), rf"\1_{REDACTED}"),
    (re.compile(r"(://[^\s:/@\"']*):[^\s@\"']+@"), rf"\1:{REDACTED}@"),
    (re.compile(r"(?i)\b(bearer)\s+[A-Za-z0-9._~+/=-]+"), rf"\1 {REDACTED}"),
    (
        re.compile(
            r"(?i)\b([a-z_.-]*(?:password|passwd|secret|api[_-]key))"
            rf"(\\?[\"']?\s*[=:]\s*){_VALUE}"
        ),
        rf"\1\2{REDACTED}",
    ),
)


class Redactor:
    """The last processor before the renderer: takes the secrets out of every value."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets` are replaced wherever they stand, if they are long enough not to be words."""
        long = {each for each in secrets if len(each) >= SECRET_LENGTH_MIN}
        self._secrets = sorted(long, key=len, reverse=True)

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """See the class."""
        return {name: self._value(name, value) for name, value in event.items()}

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        for pattern, instead in PATTERNS:
            text = pattern.sub(instead, text)
        return text

    def _value(self, name: object, value: object) -> object:
        if isinstance(name, str) and SECRET_NAME.search(name):
            return REDACTED
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._value(key, each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(None, each) for each in value]
        return self.text(value if isinstance(value, str) else repr(value))


def secrets_of(settings: Settings) -> list[str]:
    """The secrets that the settings hold, as they may show in a message: plain and URL-quoted."""
    found: list[str] = []
    if settings.kafka_sasl_password is not None:
        found.append(settings.kafka_sasl_password.get_secret_value())
    for url in (settings.redis_url, settings.postgres_dsn):
        if url is None:
            continue
        password = urlsplit(url).password if "://" in url else _dsn_password(url)
        if password:
            found += [password, unquote(password)]
    return found


def _dsn_password(dsn: str) -> str | None:
    """Of `key=value …`; one that cannot be read is refused by whoever connects with it."""
    try:
        password = conninfo_to_dict(dsn).get("password")
    except ProgrammingError:
        return None
    return str(password) if password is not None else None


def set_up_logging(settings: Settings, role: str, *, stream: TextIO | None = None) -> None:
    """Have everything that this process logs written to `stream` (default: standard error), as the
    settings say. May be called again: the last call counts.
    """
    context = {"role": role}
    if settings.instance:
        context["instance"] = settings.instance

    def add_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, **context}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_context,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    rendered: Processor = _text
    if settings.log_form == "json":
        rendered = structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[_tidied, Redactor(secrets_of(settings)), rendered],
    )
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    _log_what_nobody_caught()


def _tidied(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Without what the formatter and the servers add for themselves."""
    for name in ("_record", "_from_structlog", "color_message", "websocket"):
        event.pop(name, None)
    return event


def _text(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> str:
    """`time LEVEL logger: message`, and the exception below."""
    time, level = event.get("timestamp", ""), str(event.get("level", "")).upper()
    # A client's newline must not make a line of its own.
    said = CONTROL.sub(lambda found: repr(found[0])[1:-1], str(event.get("event", "")).rstrip())
    line = f"{time} {level} {event.get('logger', '')}: {said}"
    for name in CONTEXT_IN_TEXT:
        if name in event:
            line += f" ({name} {event[name]})"
    for name in ("stack", "exception"):
        if name in event:
            line += f"\n{event[name]}"
    return line


def _log_what_nobody_caught() -> None:
    """Tracebacks of the interpreter would go around the redaction, and are not JSON."""
    log = logging.getLogger("crossbook.process")

    def on_exception(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        log.critical("ended by %s", kind.__name__, exc_info=(kind, error, trace))

    def on_thread_exception(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is None:
            return
        name = arguments.thread.name if arguments.thread is not None else "a thread"
        caught = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
        log.critical("thread %s ended by %s", name, arguments.exc_type.__name__, exc_info=caught)

    sys.excepthook = on_exception
    threading.excepthook = on_thread_exception
