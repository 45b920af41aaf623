"""The sink `multicast`: event batches as packets, on disk and on the lines.

Guarantees: packets are on disk, with the position after them, before one of them is sent; so a
publisher that was killed goes on in the same session and sequence, and what it had not sent yet is
there to be asked for. A failure to send never holds up the sink. What lies further back than
`LIVE_BATCHES_MAX` batches from the log's end is not sent on the lines at all."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from domain.batch import EventBatch, Position
from projections.itch.encoder import FeedEncoder
from projections.links import check_link
from projections.multicast import metrics
from projections.multicast.board import FeedBoard, Published
from projections.multicast.lines import Lines
from projections.multicast.store import FeedStore

log = logging.getLogger(__name__)

NAME: Final = "multicast"
LIVE_BATCHES_MAX: Final = 1_000
# A step that took fewer batches had come to the log's end, or near it: no need to ask where it is.
FAR_BEHIND_BATCHES: Final = 32
PRUNE_EVERY: Final = 64  # as a part of what is kept

# How far a shard's event log reaches.
TailOf = Callable[[int], int]


class _Shard:
    """One shard's file, the encoder that stands where the file does, and its metrics."""

    def __init__(self, folder: Path, shard: int) -> None:
        self.store = FeedStore(folder, shard)
        self.encoder: FeedEncoder | None = None
        self.at = Position(0, b"")
        self.first_sequence = 1
        label = str(shard)
        self.messages = metrics.MESSAGES.labels(label)
        self.packets = metrics.PACKETS.labels(label)
        self.bytes = metrics.BYTES.labels(label)
        self.next_sequence = metrics.NEXT_SEQUENCE.labels(label)

    def restore(self) -> FeedEncoder:
        """The encoder as of what is on disk."""
        self.encoder, self.at = self.store.encoder()
        self.first_sequence = self.store.first_sequence()
        return self.encoder


class MulticastSink:
    """The sink `multicast`. One thread a shard. `messages_kept`: older ones are forgotten, 0: none.

    `lines` None: nothing is sent (for building a file without publishing)."""

    name = NAME

    def __init__(
        self,
        folder: Path,
        *,
        board: FeedBoard,
        lines: Lines | None,
        tail_of: TailOf,
        messages_kept: int = 0,
    ) -> None:
        self._folder = folder
        self._board = board
        self._lines = lines
        self._tail_of = tail_of
        self._messages_kept = messages_kept
        self._shards: dict[int, _Shard] = {}
        self._lock = threading.Lock()

    def position(self, shard: int) -> Position:
        """The last batch whose packets are on disk. Raises sqlite3.OperationalError."""
        state = self._shard(shard)
        try:
            encoder = state.restore()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            state.store.recover(error)
            encoder = state.restore()
        if encoder.position and self._lines is not None:
            self._lines.stand_at(shard, encoder.session, encoder.next_sequence)
        self._tell(shard, state, encoder)
        return state.at

    def apply(self, shard: int, batches: Sequence[EventBatch]) -> Position:
        """Write the batches' packets and the position after them, then send them.

        Raises ConflictError, ForkError, or sqlite3.Error; nothing was written or sent then."""
        state = self._shard(shard)
        encoder = state.encoder or state.restore()
        check_link(state.at, batches)
        state.encoder = None  # until it is known to stand where the file does
        first = encoder.next_sequence
        marks: list[tuple[int, int]] = []
        for batch in batches:
            encoder.apply(batch.record)
            marks.append((encoder.next_sequence, encoder.trading_time_ns))
        state.store.commit(state.at, encoder, batches, marks)
        packets, encoder.packets = encoder.packets, []
        encoder.changed.clear()
        state.at = batches[-1].at
        self._send(shard, encoder, packets, len(batches))
        state.encoder = encoder
        self._prune(state, encoder)
        self._tell(shard, state, encoder)
        state.messages.inc(int(encoder.next_sequence - first))
        state.packets.inc(len(packets))
        state.bytes.inc(sum([len(packet) for _, packet in packets]))
        return state.at

    def drop(self, shard: int) -> None:
        """This process no longer has the shard."""
        with self._lock:
            state = self._shards.pop(shard, None)
        self._board.drop(shard)
        if self._lines is not None:
            self._lines.drop(shard)
        if state is not None:
            state.store.close()
        for gauge in (metrics.NEXT_SEQUENCE, metrics.LAG, metrics.WAITING):
            with contextlib.suppress(KeyError):  # it had none yet
                gauge.remove(str(shard))

    def close(self) -> None:
        """Close every file."""
        for shard in list(self._shards):
            self.drop(shard)

    def _shard(self, shard: int) -> _Shard:
        with self._lock:
            state = self._shards.get(shard)
            if state is None:
                state = self._shards[shard] = _Shard(self._folder, shard)
            return state

    def _send(
        self, shard: int, encoder: FeedEncoder, packets: list[tuple[int, bytes]], batches: int
    ) -> None:
        if self._lines is None:
            return
        if batches >= FAR_BEHIND_BATCHES and self._is_far_behind(shard, encoder.position):
            self._lines.skip(shard, encoder.session, len(packets), encoder.next_sequence)
        else:
            self._lines.publish(shard, encoder.session, packets, encoder.next_sequence)

    def _is_far_behind(self, shard: int, position: int) -> bool:
        try:
            return self._tail_of(shard) - position > LIVE_BATCHES_MAX
        except Exception as error:  # noqa: BLE001 - whatever log it is: the packets are on disk
            log.warning("shard %d: the event log's end is not known: %r", shard, error)
            return True

    def _prune(self, state: _Shard, encoder: FeedEncoder) -> None:
        kept = self._messages_kept
        if kept and encoder.next_sequence - state.first_sequence > kept + kept // PRUNE_EVERY:
            state.first_sequence = state.store.prune(encoder.next_sequence - kept)

    def _tell(self, shard: int, state: _Shard, encoder: FeedEncoder) -> None:
        state.next_sequence.set(int(encoder.next_sequence))
        if encoder.position == 0:
            self._board.drop(shard)
            return
        self._board.put(
            Published(
                shard,
                encoder.session,
                encoder.position,
                encoder.next_sequence,
                state.first_sequence,
            )
        )
