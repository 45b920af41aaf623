"""Files that can be played: what their messages become, and what is left out."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

import pytest

from cli.play_books import DeltaBook, LevelBook, PriceTimeBook, distinct
from cli.play_commands import (
    BUY,
    CANCEL,
    REPLACE,
    SELL,
    SUBMIT,
    PlayCommand,
    UnreadableFileError,
    client_order_id,
    price_string,
    price_ticks_of,
)
from cli.play_lobster import LobsterFile, read_states, time_ns_of
from cli.play_tape import HEADER, RECORD, TapeFile

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def lobster(tmp_path: Path, text: str) -> LobsterFile:
    path = tmp_path / "message.csv"
    path.write_text(text)
    return LobsterFile(path)


def test_each_lobster_type_becomes_the_command_that_must_have_caused_it(tmp_path: Path) -> None:
    played = lobster(
        tmp_path,
        "34200.000000001,1,7,100,5853300,1\n"
        "34200.5,2,7,30,5853300,1\n"
        "34201,4,7,50,5853300,1\n"
        "34202,3,7,20,5853300,1\n",
    )
    assert list(played.commands()) == [
        PlayCommand(SUBMIT, "7", 34_200_000_000_001, BUY, 5853300, 100),
        PlayCommand(REPLACE, "7", 34_200_500_000_000, quantity=70),
        PlayCommand(SUBMIT, "x3", 34_201_000_000_000, SELL, 5853300, 50, immediate=True),
        PlayCommand(CANCEL, "7", 34_202_000_000_000),
    ]


def test_partial_cancels_leave_the_original_total_less_all_that_was_cancelled(
    tmp_path: Path,
) -> None:
    played = lobster(
        tmp_path, "1,1,7,100,100,-1\n2,2,7,30,100,-1\n3,4,7,10,100,-1\n4,2,7,5,100,-1\n"
    )
    totals = [command.quantity for command in played.commands() if command.op == REPLACE]
    assert totals == [70, 65]


def test_a_partial_cancel_of_everything_is_a_cancel(tmp_path: Path) -> None:
    played = lobster(tmp_path, "1,1,7,100,100,-1\n2,2,7,100,100,-1\n3,3,7,0,100,-1\n")
    assert [command.op for command in played.commands()] == [SUBMIT, CANCEL]


def test_what_cannot_be_traded_is_counted_by_reason(tmp_path: Path) -> None:
    played = lobster(
        tmp_path,
        "1,3,1,100,100,1\n2,4,2,10,100,1\n3,2,3,10,100,1\n4,5,0,10,100,1\n5,7,0,0,-1,1\n6,6,0,1,1,1\n"
        "7,9,0,1,1,1\n",
    )
    assert list(played.commands()) == []
    assert played.message_count == 7
    assert dict(played.skipped.reasons) == {
        "delete of an order from before the file": 1,
        "execution of an order from before the file": 1,
        "partial cancel of an order from before the file": 1,
        "execution of a hidden order": 1,
        "trading halt or resumption": 1,
        "cross trade of an auction": 1,
        "message of unknown type 9": 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,7,100\n", "line 1"),
        ("1,1,7,100,100,1\nnot,a,row,at,all,!\n", "line 2"),
        ("1.x,1,7,100,100,1\n", "line 1"),
    ],
)
def test_a_row_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UnreadableFileError, match=message):
        list(lobster(tmp_path, text).commands())


def test_a_damaged_archive_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "message.csv.xz"
    path.write_bytes(lzma.compress(b"1,1,7,100,100,1\n" * 100)[:-20])
    with pytest.raises(UnreadableFileError):
        list(LobsterFile(path).commands())


def test_an_orderbook_file_gives_distinct_states_with_empty_sides_as_zero(tmp_path: Path) -> None:
    path = tmp_path / "orderbook.csv"
    path.write_text(
        "5859400,200,-9999999999,0\n5859400,200,-9999999999,0\n"
        "5859400,200,5853300,18,5859500,1,5853200,1\n9999999999,0,5853300,18\n"
    )
    assert read_states(path) == [
        (5859400, 200, 0, 0),
        (5859400, 200, 5853300, 18),
        (0, 0, 5853300, 18),
    ]


def test_the_plain_book_takes_executions_at_their_word(tmp_path: Path) -> None:
    # Order 8 is executed though 7 is older: a price-time engine would not, the file's book must.
    played = lobster(
        tmp_path, "1,1,7,10,100,1\n2,1,8,20,100,1\n3,4,8,20,100,1\n4,1,9,5,200,-1\n5,3,7,10,100,1\n"
    )
    assert played.reference_states() == [
        (0, 0, 100, 10),
        (0, 0, 100, 30),
        (0, 0, 100, 10),
        (200, 5, 100, 10),
        (200, 5, 0, 0),
    ]


def test_seconds_become_nanoseconds_without_rounding() -> None:
    assert time_ns_of("34200.004241176") == 34_200_004_241_176
    assert time_ns_of("34200") == 34_200_000_000_000


def tape(tmp_path: Path, *records: tuple[int, int, int, int, int, int]) -> TapeFile:
    """Records of (type, side, ioc, quantity, tape id, price in half cents)."""
    path = tmp_path / "tape.bin"
    rows = [
        RECORD.pack(kind, side, ioc, quantity, number, order, price, 0)
        for number, (kind, side, ioc, quantity, order, price) in enumerate(records)
    ]
    path.write_bytes(HEADER.pack(1, 1, len(rows)) + b"".join(rows))
    return TapeFile(path)


def test_a_tapes_modify_is_a_cancel_and_a_new_order(tmp_path: Path) -> None:
    played = tape(tmp_path, (0, 1, 0, 10, 5, 200), (2, 1, 0, 8, 5, 199), (1, 1, 0, 8, 5, 199))
    assert [(c.op, c.order_key, c.price_ticks, c.quantity) for c in played.commands()] == [
        (SUBMIT, "1", 10_000, 10),
        (CANCEL, "1", 0, 0),
        (SUBMIT, "2", 9_950, 8),
        (CANCEL, "2", 0, 0),
    ]
    assert played.reference_states() == [
        (10_000, 10, 0, 0),
        (0, 0, 0, 0),
        (9_950, 8, 0, 0),
        (0, 0, 0, 0),
    ]


def test_a_tapes_modify_of_a_filled_order_makes_no_new_one(tmp_path: Path) -> None:
    played = tape(tmp_path, (0, 1, 0, 10, 5, 200), (0, 0, 1, 10, 6, 200), (2, 1, 0, 8, 5, 199))
    assert [c.op for c in played.commands()] == [SUBMIT, SUBMIT, CANCEL]


def test_a_tapes_reused_id_names_the_newest_order(tmp_path: Path) -> None:
    played = tape(
        tmp_path, (0, 0, 0, 1, 5, 10), (1, 0, 0, 1, 5, 10), (0, 0, 0, 1, 5, 11), (1, 0, 0, 1, 5, 11)
    )
    assert [c.order_key for c in played.commands()] == ["1", "1", "3", "3"]


def test_a_tape_that_ends_early_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "tape.bin"
    path.write_bytes(struct.pack("<QII", 1, 1, 2) + bytes(RECORD.size))
    with pytest.raises(UnreadableFileError, match="ends 2 records"):
        list(TapeFile(path).commands())


def test_prices_cross_the_edge_and_come_back() -> None:
    for ticks, text in [
        (5853300, "585.33"),
        (10_000, "1"),
        (1, "0.0001"),
        (4_294_967_295, "429496.7295"),
    ]:
        assert price_string(ticks) == text
        assert price_ticks_of(text) == ticks
    with pytest.raises(ValueError, match="four decimals"):
        price_ticks_of("1.00001")


def test_client_order_ids_differ_between_runs() -> None:
    assert client_order_id("a1", "7") != client_order_id("a2", "7")


def test_price_time_book_fills_the_oldest_at_the_best_price() -> None:
    book = PriceTimeBook()
    for key, price, quantity in [("a", 101, 5), ("b", 100, 5), ("c", 100, 5)]:
        book.apply(PlayCommand(SUBMIT, key, 0, SELL, price, quantity))
    assert book.apply(PlayCommand(SUBMIT, "d", 0, BUY, 100, 7, immediate=True)) == (100, 3, 0, 0)
    assert not book.is_open("b")
    assert book.is_open("c")
    # The remainder of a resting order that crosses is left on the book at its own price.
    assert book.apply(PlayCommand(SUBMIT, "e", 0, BUY, 101, 10)) == (0, 0, 101, 2)
    # A total below what was executed ends the order.
    assert book.apply(PlayCommand(REPLACE, "e", 0, quantity=8)) == (0, 0, 0, 0)


def test_delta_book_takes_one_state_a_command() -> None:
    # Sequences 2 to 3 are one command (two levels), 6 the next; 4 and 5 were order events.
    book = DeltaBook()
    for delta in [(SELL, 100, 0, 2), (SELL, 101, 4, 3), (SELL, 101, 4, 3), (BUY, 99, 1, 6)]:
        book.apply(*delta)
    book.command_done()
    assert book.states == [(101, 4, 0, 0), (101, 4, 99, 1)]
    assert book.delta_count == 3


def test_level_book_finds_the_next_best_after_removals() -> None:
    book = LevelBook()
    for price in (10, 12, 11):
        book.put(BUY, price, 1)
    book.put(BUY, 12, 0)
    assert book.best(BUY) == 11
    book.put(BUY, 12, 7)
    assert book.top() == (0, 0, 12, 7)


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data is not beside this checkout")
def test_a_plain_engine_follows_the_real_hour_as_published() -> None:
    from cli.play_compare import compare

    message = next((DATA / "lobster").glob("*message*"))
    played = LobsterFile(message)
    engine = PriceTimeBook()
    own = list(distinct(engine.apply(command) for command in played.commands()))
    reference = read_states(next((DATA / "lobster").glob("*orderbook*")))
    result = compare(own, reference)
    assert played.message_count == 91_997
    assert len(own) == 23_198  # and the empty book before the first message
    assert round(result.share, 3) == 0.981
    assert len(played.reference_states()) == 23_457
