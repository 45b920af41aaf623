"""The embedded driver: one process of the role, plain threads, and wakes between them.

Guarantees: a matcher or sink that meets an error of its store waits and tries again from the
store's own position; one that meets a fork stops and says so; `stop` is obeyed within a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from streams.drivers import GO_ON, IDLE_S, MatcherDriver, SinkDriver
from streams.follower import Follower
from streams.matcher import Matcher
from streams.wake import WakeReceiver, WakeSender

log = logging.getLogger(__name__)

CATCH_UP_SAYS_EVERY_S = 5.0


def drive_matchers(matchers: Sequence[Matcher], run_dir: Path, stop: threading.Event) -> None:
    """Recover every shard's matcher, then follow until `stop`. Errors pass through: the process
    ends, and whoever supervises it starts another, which recovers from the event log.
    """
    receiver = WakeReceiver(run_dir, "matching")
    sender = WakeSender(run_dir)
    said = time.monotonic()

    def progress(position: int) -> None:
        nonlocal said
        if stop.is_set():
            raise KeyboardInterrupt
        if time.monotonic() - said > CATCH_UP_SAYS_EVERY_S:
            said = time.monotonic()
            log.info("replaying: position %d", position)

    try:
        for matcher in matchers:
            matcher.recover(progress)
        driver = MatcherDriver(matchers, sender)
        while not stop.is_set():
            pause = driver.turn()
            if pause is not GO_ON:
                receiver.wait(pause.seconds)
                for _ in receiver.drain():
                    pass
    finally:
        receiver.close()
        sender.close()


def drive_sinks(
    followers: Sequence[Follower],
    run_dir: Path,
    stop: threading.Event,
    *,
    transient: tuple[type[BaseException], ...],
    prepare: Callable[[Follower], None],
    name: str = "projections",
) -> None:
    """Drive each follower in a thread of its own until `stop`; wakes come to `name`.

    Raises what a sink failed of unforeseen, once all have stopped.
    `transient` are the store errors after which a step is tried again; `prepare` runs before a
    follower's first step and after each error (to load an empty store from a snapshot)."""
    receiver = WakeReceiver(run_dir, name)
    failures: list[BaseException] = []
    news = [threading.Event() for _ in followers]
    threads = [
        threading.Thread(
            target=_drive_or_fail,
            args=(follower, event, run_dir, stop, transient, prepare, failures),
            name=f"{follower.sink.name}-{follower.source.shard}",
        )
        for follower, event in zip(followers, news, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        while not stop.is_set():
            receiver.wait(IDLE_S)
            for _ in receiver.drain():
                pass
            for event in news:
                event.set()
    finally:
        stop.set()
        for event in news:
            event.set()
        for thread in threads:
            thread.join()
        receiver.close()
    if failures:
        raise failures[0]


def _drive_or_fail(
    follower: Follower,
    news: threading.Event,
    run_dir: Path,
    stop: threading.Event,
    transient: tuple[type[BaseException], ...],
    prepare: Callable[[Follower], None],
    failures: list[BaseException],
) -> None:
    """An unforeseen error ends every sink of the process: half a role alive would hide it."""
    try:
        _drive_sink(follower, news, run_dir, stop, transient, prepare)
    except BaseException as error:  # noqa: BLE001 - it is raised again by the main thread
        log.critical("%s, shard %d failed", follower.sink.name, follower.source.shard)
        failures.append(error)
        stop.set()


def _drive_sink(
    follower: Follower,
    news: threading.Event,
    run_dir: Path,
    stop: threading.Event,
    transient: tuple[type[BaseException], ...],
    prepare: Callable[[Follower], None],
) -> None:
    sender = WakeSender(run_dir)
    driver = SinkDriver(follower, sender, transient=transient, prepare=prepare)
    while not stop.is_set():
        news.clear()
        pause = driver.turn()
        if pause is not GO_ON:
            (news if pause.until_news else stop).wait(pause.seconds)
    sender.close()
