"""ITCH 5.0 decoded strictly: each type from bytes made by the specification, and what is
refused."""

from __future__ import annotations

import random

import pytest
from itch.messages import messages as itchfeed_messages

from crossbook_client.feed import (
    AddOrder,
    HiddenTrade,
    OrderDeleted,
    OrderExecuted,
    OrderExecutedWithPrice,
    OrderReduced,
    OrderReplaced,
    OtherMessage,
    StockDirectory,
    SystemEvent,
    TradingAction,
    UndecodableError,
    decode,
)
from crossbook_client.feed.itch import DAY_NS, SIZES, decode_block
from tests.feed import standards as itch

ADDED = itch.add_order(7, 5, 2**63, "B", 300, "BRK/A", 4_294_967_295)
DECODED = [
    (itch.system_event(0, "O"), SystemEvent(0, 0, "O")),
    (itch.stock_directory(7, 1, "AAPL", 100), StockDirectory(7, 1, "AAPL", 100)),
    (itch.trading_action(7, 2, "AAPL", "H"), TradingAction(7, 2, "AAPL", "H", "")),
    (ADDED, AddOrder(7, 5, 2**63, "B", 300, "BRK/A", 4_294_967_295)),
    (itch.executed(7, DAY_NS - 1, 9, 3, 4), OrderExecuted(7, DAY_NS - 1, 9, 3, 4)),
    (
        itch.executed_with_price(7, 6, 9, 3, 4, "N", 10),
        OrderExecutedWithPrice(7, 6, 9, 3, 4, False, 10),
    ),
    (itch.reduced(7, 6, 9, 3), OrderReduced(7, 6, 9, 3)),
    (itch.deleted(7, 6, 9), OrderDeleted(7, 6, 9)),
    (itch.replaced(7, 6, 9, 10, 3, 11), OrderReplaced(7, 6, 9, 10, 3, 11)),
    (itch.hidden_trade(7, 6, 3, "AAPL", 11, 12), HiddenTrade(7, 6, "B", 3, "AAPL", 11, 12)),
]


@pytest.mark.parametrize(("body", "message"), DECODED, ids=lambda each: str(each)[:12])
def test_decodes_what_the_specification_encodes(body: bytes, message: object) -> None:
    assert decode(body) == message


def test_an_add_with_attribution_is_an_add() -> None:
    assert decode(b"F" + ADDED[1:] + b"MPID") == decode(ADDED)


def test_sizes_are_those_that_another_parser_has() -> None:
    theirs = {kind.decode(): each.message_size for kind, each in itchfeed_messages.items()}
    assert {kind: SIZES[kind] for kind in theirs} == theirs


@pytest.mark.parametrize("kind", sorted(set(SIZES) - set("SRHAFECXDUPQ")))
def test_types_that_change_no_book_are_kept_as_they_are(kind: str) -> None:
    body = kind.encode() + bytes(10) + b" " * (SIZES[kind] - 11)
    assert decode(body) == OtherMessage(0, 0, kind, body)


@pytest.mark.parametrize("body", [body for body, _ in DECODED], ids=lambda each: chr(each[0]))
def test_no_other_length_is_taken(body: bytes) -> None:
    for wrong in (*(body[:length] for length in range(len(body))), body + b"\0"):
        with pytest.raises(UndecodableError):
            decode(wrong)


def _with(body: bytes, at: int, value: bytes) -> bytes:
    return body[:at] + value + body[at + len(value) :]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (_with(ADDED, 0, b"Z"), "an unknown type"),
        (_with(ADDED, 0, b"\xff"), "an unknown type"),
        (_with(ADDED, 1, b"\0\0"), "no instrument"),
        (_with(ADDED, 5, DAY_NS.to_bytes(6, "big")), "a time past midnight"),
        (_with(ADDED, 19, b"b"), "a side in lower case"),
        (_with(ADDED, 20, bytes(4)), "no quantity"),
        (_with(ADDED, 24, b"AA\0L    "), "a symbol with a zero in it"),
        (_with(ADDED, 24, b" AAPL   "), "a symbol that begins with a space"),
        (_with(ADDED, 24, b"AA PL   "), "a symbol with a space in it"),
        (_with(ADDED, 24, b"        "), "no symbol"),
        (_with(ADDED, 24, b"AAPL\xe9   "), "a symbol beyond ASCII"),
        (_with(ADDED, 32, bytes(4)), "no price"),
        (itch.system_event(0, "Z"), "an unknown event"),
        (itch.trading_action(7, 2, "AAPL", "X"), "an unknown state"),
        (itch.executed(7, 1, 9, 0, 4), "nothing executed"),
        (itch.executed_with_price(7, 6, 9, 3, 4, "y", 10), "neither printable nor not"),
        (itch.reduced(7, 6, 9, 0), "nothing cancelled"),
        (itch.replaced(7, 6, 9, 10, 0, 11), "replaced by nothing"),
        (itch.stock_directory(7, 1, "AAPL", 0), "a round lot of 0"),
    ],
    ids=lambda each: each if isinstance(each, str) else chr(each[0]),
)
def test_a_field_out_of_its_range_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(UndecodableError):
        decode(body)


def test_a_block_is_taken_as_a_whole_or_not_at_all() -> None:
    bodies = [body for body, _ in DECODED]
    block = itch.framed(bodies)
    assert decode_block(block, 0, len(bodies)) == [message for _, message in DECODED]
    for wrong, count in ((block, len(bodies) - 1), (block, len(bodies) + 1), (block[:-1], 10)):
        with pytest.raises(UndecodableError):
            decode_block(wrong, 0, count)


def test_random_bytes_raise_nothing_else() -> None:
    dice = random.Random(5)
    letters = "".join(SIZES).encode()
    refused = 0
    for _ in range(20_000):
        kind = dice.choice(letters)
        body = bytes([kind]) + dice.randbytes(SIZES[chr(kind)] - 1)
        try:
            decode(body)
        except UndecodableError:
            refused += 1
    assert refused > 15_000
