"""An exchange's whole state as bytes, and back: a restored engine answers every later batch with
the same bytes.

The state is written in one canonical order (numbers ascending, queues in priority order), so that
equal states give equal bytes whatever way led to them; `state_hash` is SHA-256 over it. The client
order ids follow it, as they are kept, and take part in the hash by an order-free sum for each
instrument.

Little-endian words: magic and version, shard, position, trading time, match number, salt; sessions;
permanent sessions; accounts; instruments, each with its resting orders, bids then asks, best first,
oldest first."""

from __future__ import annotations

import hashlib
import sys
from typing import Final, final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from librt.vecs import append, vec
from mypy_extensions import i64

from domain.book import Books, next_level
from domain.client_ids import WORDS
from domain.exchange import Exchange, Session
from domain.rows import (
    BEST_BID,
    CLIENT_IDS,
    CLIENT_IDS_SUM,
    EXECUTED,
    HEAD,
    INSTRUMENT_ROW,
    KNOWN,
    LEAVES,
    LEVEL,
    NEXT,
    NIL,
    OPEN_ORDERS_MAX,
    PRICE_ACCOUNT,
    ROW,
    SEQUENCE,
    TRADING_DAY,
)
from domain.tables import LOW

SNAPSHOT_MAGIC: Final = 0x0000000231534258  # "XBS1", version 2
# Magic, length of the state, SHA-256 of it, SHA-256 of the SHA-256s of the client order ids' chunks
HEAD_BYTES: Final = 80
CHUNK_BYTES: Final = 1_000_000  # of the state; a chunk of client order ids has 1 MiB at most
SCALARS: Final = 9  # words of an instrument's row that are state in themselves


class SnapshotError(ValueError):
    """Bytes that are no snapshot of this release."""


def state_hash(exchange: Exchange) -> bytes:
    """SHA-256 of the state: equal for two engines exactly when every later batch would be answered
    alike.
    """
    return hashlib.sha256(_write_state(exchange)).digest()


@final
class FrozenState:
    """An exchange's state at one moment; the exchange may go on. Only the small part is copied."""

    def __init__(self, exchange: Exchange) -> None:
        self.state = _write_state(exchange)
        self.segments = exchange.books.client_ids.segments()

    def chunks(self) -> list[bytes]:
        """The snapshot, as of `snapshot`. May be called from another thread."""
        client_ids = [_segment_bytes(*each) for each in self.segments]
        digests = hashlib.sha256()
        for chunk in client_ids:
            digests.update(hashlib.sha256(chunk).digest())
        head = BytesWriter()
        write_i64_le(head, SNAPSHOT_MAGIC)
        write_i64_le(head, len(self.state))
        head.write(hashlib.sha256(self.state).digest())
        head.write(digests.digest())
        first = head.getvalue() + self.state
        return [
            first[at : at + CHUNK_BYTES] for at in range(0, len(first), CHUNK_BYTES)
        ] + client_ids


def snapshot(exchange: Exchange) -> list[bytes]:
    """The state as chunks of about 1 MB at most, to be kept in order.

    Full chunks of client order ids, oldest first, are the same in every later snapshot of the day.
    """
    return FrozenState(exchange).chunks()


def restore(chunks: list[bytes]) -> Exchange:
    """The engine that `snapshot` saw. Raises SnapshotError on anything else."""
    if not chunks or len(chunks[0]) < HEAD_BYTES or read_i64_le(chunks[0], 0) != SNAPSHOT_MAGIC:
        raise SnapshotError("not a snapshot of this release")
    head = chunks[0][:HEAD_BYTES]
    length = read_i64_le(head, 8)
    count = (HEAD_BYTES + length + CHUNK_BYTES - 1) // CHUNK_BYTES
    state = b"".join(chunks[:count])[HEAD_BYTES:]
    if length < 0 or len(state) != length:
        raise SnapshotError("the snapshot is cut off")
    if hashlib.sha256(state).digest() != head[16:48]:
        raise SnapshotError("the snapshot is damaged")
    client_ids = chunks[count:]
    digests = hashlib.sha256()
    for chunk in client_ids:
        digests.update(hashlib.sha256(chunk).digest())
    if digests.digest() != head[48:HEAD_BYTES]:
        raise SnapshotError("the snapshot's client order ids are damaged")
    exchange = _read_state(state)
    _read_client_ids(exchange.books, client_ids)
    if _write_state(exchange) != state:
        raise SnapshotError("the snapshot does not give the state that it was taken of")
    return exchange


def _write_state(exchange: Exchange) -> bytes:
    out = BytesWriter()
    books = exchange.books
    write_i64_le(out, exchange.shard)
    write_i64_le(out, exchange.position)
    write_i64_le(out, exchange.trading_time_ns)
    write_i64_le(out, books.match_number)
    out.write(exchange.salt)
    write_i64_le(out, len(exchange.sessions))
    for key, session in exchange.sessions.items():
        out.write(key)
        write_i64_le(out, session.batch_number)
        write_i64_le(out, session.heard_ns)
    write_i64_le(out, len(exchange.permanent))
    for key in sorted(exchange.permanent):
        out.write(key)
        write_i64_le(out, exchange.permanent[key])
    _write_accounts(out, books)
    numbers = exchange.instruments()
    write_i64_le(out, len(numbers))
    for number in numbers:
        _write_instrument(out, books, number)
    return out.getvalue()


def _write_accounts(out: BytesWriter, books: Books) -> None:
    known: list[int] = []
    for account in range(len(books.accounts) // ROW):
        if books.accounts[account * ROW + KNOWN] != 0:
            known.append(account)
    write_i64_le(out, len(known))
    for account in known:
        write_i64_le(out, account)
        write_i64_le(out, books.accounts[account * ROW + KNOWN])
        write_i64_le(out, books.accounts[account * ROW + OPEN_ORDERS_MAX])


def _write_instrument(out: BytesWriter, books: Books, instrument: i64) -> None:
    book = instrument * INSTRUMENT_ROW
    write_i64_le(out, instrument)
    for word in range(SCALARS):
        if word != BEST_BID and word != BEST_BID + 1:
            write_i64_le(out, books.instruments[book + word])
    write_i64_le(out, books.instruments[book + TRADING_DAY])
    write_i64_le(out, books.instruments[book + CLIENT_IDS])
    write_i64_le(out, books.instruments[book + CLIENT_IDS_SUM])
    for side in range(2):
        rows: list[int] = []
        level = books.instruments[book + BEST_BID + side]
        while level != NIL:
            row = books.levels[level + HEAD]
            while row != NIL:
                rows.append(row)
                row = books.orders[row + NEXT]
            level = next_level(books.levels, level)
        write_i64_le(out, len(rows))
        for row in rows:
            write_i64_le(out, books.orders[row])
            write_i64_le(out, books.orders[row + PRICE_ACCOUNT])
            write_i64_le(out, books.orders[row + LEAVES])
            write_i64_le(
                out, books.orders[row + EXECUTED] | (books.orders[row + LEVEL] >> 32) << 32
            )


def _segment_bytes(chunk: vec[i64], first: int, end: int) -> bytes:
    if sys.byteorder == "little":
        return bytes(memoryview(chunk)[first * WORDS : end * WORDS])
    out = BytesWriter()
    for word in range(first * WORDS, end * WORDS):
        write_i64_le(out, chunk[word])
    return out.getvalue()


def _segment_of(data: bytes) -> vec[i64]:
    if sys.byteorder == "little":
        return vec[i64](memoryview(data).cast("q"))
    words = vec[i64](capacity=len(data) // 8)
    for at in range(0, len(data), 8):
        words = append(words, read_i64_le(data, at))
    return words


def _read_state(data: bytes) -> Exchange:
    exchange = Exchange(read_i64_le(data, 0))
    exchange.position = read_i64_le(data, 8)
    exchange.trading_time_ns = read_i64_le(data, 16)
    exchange.salt = data[32:48]
    exchange.books = Books(exchange.salt)
    exchange.books.match_number = read_i64_le(data, 24)
    count = read_i64_le(data, 48)
    at: i64 = 56
    for _ in range(count):
        session = Session(read_i64_le(data, at + 16), read_i64_le(data, at + 24))
        exchange.sessions[data[at : at + 16]] = session
        at += 32
    count = read_i64_le(data, at)
    at += 8
    for _ in range(count):
        exchange.permanent[data[at : at + 16]] = read_i64_le(data, at + 16)
        at += 24
    count = read_i64_le(data, at)
    at += 8
    for _ in range(count):
        account = read_i64_le(data, at)
        exchange.add_account(account)
        exchange.books.accounts[account * ROW + KNOWN] = read_i64_le(data, at + 8)
        exchange.books.accounts[account * ROW + OPEN_ORDERS_MAX] = read_i64_le(data, at + 16)
        at += 24
    _read_instruments(exchange, data, at)
    return exchange


def _read_instruments(exchange: Exchange, data: bytes, at: i64) -> None:
    books = exchange.books
    resting: list[tuple[int, int]] = []
    count = read_i64_le(data, at)
    at += 8
    for _ in range(count):
        instrument = read_i64_le(data, at)
        exchange.add_instrument(instrument)
        book = instrument * INSTRUMENT_ROW
        at += 8
        for word in range(SCALARS):
            if word != BEST_BID and word != BEST_BID + 1:
                books.instruments[book + word] = read_i64_le(data, at)
                at += 8
        books.instruments[book + TRADING_DAY] = read_i64_le(data, at)
        at += 24
        for side in range(2):
            orders = read_i64_le(data, at)
            at += 8
            for _each in range(orders):
                resting.append((at, instrument * 2 + side))
                at += 32
    _rest_all(books, data, resting)


def _rest_all(books: Books, data: bytes, resting: list[tuple[int, int]]) -> None:
    """Put the orders back in priority order, each at the end of its queue; then, oldest first, on
    their accounts' lists.
    """
    sequences = [
        books.instruments[i] for i in range(SEQUENCE, len(books.instruments), INSTRUMENT_ROW)
    ]
    order_ids: list[int] = []
    for place, side_id in resting:
        order_id = read_i64_le(data, place)
        terms = read_i64_le(data, place + 8)
        leaves, rest = read_i64_le(data, place + 16), read_i64_le(data, place + 24)
        books.reserve()
        books.place(
            books.orders, books.levels, order_id, side_id, terms, leaves, rest & LOW, rest >> 32
        )
        order_ids.append(order_id)
    order_ids.sort()
    orders = books.orders
    for order_id in order_ids:
        row = books.find(orders, order_id)
        books.join_account(orders, row, orders[row + PRICE_ACCOUNT] >> 32)
    books.out = BytesWriter()
    books.flush_levels()
    books.out = BytesWriter()
    books.event_count = 0
    for number in range(len(sequences)):
        books.instruments[number * INSTRUMENT_ROW + SEQUENCE] = sequences[number]


def _read_client_ids(books: Books, chunks: list[bytes]) -> None:
    books.client_ids.expect(sum(map(len, chunks)) // (8 * WORDS))
    for chunk in chunks:
        if len(chunk) % (8 * WORDS) != 0:
            raise SnapshotError("the snapshot's client order ids are cut off")
        if not books.client_ids.adopt(_segment_of(chunk), books.instruments):
            raise SnapshotError("a client order id is of no instrument that is listed")
