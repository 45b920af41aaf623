"""What every role's process does first: logging, signals, and noticing that its parent is gone."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from types import FrameType

from cli.logging_setup import set_up_logging
from cli.metrics_page import show_metrics
from cli.settings import Settings

log = logging.getLogger(__name__)

PARENT_CHECK_S = 0.5
API_ROLE = "api"  # which shows its metrics on its own port


def begin(settings: Settings, role: str, *, with_parent: bool = True) -> threading.Event:
    """Logging and metrics as `role`, and an event that is set when this process should stop: at
    SIGTERM and SIGINT, and `with_parent` when the process that started it is gone.
    """
    set_up_logging(settings, role)
    if role != API_ROLE:
        show_metrics(settings, role)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    parent = os.getppid()

    def watch() -> None:
        while not stop.wait(PARENT_CHECK_S):
            if os.getppid() != parent:
                log.warning("the supervisor is gone: stopping")
                stop.set()

    if with_parent:
        threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    # What lives as long as the process is not worth walking through at every collection.
    gc.collect()
    gc.freeze()
    return stop


def required(value: str | None, name: str) -> str:
    """The value of a setting that this role cannot do without."""
    if value is None:
        log.critical("CROSSBOOK_%s is not set: this role is started by `crossbook up`", name)
        raise SystemExit(1)
    return value
