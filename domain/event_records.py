"""Event records: how the engine writes each, and how every reader decodes it. The other half of
`domain.wire`.

All   word 0: type | words | command index u16 | a u8 | b u8 | c u8 | d u8 (below 128)
Words are drawn as `low u32 | high u32`; the public dataclasses are in `domain.events`.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from domain.events import (
    AccountUpdated,
    ClockTicked,
    Event,
    InstrumentListed,
    LevelChanged,
    MassCancelled,
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderExpired,
    OrderRejected,
    OrderRepeated,
    OrderReplaced,
    TradingStateChanged,
)
from domain.wire import EVENT_HEADER_BYTES, LOW, TruncatedError, UnknownRecordError

ORDER_ACCEPTED: Final = 1
ORDER_REJECTED: Final = 2
ORDER_EXECUTED: Final = 3
ORDER_CANCELLED: Final = 4
ORDER_REPLACED: Final = 5
ORDER_EXPIRED: Final = 6
LEVEL_CHANGED: Final = 7
TRADING_STATE_CHANGED: Final = 8
INSTRUMENT_LISTED: Final = 9
ACCOUNT_UPDATED: Final = 10
CLOCK_TICKED: Final = 11
ORDER_REPEATED: Final = 12
MASS_CANCELLED: Final = 13


def copy_words(out: BytesWriter, data: bytes, at: i64, words: i64) -> None:
    """Copy `words` whole words (a padded client order id)."""
    end = at + words * 8
    while at < end:
        write_i64_le(out, read_i64_le(data, at))
        at += 8


def write_accepted(
    out: BytesWriter, index: i64, parties: i64, order_id: i64, shape: i64, terms: i64, sequence: i64
) -> None:
    """Accepted. a side, b order type, c time in force, d client id length (all four are `shape`).

    word 1: account | instrument; 2: order id; 3: price | quantity; 4: book sequence; then the
    client order id."""
    words = 5 + (((shape >> 24) + 7) >> 3)
    write_i64_le(out, ORDER_ACCEPTED | (words << 8) | (index << 16) | (shape << 32))
    write_i64_le(out, parties)
    write_i64_le(out, order_id)
    write_i64_le(out, terms)
    write_i64_le(out, sequence)


def write_rejected(
    out: BytesWriter, index: i64, head: i64, parties: i64, order_id: i64, terms: i64
) -> None:
    """Rejected. a command type, b reason, c side + 4 × order type + 16 × time in force (values of 3
    at most, as sent), d client id length (all four are `head`).

    word 1: account | instrument; 2: order id; 3: price | quantity, as sent; then the client order
    id."""
    words = 4 + (((head >> 24) + 7) >> 3)
    write_i64_le(out, ORDER_REJECTED | (words << 8) | (index << 16) | (head << 32))
    write_i64_le(out, parties)
    write_i64_le(out, order_id)
    write_i64_le(out, terms)


def write_executed(
    out: BytesWriter,
    head: i64,
    aggressor_id: i64,
    aggressor: i64,
    resting_id: i64,
    resting: i64,
    terms: i64,
    match_number: i64,
    sequence: i64,
    instrument: i64,
) -> None:
    """Executed. a aggressor's side (`head` is index + (side << 16)).

    word 1: aggressor's account | leaves; 2: its order id; 3: resting account | leaves; 4: its order
    id; 5: price | quantity; 6: match number; 7: book sequence; 8: instrument."""
    write_i64_le(out, ORDER_EXECUTED | (9 << 8) | (head << 16))
    write_i64_le(out, aggressor)
    write_i64_le(out, aggressor_id)
    write_i64_le(out, resting)
    write_i64_le(out, resting_id)
    write_i64_le(out, terms)
    write_i64_le(out, match_number)
    write_i64_le(out, sequence)
    write_i64_le(out, instrument)


def write_cancelled(
    out: BytesWriter,
    kind: i64,
    index: i64,
    shape: i64,
    parties: i64,
    order_id: i64,
    terms: i64,
    sequence: i64,
) -> None:
    """Cancelled or expired (`kind`). a side, b reason (both are `shape`).

    word 1: account | instrument; 2: order id; 3: price | quantity taken off; 4: book sequence.
    """
    write_i64_le(out, kind | (5 << 8) | (index << 16) | (shape << 32))
    write_i64_le(out, parties)
    write_i64_le(out, order_id)
    write_i64_le(out, terms)
    write_i64_le(out, sequence)


def write_replaced(
    out: BytesWriter,
    head: i64,
    parties: i64,
    order_id: i64,
    terms: i64,
    previous: i64,
    executed: i64,
    sequence: i64,
) -> None:
    """Replaced. a side, b 1 where priority was kept (`head` is index + (a << 16) + (b << 24)).

    word 1: account | instrument; 2: order id; 3: price | open quantity; 4: the same before; 5:
    executed so far; 6: book sequence."""
    write_i64_le(out, ORDER_REPLACED | (7 << 8) | (head << 16))
    write_i64_le(out, parties)
    write_i64_le(out, order_id)
    write_i64_le(out, terms)
    write_i64_le(out, previous)
    write_i64_le(out, executed)
    write_i64_le(out, sequence)


def write_level(
    out: BytesWriter, head: i64, place: i64, price: i64, total: i64, sequence: i64
) -> None:
    """Level changed. a side (`head` is index + (side << 16)).

    word 1: order count | instrument (`place`); 2: price; 3: quantity; 4: book sequence.
    """
    write_i64_le(out, LEVEL_CHANGED | (5 << 8) | (head << 16))
    write_i64_le(out, place)
    write_i64_le(out, price)
    write_i64_le(out, total)
    write_i64_le(out, sequence)


def write_state_changed(
    out: BytesWriter, index: i64, states: i64, instrument: i64, sequence: i64
) -> None:
    """Trading state changed. a state, b previous state. word 1: 0 | instrument; 2: book
    sequence.
    """
    write_i64_le(out, TRADING_STATE_CHANGED | (3 << 8) | (index << 16) | (states << 32))
    write_i64_le(out, instrument << 32)
    write_i64_le(out, sequence)


def write_listed(
    out: BytesWriter,
    head: i64,
    instrument: i64,
    sizes: i64,
    collar: i64,
    symbol: i64,
    sequence: i64,
) -> None:
    """Instrument listed. a state (`head` is index + (state << 16)).

    word 1: 0 | instrument; 2: tick | lot; 3: collar; 4: symbol, 8 bytes; 5: book sequence.
    """
    write_i64_le(out, INSTRUMENT_LISTED | (6 << 8) | (head << 16))
    write_i64_le(out, instrument << 32)
    write_i64_le(out, sizes)
    write_i64_le(out, collar)
    write_i64_le(out, symbol)
    write_i64_le(out, sequence)


def write_simple(out: BytesWriter, kind: i64, index: i64, a: i64, first: i64, second: i64) -> None:
    """Account updated (a killed; account, open orders max), clock ticked (time ns, 0), order
    repeated (account | instrument, order id) and mass cancelled (a side; account | instrument,
    count): word 1, word 2.
    """
    write_i64_le(out, kind | (3 << 8) | (index << 16) | (a << 32))
    write_i64_le(out, first)
    write_i64_le(out, second)


def words_of_event(word: i64) -> i64:
    """Length in words that the record with this first word must have; 0 for an unknown type."""
    kind = word & 0xFF
    if kind == ORDER_ACCEPTED or kind == ORDER_REJECTED:
        return (5 if kind == ORDER_ACCEPTED else 4) + ((((word >> 56) & 0xFF) + 7) >> 3)
    if kind == ORDER_EXECUTED:
        return 9
    if kind == ORDER_REPLACED:
        return 7
    if kind == INSTRUMENT_LISTED:
        return 6
    if kind == ORDER_CANCELLED or kind == ORDER_EXPIRED or kind == LEVEL_CHANGED:
        return 5
    return 3 if TRADING_STATE_CHANGED <= kind <= MASS_CANCELLED else 0


def decode_events(record: bytes) -> list[Event]:
    """Decode the events of one whole EventBatch (or of one part).

    Raises UnknownRecordError on a type not of ours, TruncatedError on a record that is not whole.
    """
    at: i64 = EVENT_HEADER_BYTES
    size: i64 = len(record)
    events: list[Event] = []
    while at < size:
        if size - at < 8:
            raise TruncatedError(f"{size - at} bytes at {at} are no event")
        word = read_i64_le(record, at)
        words = words_of_event(word)
        if words == 0:
            raise UnknownRecordError(f"event type {word & 0xFF} at {at}")
        if (word >> 8) & 0xFF != words or size - at < words * 8:
            raise TruncatedError(f"event of type {word & 0xFF} at {at} has the wrong length")
        events.append(decode_event(record, at))
        at += words * 8
    return events


def decode_event(data: bytes, at: i64) -> Event:
    """Decode the event record at byte `at`."""
    word = read_i64_le(data, at)
    kind = word & 0xFF
    if kind == LEVEL_CHANGED:
        place = read_i64_le(data, at + 8)
        return LevelChanged(
            (word >> 16) & 0xFFFF,
            (place >> 32) & LOW,
            (word >> 32) & 0xFF,
            read_i64_le(data, at + 16),
            read_i64_le(data, at + 24),
            place & LOW,
            read_i64_le(data, at + 32),
        )
    if kind == ORDER_EXECUTED:
        return _decode_executed(data, at)
    if kind <= ORDER_EXPIRED:
        return _decode_order_event(data, at, kind)
    return _decode_other(data, at, kind)


def _decode_executed(data: bytes, at: i64) -> OrderExecuted:
    word = read_i64_le(data, at)
    aggressor = read_i64_le(data, at + 8)
    resting = read_i64_le(data, at + 24)
    terms = read_i64_le(data, at + 40)
    return OrderExecuted(
        (word >> 16) & 0xFFFF,
        read_i64_le(data, at + 64),
        (word >> 32) & 0xFF,
        read_i64_le(data, at + 16),
        aggressor & LOW,
        (aggressor >> 32) & LOW,
        read_i64_le(data, at + 32),
        resting & LOW,
        (resting >> 32) & LOW,
        terms & LOW,
        (terms >> 32) & LOW,
        read_i64_le(data, at + 48),
        read_i64_le(data, at + 56),
    )


def _decode_order_event(data: bytes, at: i64, kind: i64) -> Event:
    word = read_i64_le(data, at)
    index = (word >> 16) & 0xFFFF
    a, b, c, d = (word >> 32) & 0xFF, (word >> 40) & 0xFF, (word >> 48) & 0xFF, (word >> 56) & 0xFF
    parties = read_i64_le(data, at + 8)
    account, instrument = parties & LOW, (parties >> 32) & LOW
    order_id = read_i64_le(data, at + 16)
    terms = read_i64_le(data, at + 24)
    price, quantity = terms & LOW, (terms >> 32) & LOW
    if kind == ORDER_ACCEPTED:
        client = data[at + 40 : at + 40 + d]
        sequence = read_i64_le(data, at + 32)
        return OrderAccepted(
            index, account, instrument, order_id, a, b, c, price, quantity, sequence, client
        )
    if kind == ORDER_REJECTED:
        client = data[at + 32 : at + 32 + d]
        side, order_type, tif = c & 3, (c >> 2) & 3, (c >> 4) & 3
        return OrderRejected(
            index,
            a,
            b,
            account,
            instrument,
            order_id,
            side,
            order_type,
            tif,
            price,
            quantity,
            client,
        )
    sequence = read_i64_le(data, at + 32)
    if kind == ORDER_CANCELLED:
        return OrderCancelled(index, account, instrument, order_id, a, b, price, quantity, sequence)
    if kind == ORDER_EXPIRED:
        return OrderExpired(index, account, instrument, order_id, a, b, price, quantity, sequence)
    if kind != ORDER_REPLACED:
        raise UnknownRecordError(f"event type {kind}")
    previous = sequence
    return OrderReplaced(
        index,
        account,
        instrument,
        order_id,
        a,
        b != 0,
        price,
        quantity,
        previous & LOW,
        (previous >> 32) & LOW,
        read_i64_le(data, at + 40),
        read_i64_le(data, at + 48),
    )


def _decode_other(data: bytes, at: i64, kind: i64) -> Event:
    word = read_i64_le(data, at)
    index, a = (word >> 16) & 0xFFFF, (word >> 32) & 0xFF
    first = read_i64_le(data, at + 8)
    second = read_i64_le(data, at + 16)
    low, high = first & LOW, (first >> 32) & LOW
    if kind == TRADING_STATE_CHANGED:
        return TradingStateChanged(index, high, a, (word >> 40) & 0xFF, second)
    if kind == INSTRUMENT_LISTED:
        symbol = data[at + 32 : at + 40].rstrip(b"\x00")
        collar = read_i64_le(data, at + 24)
        sequence = read_i64_le(data, at + 40)
        return InstrumentListed(
            index, high, symbol, second & LOW, (second >> 32) & LOW, collar, a, sequence
        )
    if kind == ACCOUNT_UPDATED:
        return AccountUpdated(index, low, second, a != 0)
    if kind == CLOCK_TICKED:
        return ClockTicked(index, first)
    if kind == ORDER_REPEATED:
        return OrderRepeated(index, low, high, second)
    if kind == MASS_CANCELLED:
        return MassCancelled(index, low, high, a, second)
    raise UnknownRecordError(f"event type {kind}")
