"""The hub of one API process: makes each message once, of what somebody subscribes to, and lets
every client read it with a cursor of its own.

Guarantees: a chain has no gaps and its snapshot is of the instant between two of its messages;
publishing costs the same whatever the number of clients; one that is too slow gets the newest state
in place of what it missed, and is cut off where that happens again and again. All of it belongs to
one event loop.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, TypeVar

from api.metrics import STREAM_CONFLATED
from api.stream import messages
from api.stream.changes import Changes, changes_of
from api.stream.protocol import EXECUTIONS, LEVEL1, LEVEL2, ORDERS, STATUS, TRADES, StreamError
from api.stream.ring import Chain, Ring
from commands.directory.entries import InstrumentEntry
from domain.batch import EventBatch
from projections.market_data.past import PastBook, book_of_replica
from projections.market_data.replica import ShardReplica

RING_BYTES_MAX: Final = 32 * 1024 * 1024
CHECKSUM_EVERY: Final = 16
CONFLATIONS_MAX: Final = 120
CONFLATIONS_WITHIN_S: Final = 60.0
KEPT_S: Final = 120.0  # how long a chain goes on without anybody, for those who come back
BEHIND_MAX: Final = 2_048  # messages of one chain; who is further behind gets the newest state
TAKE_BYTES_MAX: Final = 16_384
# To wake a client and write to it takes some 30 us: rounds come so far apart that they take half of
# the event loop at most, and each carries what was published meanwhile.
PACE_S: Final = 60e-6  # a client that the last round woke
PACE_FROM: Final = 50  # clients
PACE_S_MAX: Final = 0.05
FIRST: Final = -1  # in place of a cursor: begin with a snapshot
CONFLATED: Final = '"conflated":true,'
K = TypeVar("K")
RESYNC: Final = {"ahead": '"resync":"ahead",', "too_old": '"resync":"too_old",'}


class MarketChain(Chain):
    """One channel of one instrument, of one account where it is private."""

    def __init__(self, book: _Book, channel: str, account: int | None) -> None:
        super().__init__(book.replica.book_sequence(book.number))
        self.book = book
        self.channel = channel
        self.account = account
        self.parked: set[MarketSubscriber] = set()  # who has read all of it
        self.readers = 0
        self.left_at = 0.0
        self.top: object = messages.best_of(book.replica, book.number)
        self._snapshot = (-1, -1, "", b"")

    def snapshot(self, flags: str) -> bytes:
        """What a reader begins with now; the same bytes for all who ask at the same place."""
        at = (self.end, self.book.replica.position, flags)
        if self._snapshot[:3] != at:
            book = self.book
            frame = messages.snapshot(
                book.replica, book.number, book.symbol, self.channel, self.last_sequence, flags
            )
            self._snapshot = (*at, frame)
        return self._snapshot[3]


class _Book:
    """The chains of one instrument that are kept."""

    def __init__(self, number: int, symbol: str, replica: ShardReplica) -> None:
        self.number = number
        self.symbol = symbol
        self.replica = replica
        self.chains: dict[str, MarketChain] = {}
        self.private: dict[int, MarketChain] = {}
        self.deltas = 0


class MarketSubscriber:
    """One client's cursors."""

    def __init__(self) -> None:
        self._cursors: dict[MarketChain, int] = {}
        self._flags: dict[MarketChain, str] = {}
        self._begun_at: dict[MarketChain, int] = {}  # where its end was: who resumes may be behind
        self._due: dict[MarketChain, None] = {}
        self._waiting: asyncio.Future[None] | None = None
        self._conflations = 0
        self._counted_from = 0.0

    async def next_frames(self) -> list[bytes]:
        """See `api.stream.interface.Subscriber`."""
        while True:
            frames = self.take()
            if frames:
                return frames
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting

    def take(self) -> list[bytes]:
        """What there is to send now, at most some 16 KiB and one message more; empty where there is
        nothing."""
        frames: list[bytes] = []
        size = 0
        due = list(self._due)
        more: list[MarketChain] = []
        self._due.clear()
        for number, chain in enumerate(due):
            if size >= TAKE_BYTES_MAX:
                self._due = dict.fromkeys(due[number:])
                break
            at, end = self._cursors[chain], chain.end
            if at == FIRST:
                taken = [chain.snapshot(self._flags.pop(chain, ""))]
                taken_bytes, at = len(taken[0]), end
            elif at < chain.begin or end - max(at, self._begun_at[chain]) > BEHIND_MAX:
                self._conflated()
                taken = [chain.snapshot(CONFLATED)]
                taken_bytes, at = len(taken[0]), end
            else:
                taken, taken_bytes = chain.frames(at, TAKE_BYTES_MAX - size)
                at += len(taken)
            self._cursors[chain] = at
            if at == end:
                chain.parked.add(self)
            else:
                more.append(chain)
            frames += taken
            size += taken_bytes
        for chain in more:  # after those that have had nothing yet
            self._due[chain] = None
        return frames

    def _conflated(self) -> None:
        now = time.monotonic()
        if now - self._counted_from > CONFLATIONS_WITHIN_S:
            self._counted_from, self._conflations = now, 0
        self._conflations += 1
        STREAM_CONFLATED.inc()
        if self._conflations > max(CONFLATIONS_MAX, 2 * len(self._cursors)):
            detail = "messages were left out again and again: read faster, or subscribe to less"
            raise StreamError("too_slow", detail, closes=True)

    def notify(self, chain: MarketChain) -> None:
        """There is something to read in this chain."""
        self._due[chain] = None
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def begin(self, chain: MarketChain, at: int, flags: str) -> None:
        """Read this chain from here on."""
        if chain not in self._cursors:
            chain.readers += 1
        self._cursors[chain] = at
        self._flags[chain] = flags
        self._begun_at[chain] = chain.end
        if at == chain.end:
            self._due.pop(chain, None)
            chain.parked.add(self)
            return
        chain.parked.discard(self)
        self.notify(chain)

    def end(self, chain: MarketChain) -> None:
        """Read this chain no more."""
        if self._cursors.pop(chain, None) is None:
            return
        self._flags.pop(chain, None)
        self._begun_at.pop(chain, None)
        self._due.pop(chain, None)
        chain.parked.discard(self)
        chain.readers -= 1
        chain.left_at = time.monotonic()

    def leave(self) -> None:
        """Read nothing any more."""
        for chain in list(self._cursors):
            self.end(chain)


class MarketHub:
    """All shards' messages. `apply` is called with each shard's batches in order, on the event
    loop."""

    def __init__(self, shards: int, *, ring_bytes_max: int = RING_BYTES_MAX) -> None:
        self._replicas: list[ShardReplica | None] = [None] * shards
        self._ready = [False] * shards
        self._books: list[dict[int, _Book]] = [{} for _ in range(shards)]
        self._ring = Ring(ring_bytes_max)
        self._changed: dict[MarketChain, None] = {}
        self._delivery: asyncio.Handle | None = None
        self._deliver_from = 0.0

    # --- feeding ----------------------------------------------------------------------------------

    def open(self, replica: ShardReplica) -> None:
        """Begin with a shard's books as they are in this replica, which is the hub's from now on
        and may be behind."""
        assert self._replicas[replica.shard] is None
        self._replicas[replica.shard] = replica

    def caught_up(self, shard: int) -> None:
        """The shard's log has been read to its end."""
        self._ready[shard] = True

    @property
    def ready(self) -> bool:
        """Whether every shard has been caught up with once."""
        return all(self._ready)

    @property
    def bytes_held(self) -> int:
        """Of all messages that are kept."""
        return self._ring.bytes_held

    @property
    def chain_count(self) -> int:
        """How many chains are kept."""
        return sum(
            len(book.chains) + len(book.private) for books in self._books for book in books.values()
        )

    def apply(self, shard: int, batch: EventBatch) -> None:
        """Take in a shard's next batch. Raises ReplicaError where it is not."""
        replica = self._replicas[shard]
        assert replica is not None
        replica.apply(batch.record)
        books = self._books[shard]
        if not books:
            return
        at_ns = batch.header.audit_timestamp_ns
        for number, changes in changes_of(batch.events(), books, at_ns).items():
            self._publish_all(books[number], changes)

    def _publish_all(self, book: _Book, changes: Changes) -> None:
        chains, symbol = book.chains, book.symbol
        sequence = book.replica.book_sequence(book.number)
        if changes.levels:
            self._publish_levels(book, sequence, changes)
        if changes.trades and (chain := chains.get(TRADES)) is not None:
            for trade in changes.trades:
                frame = messages.trade(symbol, chain.last_sequence, trade)
                self._publish(chain, trade.sequence, frame)
        if changes.steps and (chain := chains.get(ORDERS)) is not None:
            frame = messages.orders(symbol, sequence, chain.last_sequence, changes.steps)
            self._publish(chain, sequence, frame)
        if changes.states and (chain := chains.get(STATUS)) is not None:
            for at, state in changes.states:
                self._publish(chain, at, messages.status(symbol, at, chain.last_sequence, state))
        if book.private:
            for done in changes.executions:
                own = book.private.get(done.account)
                if own is not None:
                    frame = messages.execution(symbol, own.last_sequence, done)
                    self._publish(own, done.sequence, frame)

    def _publish_levels(self, book: _Book, sequence: int, changes: Changes) -> None:
        chain = book.chains.get(LEVEL2)
        if chain is not None:
            levels = [(side, level) for (side, _), level in changes.levels.items()]
            book.deltas += 1
            crc = None
            if book.deltas % CHECKSUM_EVERY == 0:
                crc = messages.checksum(book.replica, book.number)
            frame = messages.delta(book.symbol, sequence, chain.last_sequence, levels, crc)
            self._publish(chain, sequence, frame)
        chain = book.chains.get(LEVEL1)
        if chain is not None:
            best = messages.best_of(book.replica, book.number)
            if best != chain.top:
                chain.top = best
                frame = messages.top(book.symbol, sequence, chain.last_sequence, best)
                self._publish(chain, sequence, frame)

    def _publish(self, chain: MarketChain, sequence: int, frame: bytes) -> None:
        self._ring.publish(chain, sequence, frame)
        self._changed[chain] = None
        if self._delivery is None:
            loop = asyncio.get_running_loop()
            if self._deliver_from > loop.time():
                self._delivery = loop.call_at(self._deliver_from, self._deliver)
            else:
                self._delivery = loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        """Wake those who had read all there was. Once for all that was published since."""
        self._delivery = None
        changed, self._changed = self._changed, {}
        woken = 0
        for chain in changed:
            parked, chain.parked = chain.parked, set()
            woken = max(woken, len(parked))
            for subscriber in parked:
                subscriber.notify(chain)
        if woken >= PACE_FROM:
            pause_s = min(PACE_S_MAX, PACE_S * woken)
            self._deliver_from = asyncio.get_running_loop().time() + pause_s

    # --- clients ----------------------------------------------------------------------------------

    def knows(self, instrument: InstrumentEntry) -> bool:
        """See `api.stream.interface.Hub`."""
        replica = self._replicas[instrument.shard]
        return replica is not None and replica.is_listed(instrument.number)

    def book(self, instrument: InstrumentEntry, *, depth: int, queued: int) -> PastBook | None:
        """See `api.stream.interface.Hub`."""
        replica = self._replicas[instrument.shard]
        if replica is None or not self._ready[instrument.shard]:
            return None
        if not replica.is_listed(instrument.number):
            return None
        return book_of_replica(replica, instrument.number, depth, queued)

    def position(self, shard: int) -> int:
        """See `api.stream.interface.Hub`."""
        replica = self._replicas[shard]
        return 0 if replica is None else replica.position

    def trading_time_ns(self, shard: int) -> int:
        """See `api.stream.interface.Hub`."""
        replica = self._replicas[shard]
        return 0 if replica is None else replica.trading_time_ns

    def subscriber(self) -> MarketSubscriber:
        """See `api.stream.interface.Hub`."""
        return MarketSubscriber()

    def subscribe(
        self,
        subscriber: MarketSubscriber,
        instrument: InstrumentEntry,
        channel: str,
        since: int | None,
        account: int | None,
    ) -> None:
        """See `api.stream.interface.Hub`."""
        chain = self._chain(instrument, channel, account)
        if since is None:
            subscriber.begin(chain, FIRST, "")
            return
        at = chain.since(since)
        if at is not None:
            subscriber.begin(chain, at, "")
            return
        is_ahead = since > chain.book.replica.book_sequence(chain.book.number)
        subscriber.begin(chain, FIRST, RESYNC["ahead" if is_ahead else "too_old"])

    def unsubscribe(
        self,
        subscriber: MarketSubscriber,
        instrument: InstrumentEntry,
        channel: str,
        account: int | None,
    ) -> None:
        """See `api.stream.interface.Hub`."""
        subscriber.end(self._chain(instrument, channel, account))

    def leave(self, subscriber: MarketSubscriber) -> None:
        """See `api.stream.interface.Hub`."""
        subscriber.leave()

    def _chain(self, instrument: InstrumentEntry, channel: str, account: int | None) -> MarketChain:
        books = self._books[instrument.shard]
        book = books.get(instrument.number)
        if book is None:
            replica = self._replicas[instrument.shard]
            assert replica is not None
            book = books[instrument.number] = _Book(instrument.number, instrument.symbol, replica)
        if channel == EXECUTIONS:
            assert account is not None
            chain = book.private.get(account)
            if chain is None:
                chain = book.private[account] = MarketChain(book, channel, account)
            return chain
        found = book.chains.get(channel)
        if found is None:
            found = book.chains[channel] = MarketChain(book, channel, None)
        return found

    def sweep(self) -> None:
        """Forget the chains that nobody has read for `KEPT_S`."""
        before = time.monotonic() - KEPT_S
        for books in self._books:
            for number, book in list(books.items()):
                book.chains = _still_read(book.chains, before)
                book.private = _still_read(book.private, before)
                if not book.chains and not book.private:
                    del books[number]


def _still_read(chains: dict[K, MarketChain], before: float) -> dict[K, MarketChain]:
    kept: dict[K, MarketChain] = {}
    for key, chain in chains.items():
        if chain.readers or chain.left_at > before:
            kept[key] = chain
        else:
            chain.clear()
    return kept
