"""The embedded driver: one process of the role, plain threads, and wakes between them.

Guarantees: a matcher or sink that meets an error of its store waits and tries again from the
store's own position; one that meets a fork stops and says so; `stop` is obeyed within a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from domain.batch import SinkError
from streams.follower import Follower
from streams.matcher import Matcher
from streams.wake import WakeReceiver, WakeSender

log = logging.getLogger(__name__)

IDLE_S = 0.5
MAILBOX_FULL_S = 0.005
RETRY_S_MIN, RETRY_S_MAX = 0.05, 2.0
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
        untold: set[Matcher] = set()
        while not stop.is_set():
            moved = [matcher for matcher in matchers if matcher.step()]
            untold = {each for each in untold.union(moved) if not _tell(sender, each)}
            if not moved:
                receiver.wait(MAILBOX_FULL_S if untold else IDLE_S)
                for _ in receiver.drain():
                    pass
    finally:
        receiver.close()
        sender.close()


def _tell(sender: WakeSender, matcher: Matcher) -> bool:
    """Wake those who read the event log; False where a mailbox was full."""
    shard, position = matcher.shard, matcher.exchange.position
    told = [sender.send(name, "events", shard, position) for name in ("api", "projections")]
    return all(told)


def drive_sinks(
    followers: Sequence[Follower],
    run_dir: Path,
    stop: threading.Event,
    *,
    transient: tuple[type[BaseException], ...],
    prepare: Callable[[Follower], None],
) -> None:
    """Drive each follower in a thread of its own until `stop`.

    Raises what a sink failed of unforeseen, once all have stopped.
    `transient` are the store errors after which a step is tried again; `prepare` runs before a
    follower's first step and after each error (to load an empty store from a snapshot)."""
    receiver = WakeReceiver(run_dir, "projections")
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
    name, shard = follower.sink.name, follower.source.shard
    retry_s = RETRY_S_MIN
    prepared = told = False
    while not stop.is_set():
        news.clear()
        try:
            if not prepared:
                prepare(follower)
                prepared = True
            moved = follower.step()
            prepared = not follower.is_lost
        except SinkError as error:
            log.critical("%s, shard %d stopped: %s", name, shard, error)
            stop.wait(RETRY_S_MAX)
            follower.forget()
            prepared = False
            continue
        except transient as error:
            log.warning("%s, shard %d: %r; trying again in %.2f s", name, shard, error, retry_s)
            follower.forget()
            prepared = False
            stop.wait(retry_s)
            retry_s = min(retry_s * 2, RETRY_S_MAX)
            continue
        retry_s = RETRY_S_MIN
        if moved or not told:
            told = sender.send("api", name, shard, follower.position)
        if not moved:
            news.wait(IDLE_S if told else MAILBOX_FULL_S)
    sender.close()
