"""An exchange's whole state as bytes, and back: a restored engine answers every later batch with
the same bytes.

The state is written in one canonical order (numbers ascending, queues in priority order), so that
equal states give equal bytes whatever way led to them; `state_hash` is SHA-256 over it. The client
order ids follow it, oldest first, and take part in the hash by an order-free sum for each
instrument.

Little-endian words: magic and version, shard, position, trading time, match number, salt; sessions;
permanent sessions; accounts; instruments, each with its resting orders, bids then asks, best first,
oldest first."""

from __future__ import annotations

import hashlib
import sys
from typing import Final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from domain.book import (
    BEST_BID,
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
    Books,
)
from domain.client_ids import ClientIds
from domain.exchange import Exchange, Session
from domain.tables import LOW

SNAPSHOT_MAGIC: Final = 0x0000000131534258  # "XBS1", version 1
HEAD_BYTES: Final = 80  # magic, length of the state, SHA-256 of it, SHA-256 of the client order ids
CHUNK_BYTES: Final = 1_000_000
SCALARS: Final = 9  # words of an instrument's row that are state in themselves


class SnapshotError(ValueError):
    """Bytes that are no snapshot of this release."""


def state_hash(exchange: Exchange) -> bytes:
    """SHA-256 of the state: equal for two engines exactly when every later batch would be answered
    alike.
    """
    return hashlib.sha256(_write_state(exchange)).digest()


def snapshot(exchange: Exchange) -> list[bytes]:
    """The state as chunks of at most 1 MB, to be kept in order.

    Full chunks of client order ids, oldest first, are the same in every later snapshot of the day.
    """
    state = _write_state(exchange)
    client_ids = _write_client_ids(exchange.books.client_ids)
    head = BytesWriter()
    write_i64_le(head, SNAPSHOT_MAGIC)
    write_i64_le(head, len(state))
    head.write(hashlib.sha256(state).digest())
    head.write(hashlib.sha256(client_ids).digest())
    chunks: list[bytes] = []
    for part in (head.getvalue() + state, client_ids):
        chunks.extend(part[at : at + CHUNK_BYTES] for at in range(0, len(part), CHUNK_BYTES))
    return chunks


def restore(chunks: list[bytes]) -> Exchange:
    """The engine that `snapshot` saw. Raises SnapshotError on anything else."""
    data = b"".join(chunks)
    if len(data) < HEAD_BYTES or len(data) % 8 != 0 or read_i64_le(data, 0) != SNAPSHOT_MAGIC:
        raise SnapshotError("not a snapshot of this release")
    end = HEAD_BYTES + read_i64_le(data, 8)
    if not HEAD_BYTES <= end <= len(data):
        raise SnapshotError("the snapshot is cut off")
    state = data[HEAD_BYTES:end]
    if hashlib.sha256(state).digest() != data[16:48]:
        raise SnapshotError("the snapshot is damaged")
    if hashlib.sha256(memoryview(data)[end:]).digest() != data[48:HEAD_BYTES]:
        raise SnapshotError("the snapshot's client order ids are damaged")
    exchange = _read_state(state)
    _read_client_ids(exchange.books.client_ids, data, end)
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
    ids = books.client_ids
    write_i64_le(out, ids.days[instrument])
    write_i64_le(out, ids.counts[instrument])
    write_i64_le(out, ids.sums[instrument])
    for side in range(2):
        rows: list[int] = []
        level = books.instruments[book + BEST_BID + side]
        while level != NIL:
            row = books.levels[level + HEAD]
            while row != NIL:
                rows.append(row)
                row = books.orders[row + NEXT]
            level = books.next_level(level)
        write_i64_le(out, len(rows))
        for row in rows:
            write_i64_le(out, books.orders[row])
            write_i64_le(out, books.orders[row + PRICE_ACCOUNT])
            write_i64_le(out, books.orders[row + LEAVES])
            write_i64_le(
                out, books.orders[row + EXECUTED] | (books.orders[row + LEVEL] >> 32) << 32
            )


def _write_client_ids(ids: ClientIds) -> bytes:
    if ids.used == ids.live * 4 and sys.byteorder == "little":
        return bytes(memoryview(ids.entries)[: ids.used])
    out = BytesWriter()
    entry: i64 = 0
    while entry < ids.used:
        if ids.is_of_today(entry):
            word: i64 = 0
            while word < 4:
                write_i64_le(out, ids.entries[entry + word])
                word += 1
        entry += 4
    return out.getvalue()


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
    resting: list[tuple[int, int, int]] = []
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
        books.client_ids.days[instrument] = read_i64_le(data, at)
        at += 24
        for side in range(2):
            orders = read_i64_le(data, at)
            at += 8
            for _each in range(orders):
                resting.append((read_i64_le(data, at), at, instrument * 2 + side))
                at += 32
    _rest_all(books, data, resting)


def _rest_all(books: Books, data: bytes, resting: list[tuple[int, int, int]]) -> None:
    """Put the orders back twice over: in id order for the accounts' lists, in priority order for
    the queues.
    """
    sequences = [
        books.instruments[i] for i in range(SEQUENCE, len(books.instruments), INSTRUMENT_ROW)
    ]
    for order_id, place, side_id in sorted(resting):
        terms = read_i64_le(data, place + 8)
        leaves, rest = read_i64_le(data, place + 16), read_i64_le(data, place + 24)
        price, account = terms & LOW, terms >> 32
        books.rest(order_id, side_id, price, account, leaves, rest & LOW, rest >> 32)
    for order_id, place, side_id in resting:
        row = books.find(order_id)
        books.dequeue(row)
        books.enqueue(row, side_id, read_i64_le(data, place + 8) & LOW)
    books.out = BytesWriter()
    books.flush_levels()
    books.out = BytesWriter()
    books.event_count = 0
    for number in range(len(sequences)):
        books.instruments[number * INSTRUMENT_ROW + SEQUENCE] = sequences[number]


def _read_client_ids(ids: ClientIds, data: bytes, at: i64) -> None:
    while at + 32 <= len(data):
        rest = read_i64_le(data, at + 24)
        instrument = rest & 0xFFFF
        if instrument >= len(ids.days) or ids.days[instrument] & 0x7FFF != (rest >> 16) & 0x7FFF:
            raise SnapshotError("the snapshot's client order ids are damaged")
        ids.first = read_i64_le(data, at)
        ids.second = read_i64_le(data, at + 8)
        ids.seek()
        ids.add(read_i64_le(data, at + 16), rest >> 32, instrument)
        at += 32
