"""The past process of an API process: it reads the logs again, so that the process that serves
clients, and its event loop, need not.

Guarantees: it yields to everybody (niceness); it answers each question once, in order, books apart
from lives; it ends when the process that started it is gone, whatever it is doing then. It reads
the logs and the snapshots and writes nothing.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec
import psycopg
from eventsourcing.persistence import PersistenceError

from api.past import steps_of
from cli.past_frames import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    Answer,
    BookAsked,
    LifeAsked,
    Question,
    StateAsked,
    StepsAsked,
    frame,
)
from cli.past_lives import LifeTeller, SnapshotHashes
from cli.settings import Settings
from projections.market_data.past import PastError, ShardPast
from projections.market_data.replica import ReplicaError
from projections.snapshots import SnapshotStore
from streams.replay_logs import LogUnreadableError

if TYPE_CHECKING:
    from streams.follower import EventSource

NICENESS: Final = 10
BUDGET_S: Final = 1.0  # of one question about a book; whoever asks again goes on where it stopped
NOTHING: Final = msgspec.Raw(msgspec.msgpack.encode(None))

log = logging.getLogger("crossbook.past")


class Worker:
    """Answers questions. `reply` is called by both of its threads."""

    def __init__(self, settings: Settings, reply: Callable[[bytes], None]) -> None:
        assert settings.postgres_dsn is not None
        self._settings = settings
        self._reply = reply
        self._store = SnapshotStore(settings.postgres_dsn, keep=settings.snapshots_kept)
        self._pasts: dict[int, ShardPast] = {}
        self._lives = LifeTeller(settings, self._store)
        self._hashes = SnapshotHashes(self._store)
        self._books: queue.SimpleQueue[Question] = queue.SimpleQueue()
        self._stories: queue.SimpleQueue[Question] = queue.SimpleQueue()

    def start(self) -> None:
        """Begin to answer, in threads that end with the process."""
        for name, waiting in (("books", self._books), ("lives", self._stories)):
            threading.Thread(target=self._run, args=(waiting,), name=name, daemon=True).start()

    def take(self, question: Question) -> None:
        """Have a question answered."""
        is_story = isinstance(question.asked, LifeAsked | StateAsked)
        (self._stories if is_story else self._books).put(question)

    def _run(self, waiting: queue.SimpleQueue[Question]) -> None:
        while True:
            question = waiting.get()
            self._reply(frame(self._answer(question)))

    def _answer(self, question: Question) -> Answer:
        try:
            body = msgspec.Raw(msgspec.msgpack.encode(self._told(question.asked)))
        except PastError as error:
            return Answer(question.number, error.code, error.detail, NOTHING)
        except (LogUnreadableError, PersistenceError, psycopg.Error, ReplicaError) as error:
            log.warning("%r cannot be answered: %r", question.asked, error)
            self._pasts.clear()  # whatever was open is opened anew
            detail = "the logs or the snapshots cannot be read now; try again"
            return Answer(question.number, "past_unavailable", detail, NOTHING)
        except Exception:
            log.exception("%r failed", question.asked)
            return Answer(question.number, "failed", "", NOTHING)
        return Answer(question.number, "", "", body)

    def _told(self, asked: object) -> Any:
        deadline = time.monotonic() + BUDGET_S
        if isinstance(asked, BookAsked):
            return self._past(asked.shard).book(
                asked.instrument,
                asked.moment,
                depth=asked.depth,
                queued=asked.queued,
                deadline=deadline,
            )
        if isinstance(asked, StepsAsked):
            past = self._past(asked.shard)
            return steps_of(past, asked.instrument, asked.after, asked.until, asked.first, deadline)
        if isinstance(asked, StateAsked):
            return self._hashes.newest(asked.shard)
        assert isinstance(asked, LifeAsked)
        return self._lives.told(asked.order_id, asked.viewer)

    def _past(self, shard: int) -> ShardPast:
        past = self._pasts.get(shard)
        if past is None:
            source = event_source(self._settings, shard)
            past = self._pasts[shard] = ShardPast(source, self._store)
        return past


def event_source(settings: Settings, shard: int) -> EventSource:
    """A shard's event log, of either mode. Blocks. Raises PersistenceError."""
    if settings.distributed:
        from cli.kafka_connection import connection_of
        from streams.kafka.events import KafkaEventLog

        return KafkaEventLog(connection_of(settings), shard)
    from streams.logs import SQLiteEventLog

    return SQLiteEventLog(settings.logs, shard)


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame; None at the end."""
    head = stream.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "little")
    assert length <= FRAME_BYTES_MAX
    body = stream.read(length)
    return body if len(body) == length else None


def main() -> None:
    """Answer what comes on standard input, on standard output, until the input ends."""
    from cli.logging_setup import set_up_logging

    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever is printed goes where errors go
    first = read_frame(sys.stdin.buffer)
    if first is None:
        return
    settings: Settings = pickle.loads(first)
    os.nice(NICENESS)
    set_up_logging(settings, "past")
    writing = threading.Lock()

    def reply(encoded: bytes) -> None:
        with writing:
            view = memoryview(encoded)
            while view:
                view = view[answers.write(view) :]

    worker = Worker(settings, reply)
    worker.start()
    decoder = msgspec.msgpack.Decoder(Question)
    while (body := read_frame(sys.stdin.buffer)) is not None:
        worker.take(decoder.decode(body))
    os._exit(0)  # the API process is gone: nobody waits for what is being answered


if __name__ == "__main__":
    main()
