"""The receiver of one shard's feed, without any input or output of its own: packets, answers and
the time go in, what to ask for comes out.

Guarantees: messages are applied once each and in order of sequence; a packet that is unsound or of
another session changes nothing but a count; a lower sequence is a late packet, never a restart.
What is missing is asked for (re-request, then HTTP, then a snapshot, as far as there are these
means), each a bounded number of times, and from the beginning where all failed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from crossbook_client.feed import mold
from crossbook_client.feed.books import ShardBooks
from crossbook_client.feed.itch import UndecodableError
from crossbook_client.feed.pending import PendingPackets
from crossbook_client.feed.rerequests import NotAnsweredError, Rerequests
from crossbook_client.feed.statistics import FeedStatistics
from crossbook_client.feed.terms import (
    HTTP,
    MEANS,
    REREQUEST,
    SNAPSHOT,
    Action,
    Discover,
    Fetch,
    Patience,
    Rerequest,
    Snapshot,
    Taker,
    TakeSnapshot,
)

NEVER: Final = float("inf")
RIVAL_PACKETS: Final = 3  # of another session, before it is looked at
NOTHING_THERE_MAX: Final = 5  # answers that a claimed message is not there, until believed


class ShardFeed:
    """See the module. `session` None: that of the first packet. `means` are of `MEANS`;
    `beginning`: apply the whole session from sequence 1 instead of beginning with a snapshot.
    Without a snapshot it begins there anyway, and without any means with the first packet."""

    def __init__(
        self,
        shard: int,
        books: ShardBooks,
        *,
        session: bytes | None = None,
        means: Collection[str] = (),
        beginning: bool = False,
        known_end: int = 0,
        can_discover: bool = False,
        patience: Patience | None = None,
        takers: Collection[Taker] = (),
    ) -> None:
        self.shard = shard
        self.books = books
        self.session = session
        self.statistics = FeedStatistics()
        self.expected = 0  # 0: not begun
        self.known_end = known_end
        self.ended_at: int | None = None
        self.last_heard: dict[str, float] = {}
        self.last_misfit = ""
        self._means = [rung for rung in MEANS if rung in means]
        self._beginning = bool(means) and (beginning or SNAPSHOT not in means)
        self._can_discover = can_discover
        self._patience = patience or Patience()
        self._takers = list(takers)
        self._pending = PendingPackets(self._patience.pending_packets_max)
        self._rerequests = Rerequests(self._patience)
        self._own_heard_at = 0.0
        self._rival: tuple[bytes, int] | None = None
        self._not_before = self._not_discover_before = 0.0
        self._begin()

    def _begin(self) -> None:
        """Be where nothing was received yet."""
        self._pending.clear()
        self._rerequests.clear()
        self._wants_snapshot = bool(self._means) and not self._beginning  # packets wait meanwhile
        self._wants_session = False
        self._in_flight: Action | None = None
        self._rung = self._rung_tries = self._nothing_there = 0
        self._pause_s = self._patience.retry_s / 2
        self._stuck_since: float | None = None
        self._history_end = self.known_end
        self.ended_at = None
        self.expected = 1 if self._beginning else 0
        self._wake_at = 0.0 if self._wants_snapshot or 0 < self.expected < self.known_end else NEVER

    # --- what the owner asks ----------------------------------------------------------------------

    @property
    def joined(self) -> bool:
        """Whether the books are those of a moment: a snapshot was taken, or the feed has begun."""
        return self.expected > 0 and not self._wants_snapshot

    @property
    def caught_up(self) -> bool:
        """Whether everything that is known to have been published was applied."""
        return self.joined and self.expected >= self.known_end

    @property
    def missing(self) -> int:
        """Messages known to have been published, and not applied."""
        return max(0, self.known_end - self.expected) if self.expected else 0

    @property
    def sound(self) -> bool:
        """Whether no gap is open, nothing was given up and every message fitted."""
        return self.caught_up and not self.statistics.unrecovered and not self.last_misfit

    @property
    def finished(self) -> bool:
        """Whether the session has ended and all of it was applied."""
        return self.ended_at is not None and self.joined and self.expected >= self.ended_at

    @property
    def wake_at(self) -> float:
        """When `due` is to be asked next."""
        return NEVER if self._in_flight is not None else self._wake_at

    # --- packets ----------------------------------------------------------------------------------

    def receive(self, data: bytes, source: str, now: float) -> None:
        """Take a packet from a line, or one that answers a request."""
        statistics = self.statistics
        statistics.packets[source] += 1
        if self._is_known(data):
            # Decoding it would tell nothing new: half the cost of listening to two lines.
            statistics.duplicates[source] += 1
            self.last_heard[source] = self._own_heard_at = now
            return
        try:
            packet = mold.parse(data)
        except UndecodableError:
            statistics.undecodable += 1
            return
        if packet.session != self.session and not self._is_ours(packet, now):
            return
        self.last_heard[source] = self._own_heard_at = now
        self._rival = None
        if packet.messages:
            self._take(packet, source, now)
        else:
            statistics.heartbeats[source] += 1
            if packet.is_end:
                self.ended_at = packet.sequence
        self._claim(packet.next_sequence, now)
        if source == REREQUEST and packet.messages and self.missing:
            self._rerequests.at_once(packet.next_sequence, now)
            self._wake_at = now

    def _is_known(self, data: bytes) -> bool:
        if not self.expected or len(data) < mold.HEADER_BYTES:
            return False
        session, sequence, count = mold.HEADER.unpack_from(data)
        return bool(
            session == self.session
            and 0 < count <= mold.MESSAGES_MAX
            and sequence > 0
            and sequence + count <= self.expected
        )

    def _is_ours(self, packet: mold.Packet, now: float) -> bool:
        """Whether a packet of another session is to be taken."""
        if self.session is None:
            self.session = packet.session
            return True
        self.statistics.wrong_session += 1
        count = self._rival[1] + 1 if self._rival and self._rival[0] == packet.session else 1
        self._rival = (packet.session, count)
        if count < RIVAL_PACKETS or now < self._own_heard_at + self._patience.silence_s:
            return False
        if not self._can_discover:
            self._change_session(packet.session)
            return True
        self._want_session(now)
        return False

    def _want_session(self, now: float) -> None:
        if now >= self._not_discover_before:
            self._wants_session = True
            self._wake_at = min(self._wake_at, now)

    def _claim(self, next_sequence: int, now: float) -> None:
        """Everything before `next_sequence` was published, a packet says."""
        if not self.expected and not self._means:
            self._begin_in_the_middle(next_sequence)
        if not self.known_end:
            self._history_end = max(1, next_sequence) if self._beginning else 0
        self.known_end = max(self.known_end, next_sequence)
        if self.expected >= self.known_end or self._wants_snapshot:
            return
        if self._stuck_since is None:
            self._stuck_since = now
            self.statistics.gaps += self.expected >= self._history_end
            self._wake_at = min(self._wake_at, now)
        self._wake_at = min(self._wake_at, now + self._patience.reorder_s)

    def _begin_in_the_middle(self, next_sequence: int) -> None:
        """Without any means, the first packet is where the books begin."""
        first = self._pending.first
        self.expected = next_sequence if first is None else first
        self.books.partial = self.expected > 1
        self._drain()

    def _take(self, packet: mold.Packet, source: str, now: float) -> None:
        if self.expected and packet.next_sequence <= self.expected:
            self.statistics.duplicates[source] += 1
            return
        ready = packet.sequence <= self.expected and not self._wants_snapshot
        if not ready and not self._pending.add(packet, source):
            self.statistics.pending_dropped = self._pending.dropped
            self.statistics.duplicates[source] += 1
            return
        if not self._wants_snapshot:
            self._count_recovered(packet, source)
        if ready:
            self._apply(packet, source)
            self._drain()
            self._progressed(now)
        else:
            self.statistics.out_of_order += 1

    def _count_recovered(self, packet: mold.Packet, source: str) -> None:
        """Count what was known to be missing and is brought by this packet."""
        first = max(packet.sequence, self.expected, self._history_end)
        found = min(packet.next_sequence, self.known_end) - first
        if self.expected and found > 0:
            self.statistics.recovered[source if source in MEANS else "line"] += found

    def _apply(self, packet: mold.Packet, source: str) -> None:
        """Apply what is new in a packet that begins at or before `expected`."""
        messages, body, first = packet.messages, packet.body, self.expected
        assert packet.sequence <= first < packet.next_sequence, (packet.sequence, first)
        if packet.sequence < first:
            messages, body = messages[first - packet.sequence :], packet.body_from(first)
        misfits = self.books.apply(messages)
        self.expected = packet.next_sequence
        self.statistics.messages[source] += len(messages)
        for taker in self._takers:
            taker.messages(self.shard, first, messages, body)
        if misfits:
            self.statistics.contradictions += len(misfits)
            self.last_misfit = misfits[-1]
            if SNAPSHOT in self._means:
                self._wants_snapshot = True
                self._wake_at = 0.0

    def _drain(self) -> None:
        """Apply what waited for what has been applied."""
        while self.expected and not self._wants_snapshot:
            taken = self._pending.take_upto(self.expected)
            if taken is None:
                return
            if taken[0].next_sequence > self.expected:
                self._apply(*taken)

    def _progressed(self, now: float) -> None:
        self._rung = self._rung_tries = self._nothing_there = 0
        self._pause_s = self._patience.retry_s / 2
        if self.expected < self.known_end:
            self._stuck_since = now if self._stuck_since is not None else None
        elif not self._wants_snapshot:
            self._stuck_since = None
            self._rerequests.clear()
            self._wake_at = 0.0 if self._wants_session else NEVER

    # --- asking for what is missing ---------------------------------------------------------------

    def due(self, now: float) -> list[Action]:
        """What to ask for now. Each but a Rerequest must be answered by its `took_` method."""
        if now < self._wake_at or self._in_flight is not None:
            return []
        self._wake_at = NEVER
        if self._wants_session:
            self._wants_session = False
            return self._fly(Discover())
        if not self._wants_snapshot and self.expected >= self.known_end:
            return []
        if now < self._not_before:
            self._wake_at = self._not_before
            return []
        if self._is_hopeless(now):
            self._skip(now)
            return []
        return self._climb(now)

    def _climb(self, now: float) -> list[Action]:
        """The next attempt, by the first means that has not failed since the last progress."""
        rungs = [SNAPSHOT] if self._wants_snapshot else self._means[self._rung :]
        if not rungs:
            self._rung = 0
            self._wake_at = now + self._patience.retry_s
            return []
        rung = rungs[0]
        if rung == REREQUEST and HTTP in rungs:
            rung = HTTP if self.missing > self._patience.rerequest_messages_max else REREQUEST
        if rung == REREQUEST:
            return self._rerequest(now)
        if rung == SNAPSHOT:
            self._wants_snapshot = True
            return self._fly(TakeSnapshot())
        self.statistics.fetches += 1
        return self._fly(Fetch(self.expected, min(self.missing, self._patience.fetch_messages_max)))

    def _fly(self, action: Action) -> list[Action]:
        self._in_flight = action
        return [action]

    def _rerequest(self, now: float) -> list[Action]:
        assert self.session is not None, "nothing can be missing of an unknown session"
        holes = self._pending.holes(self.expected, self.known_end)
        try:
            asked = self._rerequests.due(holes, now)
        except NotAnsweredError:
            self._failed(REREQUEST, now)
            return []
        self.statistics.requests += len(asked)
        self._wake_at = self._rerequests.next_at
        return [Rerequest(self.session, first, count) for first, count in asked]

    def _failed(self, rung: str, now: float) -> None:
        """An attempt failed: the next one after a pause, or at once by the next means."""
        self.statistics.failures[rung] += 1
        self._rung_tries += 1
        if rung == REREQUEST or self._rung_tries >= self._patience.tries:
            self._rung = self._means.index(rung) + 1
            self._rung_tries = 0
            if rung == SNAPSHOT:
                self._go_on_without_snapshot()
        if rung != REREQUEST:
            self._pause_s = min(2 * self._pause_s, 5 * self._patience.retry_s)
            self._not_before = now + self._pause_s
        self._wake_at = max(now, self._not_before)

    def _go_on_without_snapshot(self) -> None:
        """Begin the ladder anew; where there are no books yet, with the session's beginning, if
        that can be had."""
        self._rung = 0
        if self.last_misfit or len(self._means) == 1:
            return
        self._wants_snapshot = False
        if not self.expected:
            self.expected = 1
            self._history_end = self.known_end = max(1, self.known_end)
        self._drain()

    def _is_hopeless(self, now: float) -> bool:
        """Whether a gap has been open for so long that it is given up. Where a snapshot can be had
        it is waited for."""
        if self._wants_snapshot or SNAPSHOT in self._means or self._stuck_since is None:
            return False
        patience_s = self._patience.give_up_s if self._means else 10 * self._patience.reorder_s
        self._wake_at = self._stuck_since + patience_s
        return now >= self._wake_at

    def _skip(self, now: float) -> None:
        """Give up what is missing before the next packet that is here."""
        first = self._pending.first
        reached = self.known_end if first is None else min(first, self.known_end)
        self.statistics.unrecovered += max(0, reached - self.expected)
        self.expected = max(self.expected, reached)
        self.books.partial = True
        self._drain()
        self._wake_at = now
        self._progressed(now)

    # --- answers ----------------------------------------------------------------------------------

    def took_block(self, data: bytes | None, publisher_next: int | None, now: float) -> None:
        """What a Fetch brought: a block, nothing because it is not there (empty), or none at
        all."""
        self._in_flight = None
        before = self.expected
        is_empty = data is not None and (not data or self._take_block(data, now))
        if self.expected > before:
            self._wake_at = min(self._wake_at, now)
            return
        if is_empty and publisher_next is not None and publisher_next <= self.expected:
            self._nothing_there += 1
            if self._nothing_there >= NOTHING_THERE_MAX:
                self._discard_claim()
                return
        self._failed(HTTP, now)

    def _take_block(self, data: bytes, now: float) -> bool:
        """Apply a block; whether it says that there is nothing."""
        try:
            packet = mold.parse(data)
        except UndecodableError:
            self.statistics.undecodable += 1
            return False
        if packet.session != self.session:
            self.statistics.wrong_session += 1
            self._rival = (packet.session, RIVAL_PACKETS)
            if self._can_discover:
                self._want_session(now)
            return False
        if packet.messages and packet.sequence <= self.expected:
            self._take(packet, HTTP, now)
        return not packet.messages

    def _discard_claim(self) -> None:
        """A packet claimed messages that were never published: forget that it came."""
        self.statistics.claims_discarded += 1
        self.known_end = self.expected
        self._pending.drop_from(self.expected)
        self._stuck_since = None
        self._rerequests.clear()

    def took_snapshot(self, snapshot: Snapshot | None, now: float) -> None:
        """What a TakeSnapshot brought, None where it failed."""
        self._in_flight = None
        if snapshot is not None and self.session is None:
            self.session = snapshot.session
        if snapshot is None or snapshot.next_sequence < max(1, self.expected):
            self._failed(SNAPSHOT, now)
            return
        if snapshot.session != self.session:
            self._rival = (snapshot.session, RIVAL_PACKETS)
            self._failed(SNAPSHOT, now)
            if self._can_discover:
                self._want_session(now)
            return
        self.statistics.snapshots += 1
        if self.expected:
            self.statistics.recovered[SNAPSHOT] += snapshot.next_sequence - self.expected
        for taker in self._takers:
            taker.snapshot(self.shard, snapshot, self.books)
        self.books.become(snapshot.books)
        self.expected = snapshot.next_sequence
        self.known_end = max(self.known_end, self.expected)
        self.last_misfit = ""
        self._wants_snapshot = False
        self._drain()
        self._progressed(now)
        if self.expected < self.known_end:
            self._stuck_since = now
            self._wake_at = now

    def took_session(self, session: bytes | None, now: float) -> None:
        """What a Discover brought, None where it failed."""
        self._in_flight = None
        self._not_discover_before = now + 1.0
        rival, self._rival = self._rival, None
        self._wake_at = now
        if session is None or rival is None or session != rival[0] or session == self.session:
            return
        self._change_session(session)

    def _change_session(self, session: bytes) -> None:
        """Another log: begin again with empty books."""
        for taker in self._takers:
            taker.session_changed(self.shard, session)
        self.statistics.session_changes += 1
        self.session = session
        self.books.clear()
        self.known_end = 0
        self.last_misfit = ""
        self._begin()
