"""Times as they are typed, places as they are told, and the one bit that a checksum names."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.replay_command import BadOptionError, time_ns_of
from cli.replay_rows import as_json, code_name, decimal_price, rfc3339
from domain.codes import Side
from domain.commands import CancelOrder, SubmitOrder
from domain.wire import encode_batch, encode_command
from streams.replay_locate import Bit, damaged_bit, first_bit, is_intact


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("0", 0),
        ("1790000000000000001", 1_790_000_000_000_000_001),
        ("1970-01-01T00:00:00Z", 0),
        ("2026-09-21T14:13:20Z", 1_790_000_000 * 10**9),
        ("2026-09-21T14:13:20", 1_790_000_000 * 10**9),
        ("2026-09-21 14:13:20.5", 1_790_000_000_500_000_000),
        ("2026-09-21T14:13:20.123456789Z", 1_790_000_000_123_456_789),
        ("2026-09-21T16:13:20.000000001+02:00", 1_790_000_000_000_000_001),
        ("2026-09-21", 1_789_948_800 * 10**9),
    ],
)
def test_times_are_exact_to_the_nanosecond(text: str, time_ns: int) -> None:
    assert time_ns_of(text) == time_ns


@pytest.mark.parametrize(
    "text", ["", "noon", "-1", "2026-13-01", "1969-12-31T23:59:59Z", "2300-01-01", "9" * 20, "1.5"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadOptionError):
        time_ns_of(text)


@given(st.integers(0, 2**63 - 1))
def test_a_time_that_is_printed_can_be_typed(time_ns: int) -> None:
    assert time_ns_of(rfc3339(time_ns)) == time_ns


def test_json_keeps_wide_numbers_whole() -> None:
    row = {"quantity": 2**53 - 1, "account": 2**53, "order_id": 5, "price_ticks": 0, "symbol": None}
    assert as_json(row) == {
        "quantity": 2**53 - 1,
        "account": str(2**53),
        "order_id": "5",
        "price_ticks": 0,
    }
    assert as_json({"price_ticks": 1_872_500})["price"] == "187.2500"
    assert decimal_price(2**32 - 1) == "429496.7295"
    assert (code_name(Side, 1), code_name(Side, 7)) == ("sell", "7")


# --- bits -----------------------------------------------------------------------------------------


def batch_of(count: int) -> bytes:
    records = [encode_command(SubmitOrder(1, 2, 0, 0, 1, 9_900, 5 + n, b"x")) for n in range(count)]
    return encode_batch(
        bytes(15) + b"\x07", 9, 17, [*records, encode_command(CancelOrder(1, 2, 3))]
    )


@given(st.integers(0, 40), st.integers(0, 2**32), st.integers(0, 7))
def test_the_checksum_names_any_single_bit(count: int, place: int, bit: int) -> None:
    batch = batch_of(count)
    assert is_intact(batch) and damaged_bit(batch) is None
    wrong = Bit(place % len(batch), bit)
    changed = wrong.flipped(batch)
    assert not is_intact(changed)
    assert damaged_bit(changed) == wrong


def test_no_single_bit_is_blamed_for_two() -> None:
    batch = batch_of(12)
    choose = random.Random(3)
    for _ in range(200):
        first, second = choose.sample(range(len(batch) * 8), 2)
        changed = Bit(first // 8, first % 8).flipped(Bit(second // 8, second % 8).flipped(batch))
        assert damaged_bit(changed) is None


def test_a_short_batch_has_no_single_bit() -> None:
    assert damaged_bit(b"") is None
    assert damaged_bit(batch_of(1)[:47]) is None
    assert not is_intact(b"XBC1")


def test_the_first_bit_is_the_lowest_of_the_first_byte() -> None:
    assert first_bit(b"\x00\x00", b"\x00\x00") is None
    assert first_bit(b"\x00\x06\xff", b"\x00\x00\x00") == (Bit(1, 1), 10)
    assert first_bit(b"\x00\x80", b"\x00\x00longer") == (Bit(1, 7), 1)
